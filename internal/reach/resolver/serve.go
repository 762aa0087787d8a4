package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// What those who ask through a door may take.
const (
	maxBusy  = 1000             // questions that wait for servers at the same time
	maxConns = 100              // connections
	maxQuiet = 10 * time.Second // between the questions of one (RFC 7766 §6.2.3)
)

// Door is where programs on this machine ask: a port for UDP and TCP.
type Door struct {
	udp *net.UDPConn
	tcp net.Listener
}

// Open opens a door. It is refused where strangers could come in: an open resolver is a
// weapon (RFC 5358).
func Open(at netip.AddrPort) (*Door, error) {
	const op = "resolver.Open"
	if !at.Addr().Unmap().IsLoopback() {
		return nil, fault.New(fault.Invalid, op, at.String()+" is not on loopback: the resolver serves this machine only")
	}
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, fault.As(fault.Unavailable, op, err)
	}
	const queue = 4 << 20 // octets of questions that wait to be read; the system may give less
	_ = udp.SetReadBuffer(queue)
	_ = udp.SetWriteBuffer(queue)
	tcp, err := net.Listen("tcp", udp.LocalAddr().String())
	if err != nil {
		return nil, fault.As(fault.Unavailable, op, errors.Join(err, udp.Close()))
	}
	return &Door{udp, tcp}, nil
}

// Addr is where the door is.
func (d *Door) Addr() netip.AddrPort { return d.udp.LocalAddr().(*net.UDPAddr).AddrPort() }

// Close closes a door that is not served.
func (d *Door) Close() error { return errors.Join(d.udp.Close(), d.tcp.Close()) }

// Serve answers at a door until ctx ends, and closes it.
func (r *Resolver) Serve(ctx context.Context, d *Door) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { _ = d.Close() })
	defer stop()
	errs := make(chan error, runtime.GOMAXPROCS(0)+1)
	busy := make(chan struct{}, maxBusy)
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() { errs <- r.readUDP(ctx, d.udp, busy, &all) })
	}
	all.Go(func() { errs <- r.acceptTCP(ctx, d.tcp, &all) })
	err := <-errs
	ended := ctx.Err() != nil
	cancel()
	_ = d.Close()
	all.Wait()
	if ended {
		return nil
	}
	return fault.As(fault.Unavailable, "resolver.Serve", err)
}

// readUDP answers what is known at once, and the rest beside.
func (r *Resolver) readUDP(ctx context.Context, c *net.UDPConn, busy chan struct{}, all *sync.WaitGroup) error {
	var a inquiry
	in, out := make([]byte, udpSize), make([]byte, 0, udpSize)
	for {
		n, from, err := c.ReadFromUDPAddrPort(in)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return err
			}
			continue // an answer that did not arrive comes back as an error
		}
		if !from.Addr().Unmap().IsLoopback() {
			continue
		}
		if quick := r.quick(&a, in[:n], out, true); quick != nil {
			_, _ = c.WriteToUDPAddrPort(quick, from)
			continue
		}
		select {
		case busy <- struct{}{}:
		default:
			continue // they will ask again
		}
		q := append([]byte(nil), in[:n]...)
		all.Go(func() {
			defer func() { <-busy }()
			if answer := r.slow(ctx, q, true); answer != nil {
				_, _ = c.WriteToUDPAddrPort(answer, from)
			}
		})
	}
}

func (r *Resolver) acceptTCP(ctx context.Context, ln net.Listener, all *sync.WaitGroup) error {
	places := make(chan struct{}, maxConns)
	for {
		c, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return err
			}
			continue
		}
		select {
		case places <- struct{}{}:
		default:
			_ = c.Close()
			continue
		}
		all.Go(func() {
			defer func() { <-places }()
			r.converse(ctx, c)
		})
	}
}

// converse answers the questions of one connection, in turn.
func (r *Resolver) converse(ctx context.Context, c net.Conn) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	var length [2]byte
	for ctx.Err() == nil {
		_ = c.SetDeadline(time.Now().Add(maxQuiet))
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		q := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, q); err != nil {
			return
		}
		answer := r.Respond(ctx, q, nil, false)
		if answer == nil {
			return
		}
		_ = c.SetDeadline(time.Now().Add(maxQuiet))
		out := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(answer)), uint16(len(answer)))
		if _, err := c.Write(append(out, answer...)); err != nil {
			return
		}
	}
}
