// Package gather looks up what can be known about a message, so that a verdict
// can be found: it asks the filters outside, and has the sender proved. It does
// not decide.
package gather

import (
	"cmp"
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/judge"
	"github.com/ekiden-mail/ekiden/internal/flow/prove"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/filter"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
)

// Filter is one program outside that is asked.
type Filter struct {
	Name       string
	Inbound    bool  // asked about mail from strangers
	Submission bool  // asked about our users' mail
	MaxSize    int64 // octets of a message that it is shown; 0 means any

	// JunkName and JunkValue are a header field by which it says junk, for
	// milters, which have no other word for that; "" if there is none.
	JunkName, JunkValue string

	// One of these is set. A milter is asked by itself, since it sees what those
	// before it have changed; askers that stand side by side are asked at once.
	Milter *filter.Milter
	Asker  filter.Asker
}

// Options are the filters, in the order in which they are asked.
type Options struct {
	Filters  []Filter
	Prover   *prove.Prover // finds out who sent strangers' mail; nil: nobody does
	Budget   time.Duration // for all answers about one content together; zero means two minutes
	Blobs    *blob.Store
	Sink     event.Sink
	Hostname string
}

// Gatherer asks filters.
type Gatherer struct {
	o       Options
	inbound []Filter
	ours    []Filter
}

// New makes a Gatherer.
func New(o Options) *Gatherer {
	o.Budget = cmp.Or(o.Budget, 2*time.Minute)
	g := &Gatherer{o: o}
	for _, f := range o.Filters {
		if f.Inbound {
			g.inbound = append(g.inbound, f)
		}
		if f.Submission {
			g.ours = append(g.ours, f)
		}
	}
	return g
}

// Gathering is what is asked about one message. One goroutine has it, and must
// Close it. The nil Gathering is of a message about which nobody is asked.
type Gathering struct {
	g       *Gatherer
	show    filter.Message
	filters []Filter
	talks   []*filter.Talk // beside filters; nil where it is no milter
	strange bool           // the sender is to be proved
	proof   *prove.Proving // since the first recipient
	proved  chan *judge.Sender
}

// Begin begins to ask about an arrival of which only the peer and the reverse-path
// are known, submitted by a user or not. It gives nil if nobody is to be asked.
func (g *Gatherer) Begin(ctx context.Context, a *mail.Arrival, submitted bool) *Gathering {
	if g == nil {
		return nil
	}
	filters := g.inbound
	if submitted {
		filters = g.ours
	}
	strange := g.o.Prover != nil && !submitted
	if len(filters) == 0 && !strange {
		return nil
	}
	t := &Gathering{g: g, filters: filters, strange: strange, talks: make([]*filter.Talk, len(filters)), show: filter.Message{
		ID: a.ID, At: a.At, Submitted: submitted, Hostname: g.o.Hostname, Peer: &a.Peer, Envelope: &a.Envelope,
	}}
	ctx, cancel := context.WithTimeout(ctx, g.o.Budget)
	defer cancel()
	for i, f := range filters {
		if f.Milter == nil {
			continue
		}
		t.talks[i] = f.Milter.Begin(ctx, &t.show)
		if o, over := t.talks[i].Over(); over && o.Err != nil {
			t.failed(ctx, f, o.Err)
		}
	}
	return t
}

// Close ends what Begin began.
func (t *Gathering) Close() {
	if t == nil {
		return
	}
	if t.proved != nil {
		<-t.proved
	}
	t.proof.Close()
	for _, talk := range t.talks {
		if talk != nil {
			talk.Close()
		}
	}
}

// Sender is the evidence about the peer and the reverse-path: what milters have
// said already.
func (t *Gathering) Sender() *judge.Evidence {
	e := &judge.Evidence{}
	for i, talk := range t.talks {
		if talk == nil {
			continue
		}
		if o, over := talk.Over(); over {
			e.Filters = append(e.Filters, t.filters[i].said(timed{Opinion: o}))
		}
	}
	return e
}

// Recipient is the evidence about one more recipient. With the first one it begins
// to be found out who sends: whoever knows nobody here is worth no question.
func (t *Gathering) Recipient(ctx context.Context, to mail.Recipient) *judge.Evidence {
	t.prove(ctx)
	ctx, cancel := context.WithTimeout(ctx, t.g.o.Budget)
	defer cancel()
	e := &judge.Evidence{}
	for i, talk := range t.talks {
		if talk == nil {
			continue
		}
		_, before := talk.Over()
		o := talk.Rcpt(ctx, &t.show, to)
		if said, over := talk.Over(); over && (!before || said.Err != nil) {
			o = said
		}
		if o.Err != nil && !before {
			t.failed(ctx, t.filters[i], o.Err)
		}
		if o.Says != filter.Nothing || o.Err != nil {
			e.Filters = append(e.Filters, t.filters[i].said(timed{Opinion: o}))
		}
	}
	return e
}

func (t *Gathering) prove(ctx context.Context) {
	if t.strange && t.proof == nil {
		p := t.show.Peer
		from := ""
		if !t.show.Envelope.From.IsNull() {
			from = t.show.Envelope.From.String()
		}
		t.proof = t.g.o.Prover.Begin(ctx, prove.Peer{IP: p.Addr.Addr(), Helo: p.Helo, From: from}, t.show.At)
	}
}

// Write takes the content as it comes in, for signatures to be verified.
func (t *Gathering) Write(p []byte) (int, error) {
	if t == nil {
		return len(p), nil
	}
	t.prove(context.Background())
	return t.proof.Write(p)
}

// Wrote says that all of the content came in. What can be found out about it is,
// while the caller does what else takes time.
func (t *Gathering) Wrote(ctx context.Context) {
	if t.proof == nil {
		return
	}
	t.proved = make(chan *judge.Sender, 1)
	go func() { t.proved <- t.proof.End(ctx, t.show.At) }()
}

// Content shows the message to all and gives the evidence, in the order of the
// configuration, and the message as it is with their changes. Once a filter has
// refused the message or thrown it away, those behind it are not asked. An error
// is our own: of reading or storing the content. The Draft is nil where there are
// no filters.
func (t *Gathering) Content(ctx context.Context, a *mail.Arrival, h blob.Handle) (*judge.Evidence, *Draft, error) {
	e := &judge.Evidence{}
	d, err := t.askAll(ctx, e, a, h)
	if t.proved != nil {
		e.Sender = <-t.proved
		t.proved = nil
	}
	return e, d, err
}

// askAll asks the filters.
func (t *Gathering) askAll(ctx context.Context, e *judge.Evidence, a *mail.Arrival, h blob.Handle) (*Draft, error) {
	if len(t.filters) == 0 {
		return nil, nil
	}
	d, err := newDraft(ctx, t.g.o.Blobs, a, h)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, t.g.o.Budget)
	defer cancel()
	for from, to := 0, 0; from < len(t.filters) && !settled(e); from = to {
		if to = from + 1; t.talks[from] == nil {
			for to < len(t.filters) && t.talks[to] == nil {
				to++
			}
		}
		if err := t.askTogether(ctx, d, e, from, to); err != nil {
			d.Close()
			return nil, err
		}
	}
	return d, nil
}

// settled says whether a verdict can only be to refuse or to throw away.
func settled(e *judge.Evidence) bool {
	return slices.ContainsFunc(e.Filters, func(o judge.Opinion) bool { return o.Wants >= judge.Defer })
}

// askTogether asks the filters from one to another, of which all see the same
// message, and then makes their changes in order.
func (t *Gathering) askTogether(ctx context.Context, d *Draft, e *judge.Evidence, from, to int) error {
	opinions := make([]timed, to-from)
	m := d.message(t.show)
	var body *spool
	var broken error
	m.NewBody = func() (io.Writer, error) {
		w, err := t.g.o.Blobs.Create(ctx)
		if err != nil {
			broken = err
			return nil, err
		}
		body = newSpool(w, max(2*m.Size, 1<<20))
		return body, nil
	}
	if to == from+1 {
		opinions[0] = t.ask(ctx, m, from)
	} else {
		var all sync.WaitGroup
		for i := range opinions {
			all.Go(func() { opinions[i] = t.ask(ctx, m, from+i) })
		}
		all.Wait()
	}
	if body != nil {
		defer body.abort()
	}
	for i, o := range opinions {
		said := t.filters[from+i].said(o)
		if o.Err == nil {
			var err error
			if said.Changes, err = d.apply(ctx, o.Edits, body); err != nil {
				return err
			}
		}
		e.Filters = append(e.Filters, said)
	}
	return broken
}
