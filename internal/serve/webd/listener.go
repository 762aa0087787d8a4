package webd

import (
	"context"
	"net"
	"net/netip"
	"sync"
)

// listener gives the connections of those who may come in. The others are closed
// without a word: before a handshake there is none that they would understand.
type listener struct {
	net.Listener
	ctx   context.Context
	enter func(context.Context, netip.AddrPort) (func(), bool)
}

// Accept waits for the next one who may come in.
func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer, _ := netip.ParseAddrPort(nc.RemoteAddr().String())
		leave, ok := l.enter(l.ctx, netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port()))
		if !ok {
			_ = nc.Close()
			continue
		}
		return &conn{Conn: nc, leave: leave}, nil
	}
}

// conn gives its place back when it is closed.
type conn struct {
	net.Conn
	once  sync.Once
	leave func()
}

// Close closes the connection.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.leave)
	return err
}
