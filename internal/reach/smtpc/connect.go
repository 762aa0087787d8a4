package smtpc

import (
	"context"
	"net"
	"net/netip"

	"time"

	"golang.org/x/net/proxy"
)

// headStart is how long one address is waited for before the next is tried beside
// it (RFC 8305 §5).
const headStart = 250 * time.Millisecond

// connect makes the connection: to addr or, if that is slow, to whichever of the
// host's addresses answers first. It fails when addr has failed, and those that
// were begun beside it.
func (o *Options) connect(ctx context.Context, addr string) (net.Conn, error) {
	if o.SOCKS5 != "" {
		return o.byProxy(ctx, addr)
	}
	if len(o.Also) == 0 {
		return o.connectTo(ctx, addr)
	}
	return o.race(ctx, append([]string{addr}, o.Also...))
}

// UnreachedError says which of a host's addresses were tried, all in vain.
type UnreachedError struct {
	Addrs []string
	Err   error // of the first that failed
}

func (e *UnreachedError) Error() string { return e.Err.Error() }

// Unwrap is the first error.
func (e *UnreachedError) Unwrap() error { return e.Err }

type connected struct {
	net.Conn
	err error
}

// race starts with the first address and gives each of the others its start when
// those before have had their time. An address that fails at once is the
// caller's to see: he tries the next.
func (o *Options) race(ctx context.Context, addrs []string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan connected)
	begin := func(addr string) {
		c, err := o.connectTo(ctx, addr)
		results <- connected{c, err}
	}
	next, running := 1, 1
	go begin(addrs[0])
	timer := time.NewTimer(headStart)
	defer timer.Stop()
	var first error
	for {
		select {
		case <-timer.C:
			if next < len(addrs) {
				go begin(addrs[next])
				next++
				running++
				timer.Reset(headStart)
			}
			continue
		case r := <-results:
			running--
			if r.err == nil {
				cancel()
				for ; running > 0; running-- {
					if late := <-results; late.err == nil {
						_ = late.Close()
					}
				}
				return r.Conn, nil
			}
			if first == nil {
				first = r.err
			}
		}
		if running == 0 {
			return nil, &UnreachedError{addrs[:next], first}
		}
	}
}

// connectTo connects to one address, from the source address of its family.
func (o *Options) connectTo(ctx context.Context, addr string) (net.Conn, error) {
	within, local := o.Timeouts.withDefaults().Connect, o.localFor(addr)
	if o.Connect != nil {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		return o.Connect(ctx, local, addr)
	}
	d := net.Dialer{Timeout: within}
	if local.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	return d.DialContext(ctx, "tcp", addr)
}

// localFor is the source address for addr; Local where the family is not known.
func (o *Options) localFor(addr string) netip.Addr {
	to, err := netip.ParseAddrPort(addr)
	if err == nil && o.Local2.IsValid() && o.Local2.Unmap().Is4() == to.Addr().Unmap().Is4() {
		return o.Local2
	}
	return o.Local
}

func (o *Options) byProxy(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeouts.withDefaults().Connect)
	defer cancel()
	d, err := proxy.SOCKS5("tcp", o.SOCKS5, nil, &net.Dialer{})
	if err != nil {
		return nil, err
	}
	c, err := d.(proxy.ContextDialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, &net.OpError{Op: "proxy", Net: "tcp", Err: err}
	}
	return c, nil
}

// Remote is the address that the connection leads to, where it is known.
func (c *Conn) Remote() (netip.AddrPort, bool) {
	a, ok := c.raw.RemoteAddr().(*net.TCPAddr)
	if !ok || c.o.SOCKS5 != "" {
		return netip.AddrPort{}, false
	}
	at := a.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port()), true
}
