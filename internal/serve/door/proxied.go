package door

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/proxy"
)

// How PROXY headers are waited for.
const (
	headerTime = 5 * time.Second
	maxPending = 1000 // connections whose header is not there yet
)

// Proxied is ln behind a proxy: each connection from one of the networks in
// from must begin with a header of the PROXY protocol, and bears the addresses
// it names. One without a header is closed, and refused is told of it, if it is
// not nil. Connections from elsewhere come as they are. Waiting for a header
// keeps nobody else waiting.
func Proxied(ln net.Listener, from []netip.Prefix, refused func(peer netip.AddrPort, err error)) net.Listener {
	if refused == nil {
		refused = func(netip.AddrPort, error) {}
	}
	return newProxied(ln, from, headerTime, refused)
}

func newProxied(ln net.Listener, from []netip.Prefix, wait time.Duration, refused func(netip.AddrPort, error)) *proxied {
	ctx, end := context.WithCancel(context.Background())
	p := &proxied{
		Listener: ln, from: from, wait: wait, refused: refused, ctx: ctx, end: end,
		ready: make(chan accepted), places: make(chan struct{}, maxPending),
	}
	p.work.Go(p.accept)
	return p
}

// proxied is a listener whose connections may have to say who they are first.
type proxied struct {
	net.Listener
	from    []netip.Prefix
	wait    time.Duration
	refused func(netip.AddrPort, error)
	ctx     context.Context // ends with Close
	end     context.CancelFunc
	ready   chan accepted
	places  chan struct{} // of those whose header is not there yet
	work    sync.WaitGroup
}

type accepted struct {
	conn net.Conn
	err  error
}

// accept takes connections until the listener is closed.
func (p *proxied) accept() {
	for p.ctx.Err() == nil {
		nc, err := p.Listener.Accept()
		if err != nil || !p.trusts(nc) {
			p.hand(nc, err)
			continue
		}
		select {
		case p.places <- struct{}{}:
			p.work.Go(func() {
				p.read(nc)
				<-p.places
			})
		default:
			_ = nc.Close()
			p.refused(PeerOf(nc), errManyPending)
		}
	}
}

var errManyPending = errors.New("too many connections wait for their PROXY header")

func (p *proxied) trusts(nc net.Conn) bool {
	a := PeerOf(nc).Addr()
	return slices.ContainsFunc(p.from, func(n netip.Prefix) bool { return n.Contains(a) })
}

// hand gives what was accepted to whoever calls Accept.
func (p *proxied) hand(nc net.Conn, err error) {
	select {
	case p.ready <- accepted{nc, err}:
	case <-p.ctx.Done():
		if nc != nil {
			_ = nc.Close()
		}
	}
}

// read reads the header of one connection.
func (p *proxied) read(nc net.Conn) {
	stop := context.AfterFunc(p.ctx, func() { _ = nc.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = nc.SetReadDeadline(time.Now().Add(p.wait))
	h, err := proxy.Read(nc)
	if err != nil {
		_ = nc.Close()
		if p.ctx.Err() == nil {
			p.refused(PeerOf(nc), err)
		}
		return
	}
	_ = nc.SetReadDeadline(time.Time{})
	if h.Source.IsValid() {
		nc = &said{nc, net.TCPAddrFromAddrPort(h.Source), net.TCPAddrFromAddrPort(h.Destination)}
	}
	p.hand(nc, nil)
}

// Accept gives the next connection that has said who it is.
func (p *proxied) Accept() (net.Conn, error) {
	select {
	case a := <-p.ready:
		return a.conn, a.err
	case <-p.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close closes the listener and whoever has not said who he is.
func (p *proxied) Close() error {
	p.end()
	err := p.Listener.Close()
	p.work.Wait()
	return err
}

// said is a connection with the addresses that a proxy named.
type said struct {
	net.Conn
	remote, local net.Addr
}

// RemoteAddr is who connected to the proxy.
func (s *said) RemoteAddr() net.Addr { return s.remote }

// LocalAddr is where it connected to.
func (s *said) LocalAddr() net.Addr { return s.local }

// CloseWrite says that nothing more will come from here.
func (s *said) CloseWrite() error {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
