// Package receive takes strangers' mail: it checks who it is for, reads it once,
// and hands it on to be delivered.
package receive

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/flow/screen"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// MaxReceived is how many Received fields a message may have, where Options do
// not say, before it is taken for one that goes in circles (RFC 5321 §6.3).
const MaxReceived = 100

// Options are the rooms that receive works with.
type Options struct {
	Deliver *deliver.Deliverer
	Blobs   *blob.Store
	Screen  *screen.Screener // nil: nobody else is asked

	Hostname string // ours: nobody else may say what it found out
	Received int    // fields of a message before it is taken for one that goes in circles; 0: MaxReceived

	// NoSoliciting are the classes of solicitation that are not taken, whether
	// MAIL or the header names them (RFC 3865).
	NoSoliciting []string

	// Reports is told of each message that was laid down and may be a report; nil:
	// nobody is.
	Reports func(context.Context, *mail.Arrival)
}

// Receiver opens transactions for strangers and for LMTP peers.
type Receiver struct{ o Options }

// New makes a Receiver.
func New(o Options) *Receiver { return &Receiver{o} }

// Begin opens a mail transaction (RFC 5321 §3.3). A nil Transaction means
// refused.
func (r *Receiver) Begin(ctx context.Context, p *mail.Peer, from mail.Address, o smtp.MailOptions) (*Transaction, smtp.Reply) {
	ok := o.Grant(most(p), smtp.Answer(250, smtp.Enhanced{2, 1, 0}, "sender ok"))
	t := &Transaction{r: r, arrival: mail.NewArrival(p, time.Now())}
	t.arrival.Envelope = o.Envelope(from, t.arrival.At)
	if !p.LMTP { // what comes in there was looked at by the server in front
		var refused smtp.Reply
		if t.screening, refused = r.o.Screen.Begin(ctx, &t.arrival, false); !refused.IsZero() {
			return nil, r.o.Deliver.Refuse(ctx, &t.arrival, mail.Address{}, refused)
		}
	}
	return t, ok
}

// most is the highest priority that a peer may ask for: a stranger can but
// lower it (RFC 6710 §4.1), and the server in front knows what it does.
func most(p *mail.Peer) int8 {
	if p.LMTP {
		return mail.MaxPriority
	}
	return 0
}

// Transaction is one message on its way in.
type Transaction struct {
	r         *Receiver
	arrival   mail.Arrival
	screening *screen.Screening // nil: nobody is asked
}

// Rcpt says whether to is here.
func (t *Transaction) Rcpt(ctx context.Context, to mail.Address, o smtp.RcptOptions) smtp.Reply {
	if !t.arrival.Envelope.From.IsNull() && t.r.o.Deliver.ReportsOnly(ctx, to) {
		return t.r.o.Deliver.Refuse(ctx, &t.arrival, to, smtp.Answer(550, smtp.Enhanced{5, 7, 1}, "only reports are taken for <%s>", to))
	}
	if err := t.r.o.Deliver.Accepts(ctx, to); err != nil {
		return t.r.o.Deliver.Refuse(ctx, &t.arrival, to, refusal(to, err))
	}
	recipient := o.Recipient(to)
	if refused := t.screening.Rcpt(ctx, recipient); !refused.IsZero() {
		return t.r.o.Deliver.Refuse(ctx, &t.arrival, to, refused)
	}
	t.arrival.Envelope.To = append(t.arrival.Envelope.To, recipient)
	return smtp.Answer(250, smtp.Enhanced{2, 1, 5}, "recipient ok")
}

// refusal words the two answers that a postmaster reads most often.
func refusal(to mail.Address, err error) smtp.Reply {
	switch fault.KindOf(err) {
	case fault.NotFound:
		return smtp.Answer(550, smtp.Enhanced{5, 1, 1}, "no such recipient here: <%s>", to)
	case fault.Denied:
		return smtp.Answer(550, smtp.Enhanced{5, 7, 1}, "relaying denied: %s is not a domain of ours", to.Domain)
	}
	return smtp.Fault(err)
}

// Data reads the content to its end and answers for each recipient taken, in
// order. A positive answer means that the message is on disk.
func (t *Transaction) Data(ctx context.Context, content io.Reader) []smtp.Reply {
	defer t.screening.Close()
	d, a := t.r.o.Deliver, &t.arrival
	w, err := t.r.o.Blobs.Create(ctx)
	if err != nil {
		return d.RefuseAll(ctx, a, smtp.Fault(err))
	}
	defer w.Abort()
	header, err := t.copy(w, content)
	if err != nil {
		return d.RefuseAll(ctx, a, smtp.Fault(err))
	}
	deliver.Heed(a, header, most(&a.Peer))
	if no := smtp.Unsolicited(a.Envelope.Solicit, t.r.o.NoSoliciting); no != "" {
		return d.RefuseAll(ctx, a, smtp.Answer(550, smtp.Enhanced{5, 7, 1}, "mail of this kind is not wanted here: SOLICIT=%s", no))
	}
	if n := cmp.Or(t.r.o.Received, MaxReceived); header.Count("Received") > n {
		return d.RefuseAll(ctx, a, smtp.Answer(554, smtp.Enhanced{5, 4, 6}, "this message goes in circles: over %d Received fields", n))
	}
	if loops := d.Loops(ctx, a, header); !loops.IsZero() {
		return d.RefuseAll(ctx, a, loops)
	}
	var replies []smtp.Reply
	if t.screening != nil {
		replies = t.screening.Accept(ctx, w)
	} else {
		replies = d.Accept(ctx, a, w)
	}
	t.report(ctx, header, replies)
	return replies
}

// copy reads the content to its end and gives its header. What others wrote in our
// name about who sent it is left out, unless it is the server in front who did
// (docs/decisions/014-results-of-others.md). What came is shown to the screening
// before.
func (t *Transaction) copy(w io.Writer, content io.Reader) (message.Header, error) {
	block, rest, _, err := message.SplitHeader(content)
	if err != nil {
		return message.Header{}, err
	}
	_, _ = t.screening.Write(block)
	header := message.ParseHeader(block)
	seen := io.Reader(bytes.NewReader(block))
	if forged := t.forged(header); len(forged) > 0 {
		seen, _ = message.Without(bytes.NewReader(block), int64(len(block)), forged)
	}
	if t.screening != nil {
		rest = io.TeeReader(rest, t.screening)
	}
	_, err = t.r.o.Deliver.Copy(w, io.MultiReader(seen, rest))
	return header, err
}

// forged is where the fields lie that nobody but us may write.
func (t *Transaction) forged(h message.Header) []message.Span {
	if t.arrival.Peer.LMTP {
		return nil
	}
	all := append(h.ForgedResults(t.r.o.Hostname), h.Spans(screen.VerdictField)...)
	slices.SortFunc(all, func(a, b message.Span) int { return cmp.Compare(a.Offset, b.Offset) })
	return all
}

// report hands on what may be a report: it says so, or nobody is to be told of it.
func (t *Transaction) report(ctx context.Context, h message.Header, replies []smtp.Reply) {
	says := strings.Contains(strings.ToLower(h.Get("Content-Type")), "report")
	if t.r.o.Reports == nil || !says && !t.arrival.Envelope.From.IsNull() || t.arrival.Verdict == "discard" {
		return
	}
	if slices.ContainsFunc(replies, smtp.Reply.OK) {
		t.r.o.Reports(ctx, &t.arrival)
	}
}

// Abort forgets the transaction; nothing has happened yet.
func (t *Transaction) Abort() { t.screening.Close() }
