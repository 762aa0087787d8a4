package webd

import (
	"context"
	"net"
	"sync"

	"github.com/ekiden-mail/ekiden/internal/serve/door"
)

// listener gives the connections of those who may come in. The others are closed
// without a word: before a handshake there is none that they would understand.
type listener struct {
	net.Listener
	ctx  context.Context
	gate *door.Gate
}

// Accept waits for the next one who may come in.
func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		leave, _ := l.gate.Enter(l.ctx, door.PeerOf(nc))
		if leave == nil {
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
