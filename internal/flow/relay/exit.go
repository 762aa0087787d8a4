package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// Times of the probing of a port that seems to be blocked.
const (
	probeEvery  = 10 * time.Minute
	probeWithin = 10 * time.Second
	probeRest   = time.Minute // between two rounds at least: they are nobody's mail, and come on top of it
)

// exit is what is known of the way out to other servers' port.
type exit struct {
	mu      sync.Mutex
	rule    route.Exit
	suspect chan struct{}
}

// blocked says whether mail that goes directly must go by the fallback.
func (x *exit) blocked() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, is := x.rule.Blocked()
	return is
}

// tried notes how connecting to a domain's own host went.
func (r *Relay) tried(ctx context.Context, d mail.Domain, addr netip.AddrPort, err error) {
	x := &r.exit
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case isShut(err) && x.rule.Failed(time.Now(), d, addr):
		select {
		case x.suspect <- struct{}{}:
		default:
		}
	case isReached(err) && x.rule.Reached(addr):
		r.o.Sink.Emit(ctx, event.PortReached{Port: int(addr.Port()), Host: addr.Addr()})
	}
}

// isShut says whether a connection was refused or nobody answered, as behind a
// port that is blocked. A network that is not there at all is another matter.
func isShut(err error) bool {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "dial" {
		return false
	}
	if op.Timeout() {
		return true
	}
	for _, e := range [...]error{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.EACCES, syscall.EPERM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// isReached says whether a server spoke.
func isReached(err error) bool {
	var no *smtpc.Refusal
	return err == nil || errors.As(err, &no) || smtpc.IsTLS(err)
}

// guardExit finds out whether a port that is suspected to be blocked is, and
// when it is open again, until ctx ends.
func (r *Relay) guardExit(ctx context.Context) {
	timer := time.NewTimer(probeEvery)
	defer timer.Stop()
	var rested time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.exit.suspect:
			if wait := time.Until(rested); wait > 0 {
				timer.Reset(wait)
				continue
			}
		case <-timer.C:
		}
		r.probe(ctx)
		rested = time.Now().Add(probeRest)
		timer.Reset(probeEvery)
	}
}

// probe tries some servers, if there is a reason to.
func (r *Relay) probe(ctx context.Context) {
	x := &r.exit
	x.mu.Lock()
	var targets []netip.AddrPort
	if _, is := x.rule.Blocked(); is || x.rule.Suspected() {
		targets = x.rule.Targets()
	}
	x.mu.Unlock()
	for _, addr := range targets {
		conn, err := r.o.Dial(ctx, addr.String(), smtpc.Options{
			Hostname: r.o.Hostname, Local: r.o.Local, TLS: smtpc.None, SOCKS5: r.o.SOCKS5, Timeouts: smtpc.Timeouts{Connect: probeWithin, Command: probeWithin},
		})
		if err == nil {
			_ = conn.Quit()
		}
		if isReached(err) {
			r.tried(ctx, "", addr, nil)
			return
		}
		if ctx.Err() != nil {
			return
		}
	}
	x.mu.Lock()
	blocked := len(targets) > 0 && x.rule.Confirm(time.Now())
	x.mu.Unlock()
	if !blocked {
		return
	}
	e := event.PortBlocked{Port: int(targets[0].Port()), Tried: len(targets)}
	if f := r.o.Router.Fallback(); f.Is() {
		e.Fallback = f.String()
	}
	r.o.Sink.Emit(ctx, e)
}

// via chooses how a delivery leaves: an operator's word for it goes before the rules.
func (r *Relay) via(ctx context.Context, d queue.Delivery, s route.Sender) (v route.Via) {
	switch d.Via {
	case "":
		v = r.o.Router.Via(ctx, d.To.Domain, s)
	case queue.Direct:
	default:
		return r.o.Router.Named(d.Via)
	}
	if !v.Is() && r.exit.blocked() && !r.o.Router.Inner(ctx, d.To.Domain) {
		v = r.o.Router.Fallback()
	}
	return v
}

// escapes says whether the rest of a domain's hosts need not be tried, because
// their port has turned out to be blocked and there is another way.
func (t *transfer) escapes(way route.Route) bool {
	return way.Public && t.r.exit.blocked() && t.r.o.Router.Fallback().Is()
}
