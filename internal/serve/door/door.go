// Package door lets connections in: the loop that accepts them, the gate that
// decides who may, the count of who is in, and the address of who is there.
package door

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// The pause before another try after Accept failed: out of file descriptors, or
// the peer was gone at once.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
)

// Accept hands each connection that the gate lets in to start, with what gives
// its place back, and each other one to turnAway, which must not wait and
// closes it. It returns nil when ctx has ended and ln is closed, or
// fault.Unavailable if ln fails for good.
func Accept(ctx context.Context, ln net.Listener, gate *Gate, turnAway func(net.Conn, Refusal), start func(nc net.Conn, peer netip.AddrPort, release func())) error {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = ln.Close()
	})
	defer func() {
		if stop() {
			_ = ln.Close()
		} else {
			<-closed
		}
	}()
	pause := time.Duration(0)
	for {
		nc, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fault.As(fault.Unavailable, "door.Accept", err)
		case err != nil:
			pause = min(max(2*pause, firstPause), lastPause)
			wait(ctx, pause)
			continue
		}
		pause = 0
		peer := PeerOf(nc)
		leave, why := gate.Enter(ctx, peer)
		if leave == nil {
			turnAway(nc, why)
			continue
		}
		start(nc, peer, leave)
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// PeerOf is the address at the other end, an IPv4 one as such; the zero address
// for a connection that has none.
func PeerOf(nc net.Conn) netip.AddrPort { return AddrPort(nc.RemoteAddr()) }

// AddrPort is an address of TCP as a value.
func AddrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(interface{ AddrPort() netip.AddrPort })
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
