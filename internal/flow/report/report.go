// Package report tells other domains, once a day, how the securing of lines to
// them went (RFC 8460), if they want to know, and keeps what others tell of ours.
//
// What is counted stays in memory for a minute and is then added to rows; a crash
// forgets that minute.
package report

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"net/url"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/trust/tlsrpt"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// How counts are kept and sent.
const (
	flushEvery  = time.Minute
	lookEvery   = 10            // flushes, for what is to be sent
	maxPending  = 10_000        // summaries in memory
	maxUnwanted = 50_000        // domains known to want no report, in memory
	spread      = 4 * time.Hour // after midnight, within which reports go (RFC 8460 §4.1)
	retryAfter  = time.Hour
	giveUpAfter = 48 * time.Hour // after the day's end
	maxPolicies = 100            // of one report
)

// Options of a reporter; all but Contact and Sink must be given.
type Options struct {
	DB       kv.DB
	Blobs    *blob.Store
	Deliver  *deliver.Deliverer
	Resolver dns.Resolver
	// Post sends a body to an https URL.
	Post func(ctx context.Context, url, media string, body []byte) error
	// IsLocal says whether a domain is ours.
	IsLocal func(context.Context, mail.Domain) (bool, error)
	Sink    event.Sink

	Hostname mail.Domain  // who reports
	Contact  mail.Address // whom to ask, and what reports come from; postmaster at Hostname
}

// Reporter counts and reports. It may be used by several goroutines.
type Reporter struct {
	o Options

	mu       sync.Mutex
	pending  map[counter]*tlsrpt.Summary
	unwanted map[mail.Domain]int64 // the day on which a domain wanted no report
	later    map[letterKey]time.Time
}

// counter is what is counted apart.
type counter struct {
	day    int64 // since 1970, UTC
	policy string
}

// letterKey is what is reported apart.
type letterKey struct {
	day    int64
	domain mail.Domain
}

// New makes a reporter.
func New(o Options) *Reporter {
	if o.Sink == nil {
		o.Sink = event.Discard{}
	}
	if o.Contact.IsNull() {
		o.Contact = mail.Address{Local: "postmaster", Domain: o.Hostname}
	}
	return &Reporter{
		o: o, pending: map[counter]*tlsrpt.Summary{}, unwanted: map[mail.Domain]int64{}, later: map[letterKey]time.Time{},
	}
}

// day is the number of t's day since 1970, in UTC.
func day(t time.Time) int64 { return t.Unix() / 86400 }

// start is when a day begins.
func start(day int64) time.Time { return time.Unix(day*86400, 0).UTC() }

// Observe counts one session. It waits for nothing.
func (r *Reporter) Observe(s tlsrpt.Session) { r.observe(s, time.Now()) }

func (r *Reporter) observe(s tlsrpt.Session, now time.Time) {
	k := counter{day(now), s.Policy.Key()}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unwanted[s.Policy.Domain] == k.day {
		return
	}
	sum := r.pending[k]
	if sum == nil {
		if len(r.pending) >= maxPending {
			return
		}
		sum = &tlsrpt.Summary{Policy: s.Policy}
		r.pending[k] = sum
	}
	sum.Add(s.Failure, 1)
}

// Run writes counts down and sends reports until ctx ends, and writes down what
// is left.
func (r *Reporter) Run(ctx context.Context) error {
	for n := 1; ctx.Err() == nil; n++ {
		select {
		case <-ctx.Done():
		case <-time.After(flushEvery):
			r.tell(ctx, r.Flush(ctx))
			if n%lookEvery == 0 {
				r.tell(ctx, r.Send(ctx, time.Now()))
				r.tell(ctx, r.prune(ctx, time.Now()))
			}
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	r.tell(last, r.Flush(last))
	return nil
}

func (r *Reporter) tell(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		r.o.Sink.Emit(ctx, event.Failed{Where: "report", Err: err})
	}
}

// Flush adds what was counted to the rows, for domains that want reports.
func (r *Reporter) Flush(ctx context.Context) error {
	r.mu.Lock()
	pending := r.pending
	r.pending = map[counter]*tlsrpt.Summary{}
	r.mu.Unlock()
	asked := map[mail.Domain]bool{}
	for k, s := range pending {
		d := s.Policy.Domain
		wanted, known := asked[d]
		if !known {
			to, err := r.wanted(ctx, d)
			wanted = len(to) > 0 || err != nil
			asked[d] = wanted
			if !wanted {
				r.forget(d, k.day)
			}
		}
		if !wanted {
			delete(pending, k)
		}
	}
	if len(pending) == 0 {
		return nil
	}
	return fault.Wrap("report.Flush", r.write(ctx, pending))
}

// forget spares counting for a domain for the rest of a day.
func (r *Reporter) forget(d mail.Domain, day int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.unwanted) >= maxUnwanted {
		clear(r.unwanted)
	}
	r.unwanted[d] = day
}

// wanted asks where a domain wants its reports. An error means that it is not
// known.
func (r *Reporter) wanted(ctx context.Context, d mail.Domain) ([]*url.URL, error) {
	a, err := r.o.Resolver.Lookup(ctx, tlsrpt.RecordName(d), dns.TypeTXT)
	if dns.Absent(err) {
		return nil, nil
	}
	var texts []string
	for _, rec := range a.Records {
		texts = append(texts, rec.Text)
	}
	return tlsrpt.ParseRecord(texts), err
}

// due is when the report of a day to a domain goes.
func (r *Reporter) due(k letterKey) time.Time {
	h := fnv.New32a()
	_, _ = h.Write([]byte(string(r.o.Hostname) + " " + string(k.domain)))
	return start(k.day + 1).Add(time.Duration(h.Sum32()) % spread)
}

// Send sends the reports that are due at now.
func (r *Reporter) Send(ctx context.Context, now time.Time) error {
	days, err := r.rows(ctx, day(now))
	if err != nil {
		return fault.Wrap("report.Send", err)
	}
	for k, l := range days {
		if now.Before(r.due(k)) || now.Before(r.later[k]) || ctx.Err() != nil {
			continue
		}
		sent, err := r.send(ctx, k, l)
		switch {
		case err == nil && sent, now.After(start(k.day + 1).Add(giveUpAfter)):
			delete(r.later, k)
			err = errors.Join(err, r.remove(ctx, l.keys, nil))
		default:
			r.later[k] = now.Add(retryAfter + rand.N(retryAfter/2))
		}
		r.tell(ctx, err)
	}
	return nil
}

// send reports one day to one domain, to all that its record names. It says
// false if it has to be tried again.
func (r *Reporter) send(ctx context.Context, k letterKey, l *ledger) (bool, error) {
	to, err := r.wanted(ctx, k.domain)
	if err != nil {
		return false, nil // its name servers are away
	}
	rep := tlsrpt.Report{
		Organization: string(r.o.Hostname), Contact: r.o.Contact.String(), ID: identity(k, r.o.Hostname),
		From: start(k.day), Until: start(k.day + 1).Add(-time.Second), Policies: l.policies,
	}
	text, err := rep.Marshal()
	if err != nil {
		return true, err
	}
	packed := pack(text)
	told := false
	var mails []*url.URL
	for _, u := range to {
		if u.Scheme == "mailto" {
			mails = append(mails, u)
			continue
		}
		err := r.o.Post(ctx, u.String(), media, packed)
		r.emit(ctx, k, l, u, err)
		told = told || err == nil
	}
	for _, u := range mails {
		err := r.post(ctx, k, u, rep.ID, packed, l)
		r.emit(ctx, k, l, u, err)
		if err != nil {
			return false, err
		}
		told = true
	}
	return told || len(to) == 0, nil
}

func (r *Reporter) emit(ctx context.Context, k letterKey, l *ledger, to *url.URL, err error) {
	e := event.TLSReported{Domain: string(k.domain), Day: start(k.day).Format(time.DateOnly), To: to.String(), Err: err}
	for _, s := range l.policies {
		e.Successful += s.Successful
		e.Failed += s.Failed
	}
	r.o.Sink.Emit(ctx, e)
}

// post lays one report down for the queue. The first to be laid down takes the
// rows away with it, so that none is sent twice.
func (r *Reporter) post(ctx context.Context, k letterKey, to *url.URL, id string, packed []byte, l *ledger) error {
	addr, err := tlsrpt.MailTo(to)
	if err != nil {
		return err
	}
	now := time.Now()
	text, err := r.letter(k, addr, id, packed, now)
	if err != nil {
		return err
	}
	h, err := r.o.Blobs.Put(ctx, text)
	if err != nil {
		return err
	}
	a := &mail.Arrival{
		ID: mail.NewArrivalID(), At: now, Ours: true, Content: h.ID(), Size: h.Size(),
		Envelope: mail.Envelope{
			To: []mail.Recipient{{Address: addr, Notify: mail.NotifyNever}},
			// Trouble with TLS must not hold up what tells of it (RFC 8460 §3).
			Demands: mail.Demands{TLSOptional: true},
		},
	}
	plan, err := r.o.Deliver.Prepare(ctx, a, h)
	if err != nil {
		return err
	}
	if plan.Empty() {
		return errors.New(plan.Replies()[0].String())
	}
	if err := r.remove(ctx, l.keys, plan); err != nil {
		return err
	}
	plan.Emit(ctx)
	return nil
}

// encode writes a summary as its row has it: without what has no room there.
func encode(s tlsrpt.Summary) ([]byte, error) {
	b, err := json.Marshal(s)
	if len(b) > kv.MaxValue-1000 {
		s.Failures = s.Failures[:0]
		b, err = json.Marshal(s)
	}
	if len(b) > kv.MaxValue-1000 {
		s.Policy.Text, s.Policy.MX = nil, nil
		b, err = json.Marshal(s)
	}
	return append([]byte{format1}, b...), err
}

func decode(b []byte) (s tlsrpt.Summary, err error) {
	if len(b) == 0 || b[0] != format1 {
		return s, fault.New(fault.Corrupt, "report.decode", "not a summary of this version")
	}
	return s, fault.As(fault.Corrupt, "report.decode", json.Unmarshal(b[1:], &s))
}

// byFailures puts the policies with most failures first.
func byFailures(a, b tlsrpt.Summary) int { return cmp.Compare(b.Failed, a.Failed) }
