// Package callout asks the host that a domain is relayed to whether a recipient
// is there, before the message is taken, and remembers what it said.
package callout

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// How long an answer counts, and other limits.
const (
	keepThere  = 12 * time.Hour
	keepAbsent = time.Hour
	keepUnsure = time.Minute // where nothing was reached for the whole domain, so that a host that is down holds up one peer
	maxKept    = 50_000      // recipients
	maxAtOnce  = 4           // conversations with the host of one domain
	maxTime    = 20 * time.Second
	maxHosts   = 3 // that are tried
)

// Options of a Caller; what follows Hostname may be zero.
type Options struct {
	Router   *route.Router
	Relayed  func(context.Context, mail.Domain) (directory.Relay, error)
	Hostname string // what we call ourselves
	Local    netip.Addr
	RootCAs  *x509.CertPool
	Time     time.Duration // for one question; 20 s
	// Dial opens a connection; nil means smtpc.Dial.
	Dial func(ctx context.Context, addr string, o smtpc.Options) (*smtpc.Conn, error)
}

// Caller asks. It may be used by many goroutines.
type Caller struct {
	o Options

	mu     sync.Mutex
	known  map[mail.Address]answer
	unsure map[mail.Domain]answer
	asking map[mail.Address]*question
	lines  map[mail.Domain]chan struct{}
}

// answer is what is known until a time.
type answer struct {
	sure  bool // else there says nothing
	there bool
	said  bool   // the host has spoken about the recipient, if only to put it off
	words string // of a refusal, or why nothing could be asked
	until time.Time
}

// question is one that is being asked; others wait for its answer.
type question struct {
	done   chan struct{}
	answer answer
}

// New makes a Caller.
func New(o Options) *Caller {
	if o.Dial == nil {
		o.Dial = smtpc.Dial
	}
	o.Time = cmp.Or(o.Time, maxTime)
	return &Caller{
		o: o, known: map[mail.Address]answer{}, unsure: map[mail.Domain]answer{}, asking: map[mail.Address]*question{},
		lines: map[mail.Domain]chan struct{}{},
	}
}

// Ask says whether the host of a's domain has a. fault.NotFound: it refuses it
// for good; fault.Unavailable: it could not be asked, or said to come back, and
// the domain's settings want the sender to wait.
func (c *Caller) Ask(ctx context.Context, a mail.Address) error {
	const op = "callout.Ask"
	relay, err := c.o.Relayed(ctx, a.Domain)
	if err != nil || !relay.On() || relay.Unasked {
		return fault.Wrap(op, err)
	}
	found, known := c.recall(a, time.Now())
	if !known {
		found = c.question(ctx, a)
	}
	switch {
	case found.sure && found.there, !found.sure && relay.Accepts():
		return nil
	case found.sure:
		return fault.Newf(fault.NotFound, op, "the host of %s says: %s", a.Domain, found.words)
	}
	return fault.Newf(fault.Unavailable, op, "the host of %s cannot be asked for that recipient now; please try again later", a.Domain)
}

// recall gives what is known of a, or that its host could not be asked a moment
// ago.
func (c *Caller) recall(a mail.Address, now time.Time) (found answer, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, ok := c.known[a]; ok && now.Before(k.until) {
		return k, true
	}
	if u, ok := c.unsure[a.Domain]; ok && now.Before(u.until) {
		return u, true
	}
	return answer{}, false
}

// question asks, or waits for whoever asks the same.
func (c *Caller) question(ctx context.Context, a mail.Address) answer {
	c.mu.Lock()
	q, asked := c.asking[a]
	if !asked {
		q = &question{done: make(chan struct{})}
		c.asking[a] = q
	}
	line := c.lines[a.Domain]
	if line == nil {
		line = make(chan struct{}, maxAtOnce)
		c.lines[a.Domain] = line
	}
	c.mu.Unlock()
	if asked {
		select {
		case <-q.done:
			return q.answer
		case <-ctx.Done():
			return answer{words: ctx.Err().Error()}
		}
	}
	// Others may wait for the answer when this peer has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.Time)
	defer cancel()
	select {
	case line <- struct{}{}:
		q.answer = c.call(ctx, a)
		<-line
	case <-ctx.Done():
		q.answer.words = "too many questions at once"
	}
	c.keep(a, q, time.Now())
	return q.answer
}

// keep remembers an answer and wakes whoever waits for it.
func (c *Caller) keep(a mail.Address, q *question, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(q.done) // when the answer is whole
	delete(c.asking, a)
	switch {
	case q.answer.there:
		q.answer.until = now.Add(keepThere)
	case q.answer.sure:
		q.answer.until = now.Add(keepAbsent)
	default:
		q.answer.until = now.Add(keepUnsure)
	}
	if !q.answer.said {
		c.unsure[a.Domain] = q.answer
		return
	}
	delete(c.unsure, a.Domain)
	if len(c.known) >= maxKept {
		c.forget(now)
	}
	c.known[a] = q.answer
}

// forget makes room: what no longer counts goes, and if that is too little, an
// eighth of all, whichever it is.
func (c *Caller) forget(now time.Time) {
	for a, k := range c.known {
		if !now.Before(k.until) {
			delete(c.known, a)
		}
	}
	for a := range c.known {
		if len(c.known) <= maxKept-maxKept/8 {
			return
		}
		delete(c.known, a)
	}
}

// call asks the hosts in turn until one has an answer for good.
func (c *Caller) call(ctx context.Context, a mail.Address) answer {
	way, err := c.o.Router.For(ctx, a.Domain)
	if err != nil {
		return answer{words: err.Error()}
	}
	last := answer{words: "no host was reached"}
	tried := 0
	for _, h := range way.Hosts {
		if h.Barred != "" {
			continue
		}
		for _, addr := range h.Addrs {
			if tried++; tried > maxHosts || ctx.Err() != nil {
				return last
			}
			r, err := c.ask(ctx, h, addr, a)
			switch {
			case err != nil:
				last.words = err.Error()
			case r.Code/100 == 2:
				return answer{sure: true, there: true, said: true}
			case r.Permanent():
				return answer{sure: true, said: true, words: r.String()}
			default:
				last = answer{said: true, words: r.String()}
			}
		}
	}
	return last
}

// ask has one conversation.
func (c *Caller) ask(ctx context.Context, h route.Host, addr netip.AddrPort, a mail.Address) (smtp.Reply, error) {
	o := smtpc.Options{Hostname: c.o.Hostname, Local: c.o.Local, RootCAs: c.o.RootCAs, ServerName: h.Name}
	if h.TLS == route.Implicit {
		o.TLS = smtpc.Implicit
	}
	conn, err := c.o.Dial(ctx, addr.String(), o)
	if err != nil {
		return smtp.Reply{}, err
	}
	r, err := conn.Probe(ctx, a)
	var no *smtpc.Refusal
	if err != nil && !errors.As(err, &no) {
		_ = conn.Close()
		return r, err
	}
	_ = conn.Quit()
	return r, err
}
