// Package door lets connections in: the loop that accepts them, the count of
// who is in, and the address of who is there.
package door

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/limit"
)

// The pause before another try after Accept failed: out of file descriptors, or
// the peer was gone at once.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
)

// Counts are the connections that are open, by limit.Key of the peer's address
// and in all.
type Counts = limit.Counts[netip.Prefix]

// Accept hands each connection that the counts allow to start, with what gives
// its place back, and each one too many to turnAway, which must not wait and
// closes it. It returns nil when ctx has ended and ln is closed, or
// fault.Unavailable if ln fails for good.
func Accept(ctx context.Context, ln net.Listener, counts *Counts, turnAway func(net.Conn), start func(nc net.Conn, peer netip.AddrPort, release func())) error {
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
		key := limit.Key(peer.Addr())
		if !counts.Acquire(key) {
			turnAway(nc)
			continue
		}
		start(nc, peer, func() { counts.Release(key) })
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
