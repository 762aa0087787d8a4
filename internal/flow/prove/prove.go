// Package prove finds out who sent a message and who wrote it: it asks the DNS, in
// parallel and within bounds, what SPF, DKIM, ARC, DMARC and lists need to know.
package prove

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/judge"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/trust/arc"
	"github.com/ekiden-mail/ekiden/internal/trust/dkim"
	"github.com/ekiden-mail/ekiden/internal/trust/dmarc"
	"github.com/ekiden-mail/ekiden/internal/trust/dnsbl"
	"github.com/ekiden-mail/ekiden/internal/trust/iprev"
	"github.com/ekiden-mail/ekiden/internal/trust/spf"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// The bounds where Options do not say.
const (
	DefaultBudget    = 20 * time.Second // RFC 7208 §4.6.4 wants SPF alone to have as much
	DefaultQuestions = 250
)

// Options are whom to ask and how much.
type Options struct {
	Resolver  dns.Resolver
	Lists     []dnsbl.List
	Hostname  string        // ours, for SPF
	Budget    time.Duration // for all answers before the content, and again behind it
	Questions int           // to the DNS about one message
}

// Prover finds out about messages.
type Prover struct{ o Options }

// New makes a Prover.
func New(o Options) *Prover {
	o.Budget, o.Questions = cmp.Or(o.Budget, DefaultBudget), cmp.Or(o.Questions, DefaultQuestions)
	return &Prover{o}
}

// Proving is what is found out about one message. One goroutine has it, and must
// Close it. The nil Proving finds nothing.
type Proving struct {
	p       *Prover
	r       dns.Resolver
	packets *dns.Budget
	cancel  context.CancelFunc
	all     sync.WaitGroup
	mu      sync.Mutex // for listings, while questions are out
	found   judge.Sender
	head    message.HeaderScanner
	scan    bool // Write still looks for the end of the header
	body    dkim.Body
	sigs    *dkim.Verifier
	chain   *arc.Chain
	author  []string
}

// Peer is what is known of a peer before the content. Without an address only the
// content is looked at.
type Peer struct {
	IP   netip.Addr
	Helo string
	From string // the reverse-path; "" is the null one
}

// Begin starts to find out about a peer and its reverse-path.
func (p *Prover) Begin(ctx context.Context, peer Peer, now time.Time) *Proving {
	if p == nil {
		return nil
	}
	g := &Proving{p: p, r: &meter{r: p.o.Resolver, left: p.o.Questions}, packets: dns.NewBudget(dns.MessagePackets), scan: true}
	g.found.IP, g.found.Greeting, g.found.MailFrom = peer.IP.Unmap().WithZone(""), peer.Helo, peer.From
	ctx, g.cancel = context.WithTimeout(dns.WithBudget(context.WithoutCancel(ctx), g.packets), p.o.Budget)
	if !peer.IP.IsValid() {
		return g
	}
	ip := g.found.IP
	g.all.Go(func() { g.found.Reverse = iprev.Check(ctx, g.r, ip) })
	check := func(address string) spf.Result {
		q := spf.Identity(ip, peer.Helo, address)
		q.Receiver, q.Now = p.o.Hostname, now
		return spf.Check(ctx, g.r, q)
	}
	if peer.Helo != "" {
		g.all.Go(func() { g.found.Helo = iprev.Helo(ctx, g.r, peer.Helo, ip) })
		g.all.Go(func() { g.found.HeloSPF = check("") })
	}
	if peer.From != "" {
		g.all.Go(func() { g.found.SPF = check(peer.From) })
	}
	for _, l := range p.o.Lists {
		if !l.Domains {
			g.all.Go(func() { g.ask(ctx, l, ip.String()) })
		}
	}
	return g
}

// ask asks a list.
func (g *Proving) ask(ctx context.Context, l dnsbl.List, subject string) {
	found, err := l.Check(ctx, g.r, subject)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.found.Unasked = append(g.found.Unasked, err.Error())
	} else if found != nil {
		g.found.Listed = append(g.found.Listed, *found)
	}
}

// Write takes the content as it comes.
func (g *Proving) Write(p []byte) (int, error) {
	if g == nil {
		return len(p), nil
	}
	if !g.scan {
		return g.body.Write(p)
	}
	_, _ = g.head.Write(p)
	if g.head.Done() {
		g.header()
		_, _ = g.body.Write(g.head.Rest())
	}
	return len(p), nil
}

// header reads what the header says, once.
func (g *Proving) header() {
	h := g.head.Header()
	g.scan = false
	g.sigs, g.chain = dkim.NewVerifier(h, &g.body), arc.Read(h, &g.body)
	for _, a := range h.Addresses("From") {
		if a.GroupStart() || a.GroupEnd() {
			continue
		}
		name := a.Host
		if d, err := mail.ParseDomain(name); err == nil {
			name = string(d)
		}
		if !slices.Contains(g.author, name) {
			g.author = append(g.author, name)
		}
	}
	g.found.From, g.found.Authors = h.Count("From"), len(g.author)
}

// End ends the content and gives all that was found out.
func (g *Proving) End(ctx context.Context, now time.Time) *judge.Sender {
	if g == nil {
		return nil
	}
	if g.scan {
		g.header()
	}
	g.body.Close()
	ctx, cancel := context.WithTimeout(dns.WithBudget(ctx, g.packets), g.p.o.Budget)
	defer cancel()
	g.signatures(ctx, now)
	g.all.Wait()
	g.cancel()
	f := &g.found
	q := dmarc.Query{Authors: g.author}
	if f.MailFrom != "" {
		q.SPF = identifier(f.SPF)
	} else {
		q.SPF = identifier(f.HeloSPF) // RFC 7208 §2.4
	}
	for _, d := range f.DKIM {
		if d.Code == dkim.Pass || d.Code == dkim.TempError {
			q.DKIM = append(q.DKIM, dmarc.Identifier{Domain: d.Domain, Unsure: d.Code == dkim.TempError})
		}
	}
	f.DMARC = dmarc.Check(ctx, g.r, q)
	return f
}

// signatures verifies all signatures and the chain, at once.
func (g *Proving) signatures(ctx context.Context, now time.Time) {
	n := g.sigs.Len()
	g.found.DKIM, g.found.Over = make([]dkim.Result, n), g.sigs.Over()
	var all sync.WaitGroup
	for i := 1; i < n; i++ {
		all.Go(func() { g.found.DKIM[i] = g.sigs.Verify(ctx, i, g.r, now) })
	}
	if g.chain.Len() > 0 {
		all.Go(func() { g.found.ARC = g.chain.Verify(ctx, g.r) })
	} else {
		g.found.ARC = g.chain.Verify(ctx, g.r)
	}
	for _, l := range g.p.o.Lists {
		if l.Domains {
			for _, name := range g.author[:min(len(g.author), dmarc.MaxAuthors)] {
				all.Go(func() { g.ask(ctx, l, name) })
			}
		}
	}
	if n > 0 {
		g.found.DKIM[0] = g.sigs.Verify(ctx, 0, g.r, now)
	} else {
		g.found.DKIM = []dkim.Result{{Code: dkim.None}}
	}
	all.Wait()
}

// identifier is what SPF says for DMARC.
func identifier(r spf.Result) dmarc.Identifier {
	switch r.Code {
	case spf.Pass:
		return dmarc.Identifier{Domain: r.Domain}
	case spf.TempError:
		return dmarc.Identifier{Domain: r.Domain, Unsure: true}
	}
	return dmarc.Identifier{}
}

// Close ends what Begin began.
func (g *Proving) Close() {
	if g != nil {
		g.cancel()
		g.all.Wait()
	}
}
