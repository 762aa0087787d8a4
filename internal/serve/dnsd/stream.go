package dnsd

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/serve/door"
)

// Serve answers what comes by TCP until ctx ends (RFC 7766).
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	var talks sync.WaitGroup
	err := door.Accept(ctx, ln, s.gate, func(nc net.Conn, _ door.Refusal) { _ = nc.Close() }, func(nc net.Conn, peer netip.AddrPort, release func()) {
		talks.Go(func() {
			defer release()
			s.talk(ctx, nc, peer)
		})
	})
	talks.Wait()
	return err
}

// talk answers one connection's questions, in their order.
func (s *Server) talk(ctx context.Context, nc net.Conn, peer netip.AddrPort) {
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	defer func() { _ = nc.Close() }()
	var size [2]byte
	var msg, out []byte
	for range max(0, s.o.Limits.Questions) {
		if ctx.Err() != nil || nc.SetReadDeadline(time.Now().Add(s.o.Limits.Idle)) != nil {
			return
		}
		if _, err := io.ReadFull(nc, size[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(size[:]))
		if cap(msg) < n {
			msg = make([]byte, n)
		}
		if _, err := io.ReadFull(nc, msg[:n]); err != nil {
			return
		}
		send := func(reply []byte) error { return s.send(ctx, nc, reply) }
		if t, ok := s.transfer(ctx, peer, msg[:n]); ok {
			if t.send(send) != nil {
				return
			}
			continue
		}
		if out = s.answer(ctx, peer, msg[:n], false, out); out == nil || send(out) != nil {
			return
		}
	}
}

// send writes an answer with its length.
func (s *Server) send(ctx context.Context, nc net.Conn, reply []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := nc.SetWriteDeadline(time.Now().Add(s.o.Limits.Write)); err != nil {
		return err
	}
	framed := net.Buffers{binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply}
	_, err := framed.WriteTo(nc)
	return err
}
