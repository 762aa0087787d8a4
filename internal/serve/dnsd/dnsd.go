// Package dnsd is the DNS door: it answers for our zones with authority, by UDP and
// TCP, hands them to secondaries, and tells those of changes. It never asks others
// for strangers.
package dnsd

import (
	"context"
	"fmt"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/limit"
	"github.com/ekiden-mail/ekiden/internal/serve/door"
	"github.com/ekiden-mail/ekiden/internal/state/zone"
)

// Limits bound what strangers may cost. Zero means the default, a negative number no
// limit.
type Limits struct {
	Connections int           // of TCP at the same time; default 1,000
	PerAddress  int           // of TCP from one address (a /64 of IPv6); default 20
	Responses   int           // a second by UDP to one network that say the same; default 50
	Idle        time.Duration // of a TCP connection between two questions; default 30 seconds (RFC 7766 §6.2.3)
	Write       time.Duration // for the peer to take an answer; default 30 seconds
	Questions   int           // of one TCP connection; default 10,000
}

func (l Limits) withDefaults() Limits {
	number := func(n *int, def int) {
		if *n == 0 {
			*n = def
		}
	}
	span := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	number(&l.Connections, 1000)
	number(&l.PerAddress, 20)
	number(&l.Responses, 50)
	number(&l.Questions, 10_000)
	span(&l.Idle, 30*time.Second)
	span(&l.Write, 30*time.Second)
	return l
}

// Options say what stands behind the door.
type Options struct {
	Zones *zone.Store
	// Source is where notes to secondaries come from, who know their primary by its
	// address; the zero Addr leaves that to the system.
	Source netip.Addr
	Limits Limits
	Guards door.Guards
	Sink   event.Sink // nil: nobody listens
}

// Server answers. It may serve several sockets.
type Server struct {
	o     Options
	gate  *door.Gate
	memo  memo
	rates *limit.Buckets[reply]
}

// New makes a Server.
func New(o Options) *Server {
	o.Limits = o.Limits.withDefaults()
	if o.Sink == nil {
		o.Sink = event.Discard{}
	}
	l := o.Limits
	s := &Server{o: o, gate: door.NewGate("dns", door.Limits{Total: max(0, l.Connections), PerAddress: max(0, l.PerAddress)}, o.Guards, o.Sink)}
	s.rates = limit.NewBuckets[reply](limit.Rate{Burst: max(0, l.Responses) * rateWindow, Per: rateWindow * time.Second}, maxRates)
	return s
}

// failed tells of what should not happen.
func (s *Server) failed(ctx context.Context, peer netip.AddrPort, err error) {
	s.o.Sink.Emit(ctx, event.Failed{Where: "dnsd", Peer: peer, Err: err})
}

// answer gives what is to be sent in answer to a message, nil for nothing: what is
// no question gets no answer. A panic is ours, and costs one answer only.
func (s *Server) answer(ctx context.Context, from netip.AddrPort, msg []byte, udp bool, out []byte) (reply []byte) {
	defer func() {
		if r := recover(); r != nil {
			s.failed(ctx, from, fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
			reply = nil
		}
	}()
	now := time.Now()
	q, plain := readQuestion(msg)
	if !plain {
		return s.seldom(ctx, from, msg, udp)
	}
	p := s.memo.get(&q, s.o.Zones.Changes(), now)
	if p == nil {
		if p = s.pack(ctx, from, &q); p == nil {
			return nil
		}
		s.memo.put(&q, p)
	}
	room := maxTCP
	if udp {
		room = q.room
		switch s.rate(now, from.Addr(), p) {
		case drop:
			return nil
		case slip:
			room = 0
		}
	}
	return p.reply(&q, msg, room, out)
}
