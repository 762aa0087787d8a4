package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/dsn"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// row names a delivery.
type row struct {
	id mail.ArrivalID
	to mail.Address
}

// check compares the queue with the book: what is not in the queue any more has
// ended, and what has ended is not in it.
func (u *us) check(b *book) {
	ctx := context.Background()
	waits := map[row]queue.Delivery{}
	for e, err := range u.queue.List(ctx, queue.Filter{}) {
		if err != nil {
			b.wrong("the queue cannot be listed: %v", err)
			return
		}
		waits[row{e.Message.ID, e.Delivery.To}] = e.Delivery
		b.mu.Lock()
		if b.byID[e.Message.ID] == nil && !e.Message.From.IsNull() {
			b.wrongLocked("in the queue: %s for <%s>, which nobody sent", e.Message.ID, e.Delivery.To)
		}
		b.mu.Unlock()
	}
	for _, l := range b.order {
		if l.doubtful && !u.settleDoubt(ctx, b, l, waits) {
			continue
		}
		var story []history.Entry // of l, once it is needed
		for _, c := range l.copies {
			d, is := waits[row{l.id, c.to}]
			switch {
			case c.here || !l.accepted:
			case is && c.closed:
				b.wrong("%s for <%s> was %s, and is in the queue again", l.token, c.to, c.ended)
			case is:
				u.waiting(b, c, d)
			case !c.closed:
				if story == nil {
					story = u.story(ctx, b, l)
				}
				b.close(c, story)
			}
		}
	}
}

// settleDoubt finds out what became of a letter whose sender got no good answer.
func (u *us) settleDoubt(ctx context.Context, b *book, l *letter, waits map[row]queue.Delivery) bool {
	l.doubtful = false
	if l.accepted = slices.ContainsFunc(u.story(ctx, b, l), func(e history.Entry) bool { return e.What == history.Accepted }); l.accepted {
		return true
	}
	for _, c := range l.copies {
		if _, is := waits[row{l.id, c.to}]; is || len(c.takes) > 0 {
			b.wrong("%s was refused, and yet <%s> is sent it", l.token, c.to)
		}
	}
	return false
}

// most is how long a delivery may be in the queue: it is given up after five
// days, at its last attempt; slow hosts, suspended sites and our own absence make
// that later.
const most = 5*day + 8*time.Hour

func (u *us) waiting(b *book, c *copied, d queue.Delivery) {
	began := c.at
	if c.release.After(began) {
		began = c.release
	}
	if waits := time.Since(began); waits > most {
		b.wrong("%s for <%s> waits since %s: %d attempts, next %s, %s", c.token, c.to, waits, d.Attempts, time.Until(d.Due), d.LastReply)
	}
}

// story is all that we know of a letter.
func (u *us) story(ctx context.Context, b *book, l *letter) []history.Entry {
	entries, err := u.history.ByArrival(ctx, l.id)
	if err != nil {
		b.wrong("%s: %v", l.token, err)
	}
	return entries
}

// close looks at a copy that has left the queue: a host has it, or its sender was
// told, or nobody can be.
func (b *book) close(c *copied, story []history.Entry) {
	c.closed = true
	relayed, bounced, reported, untold := 0, 0, 0, 0
	for _, e := range story {
		switch {
		case e.What == history.Relayed && e.To == c.to:
			relayed++
		case e.What == history.Bounced && e.To == c.to:
			bounced++
		case e.What == history.Reported && e.Action == string(dsn.Failed):
			reported++
		case e.What == history.Untold:
			untold++
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	wants := c.notify == 0 || c.notify&mail.NotifyFailure != 0
	switch {
	case relayed+bounced != 1:
		b.wrongLocked("%s for <%s> has left the queue, relayed %d times, bounced %d times", c.token, c.to, relayed, bounced)
	case relayed == 1 && len(c.takes) == 0:
		b.wrongLocked("%s for <%s> is told to be relayed, and nobody has it", c.token, c.to)
	case bounced == 1 && wants && reported+untold == 0:
		b.wrongLocked("%s for <%s> was bounced, and nobody was told", c.token, c.to)
	case bounced == 1 && c.from.IsNull() && reported > 0:
		b.wrongLocked("%s has no sender, and it was told", c.token)
	}
	if relayed == 1 {
		c.ended = "delivered"
	} else {
		c.ended = "bounced"
	}
}

// mailboxes compares what lies in our accounts with the book.
func (u *us) mailboxes(b *book, accounts []directory.Account) {
	ctx := context.Background()
	for _, a := range accounts {
		got := map[string]int{}
		for _, text := range u.inbox(ctx, b, a) {
			head, _, _ := strings.Cut(text, "\r\n\r\n")
			m := subjects.FindStringSubmatch(text)
			l := (*letter)(nil)
			if m != nil {
				l = b.letters[m[1]]
			}
			switch {
			case l == nil:
				b.wrong("%s has a message that nobody sent: %.200q", a.Address, text)
			case strings.Contains(head, "multipart/report"):
				b.told(a, l, text)
			default:
				got[l.token]++
			}
		}
		for _, l := range b.order {
			for _, c := range l.copies {
				if want := l.accepted; c.here && c.to == a.Address && got[l.token] != map[bool]int{true: 1}[want] {
					b.wrong("%s has %s %d times; accepted: %v", a.Address, l.token, got[l.token], want)
				}
			}
		}
	}
}

// inbox reads all of an account's inbox.
func (u *us) inbox(ctx context.Context, b *book, a directory.Account) (all []string) {
	var ms []mailbox.Message
	err := u.box.View(ctx, a.ID, func(tx *mailbox.Tx) error {
		ms = nil
		box, err := tx.BoxByName("INBOX")
		if err != nil {
			return nil //nolint:nilerr // nothing has come yet
		}
		for p, err := range tx.Placements(box.ID, 1, 1<<32-1) {
			if err != nil {
				return err
			}
			m, err := tx.Message(p.Message)
			if err != nil {
				return err
			}
			ms = append(ms, m)
		}
		return nil
	})
	for _, m := range ms {
		c, oerr := u.box.OpenMessage(ctx, a.ID, m)
		if oerr != nil {
			err = oerr
			continue
		}
		buf := make([]byte, c.Size())
		_, _ = c.ReadAt(buf, 0)
		_ = c.Close()
		all = append(all, string(buf))
	}
	if err != nil {
		b.wrong("the inbox of %s: %v", a.Address, err)
	}
	return all
}

// told notes what a report to one of ours says.
func (b *book) told(a directory.Account, l *letter, text string) {
	r := strings.NewReader(text)
	ix, err := message.Parse(r, int64(len(text)))
	if err != nil {
		b.wrong("a report to %s: %v", a.Address, err)
		return
	}
	report, err := dsn.Parse(ix, r)
	if err != nil {
		b.wrong("a report to %s: %v", a.Address, err)
		return
	}
	if l.from != a.Address {
		b.wrong("%s is told about %s, which <%s> sent", a.Address, l.token, l.from)
	}
	for _, rcpt := range report.Recipients {
		if c := l.copy(rcpt.Final); c != nil {
			c.told[string(rcpt.Action)]++
		} else if l.alias == "" {
			b.wrong("%s is told of <%s>, who is no recipient of %s", a.Address, rcpt.Final, l.token)
		}
	}
}

// reports looks whether each sender of ours was told what it had to be, once.
func (b *book) reports() {
	for _, l := range b.order {
		for _, c := range l.copies {
			if !l.accepted || l.stranger {
				continue
			}
			asked := func(n mail.Notify) bool { return c.notify&n != 0 }
			failed, delayed, relayed := c.told["failed"], c.told["delayed"], c.told["relayed"]
			wantFailed, wantRelayed := 0, 0
			if c.here {
				if n := c.told["delivered"]; n != map[bool]int{true: 1}[asked(mail.NotifySuccess) && !l.from.IsNull()] {
					b.wrong("%s is told %d times that <%s> has %s, asked %d", l.from, n, c.to, l.token, c.notify)
				}
				continue
			}
			if c.ended == "bounced" && (c.notify == 0 || asked(mail.NotifyFailure)) && !l.from.IsNull() {
				wantFailed = 1
			}
			if c.ended == "delivered" && asked(mail.NotifySuccess) && !l.from.IsNull() && !c.lastTake().dsn {
				wantRelayed = 1
			}
			b.counts.delays += delayed
			switch {
			case failed != wantFailed:
				b.wrong("%s is told %d times of the failure of %s for <%s>, want %d", l.from, failed, l.token, c.to, wantFailed)
			case relayed != wantRelayed && l.by == (mail.DeliverBy{}):
				b.wrong("%s is told %d times that %s was relayed for <%s>, want %d", l.from, relayed, l.token, c.to, wantRelayed)
			case delayed > 0 && (l.from.IsNull() || c.notify != 0 && !asked(mail.NotifyDelay)), delayed > 2:
				b.wrong("%s is told %d times of the delay of %s for <%s>, asked %d", l.from, delayed, l.token, c.to, c.notify)
			}
		}
	}
}

// lastTake is the one that counts; a zero one if there is none.
func (c *copied) lastTake() *taken {
	if len(c.takes) == 0 {
		return &taken{}
	}
	return c.takes[len(c.takes)-1]
}

// nothingLeft is for the end: all have been well for long, and nothing waits.
func (u *us) nothingLeft(b *book) {
	for e, err := range u.queue.List(context.Background(), queue.Filter{}) {
		if err != nil {
			b.wrong("the queue cannot be listed: %v", err)
			return
		}
		if l := b.byID[e.Message.ID]; l == nil || !strings.HasPrefix(e.Delivery.To.Local, "full") {
			b.wrong("still in the queue: %s for <%s>, %d attempts, due %s, %s", e.Message.ID, e.Delivery.To, e.Delivery.Attempts, time.Until(e.Delivery.Due), e.Delivery.LastReply)
		}
	}
}

// promptly looks at letters to sites that are always well: nobody else's trouble
// holds them up.
func (b *book) promptly() {
	for _, l := range b.order {
		for _, c := range l.copies {
			d := b.w.domain(c.to.Domain)
			if !l.accepted || l.many || c.here || d == nil || !d.site.steady || d.site.rule != nil || len(c.takes) == 0 || l.from == (mail.Address{Local: "di", Domain: ourDomains[0]}) {
				continue
			}
			from := l.at
			if l.release.After(from) {
				from = l.release
			}
			if after := c.takes[0].at.Sub(from); after > 2*time.Minute && !b.absent(from, c.takes[0].at) && !strings.Contains(c.first, "i/o timeout") {
				b.wrong("%s for <%s>, whose site is always well, was sent after %s: %s", l.token, c.to, after, c.first)
			}
		}
	}
}

// fair looks at letters that came behind many of another sender's to the same site:
// they wait for no more of these than are under way, and a few.
func (b *book) fair() {
	for _, l := range b.order {
		if l.behind.IsNull() || !l.accepted || !strings.HasPrefix(l.copies[0].first, "250") || b.absent(l.at, l.copies[0].takes[0].at) {
			continue
		}
		mine, before := l.copies[0].takes[0], 0
		for _, other := range b.order {
			for _, c := range other.copies {
				if other.many && other.from == l.behind && len(c.takes) > 0 && c.takes[0].site == mine.site && c.takes[0].at.After(l.at) && c.takes[0].at.Before(mine.at) {
					before++
				}
			}
		}
		if bound := 2*mine.site.connections() + 4; before > bound {
			b.wrong("%s waited for %d letters that <%s> had sent %s before, not %d", l.token, before, l.behind, mine.site.name, bound)
		}
	}
}

// absent says whether our process was away at some time.
func (b *book) absent(from, to time.Time) bool {
	for _, l := range b.lives {
		if !l.end.IsZero() && l.end.After(from.Add(-time.Minute)) && l.end.Before(to) || l.begin.After(from) && l.begin.Before(to) {
			return true
		}
	}
	return false
}

// summary says what came by.
func (b *book) summary() string {
	c := b.counts
	return fmt.Sprintf("%d letters, %d attempts, %d taken (%d again), %d bounced, %d told of a delay, %d reports to strangers, %d refused for the list, %d lives (%d killed)",
		len(b.order), c.attempts, c.takes, c.twice, c.bounced, c.delays, c.reports, c.refused, len(b.lives), c.kills)
}
