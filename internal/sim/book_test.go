package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// book is what was told to whom, and what the world has seen: all that is checked
// is checked against it.
type book struct {
	mu      sync.Mutex
	w       *world
	faults  []string
	lives   []life
	letters map[string]*letter
	byID    map[mail.ArrivalID]*letter
	order   []*letter
	loud    bool            // all that happens is told
	lossy   bool            // the database forgets commits
	listed  map[string]bool // whom domains of ours may refuse to write to
	counts  struct{ attempts, takes, twice, bounced, reports, delays, kills, refused int }
}

// life is one run of our process.
type life struct{ begin, end time.Time }

// letter is a message that somebody has sent.
type letter struct {
	token    string
	id       mail.ArrivalID
	from     mail.Address
	stranger bool
	alias    string // of ours, that a stranger has written to
	at       time.Time
	release  time.Time
	by       mail.DeliverBy
	tls, lax bool         // REQUIRETLS; TLS-Required: No
	accepted bool         // 250 was said
	doubtful bool         // it was not, and it may be
	many     bool         // one of many at once
	behind   mail.Address // whose many letters to the same site came just before
	copies   []*copied
}

// copied is one recipient's copy.
type copied struct {
	*letter
	to     mail.Address
	here   bool // in a mailbox of ours
	notify mail.Notify

	takes    []*taken
	attempts int
	first    string // the answer to the first attempt
	next     time.Time
	ended    string // as the event said it: delivered, bounced
	closed   bool   // it was found ended, and looked at
	lapsed   bool   // it ended by its age
	told     map[string]int
}

// taken is one time a host has taken a copy.
type taken struct {
	copied   *copied
	at       time.Time
	answered time.Time // the answer was on its way; zero: it never was
	life     int
	site     *site
	dsn      bool // the host reports itself
}

func newBook() *book {
	return &book{loud: os.Getenv("EKIDEN_SIM_TALK") != "", letters: map[string]*letter{}, byID: map[mail.ArrivalID]*letter{}, listed: map[string]bool{}}
}

// maxFaults is how many are told.
const maxFaults = 20

func (b *book) wrong(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrongLocked(format, args...)
}

func (b *book) wrongLocked(format string, args ...any) {
	if len(b.faults) < maxFaults {
		b.faults = append(b.faults, b.when()+" "+fmt.Sprintf(format, args...))
	}
}

// talk tells of all that happens, where somebody wants to hear it.
func (b *book) talk(format string, args ...any) {
	if b.loud {
		fmt.Println(b.when(), fmt.Sprintf(format, args...))
	}
}

// when is the time as day and hour, for people.
func (b *book) when() string {
	var since time.Duration
	if len(b.lives) > 0 {
		since = time.Since(b.lives[0].begin)
	}
	return fmt.Sprintf("[day %d %s]", since/day, (since % day).Truncate(time.Second))
}

func (b *book) life() int { b.mu.Lock(); defer b.mu.Unlock(); return len(b.lives) - 1 }

func (b *book) born() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lives = append(b.lives, life{begin: time.Now()})
}

func (b *book) died() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := &b.lives[len(b.lives)-1]; l.end.IsZero() {
		l.end = time.Now()
	}
}

// add notes a letter before it is sent.
func (b *book) add(l *letter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.token = fmt.Sprintf("t%d", len(b.order)+1)
	b.letters[l.token] = l
	b.order = append(b.order, l)
}

func (l *letter) add(to mail.Address, here bool, n mail.Notify) {
	l.copies = append(l.copies, &copied{letter: l, to: to, here: here, notify: n, told: map[string]int{}})
}

// copy finds one by its recipient.
func (l *letter) copy(to mail.Address) *copied {
	for _, c := range l.copies {
		if strings.EqualFold(c.to.String(), to.String()) {
			return c
		}
	}
	return nil
}

var subjects = regexp.MustCompile(`(?m)^Subject: (t\d+)\r?$`)

// take notes that a host has taken what is in v's body.
func (b *book) take(v *session) (all []*taken) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := v.body.String()
	m := subjects.FindStringSubmatch(text)
	head, _, _ := strings.Cut(text, "\r\n\r\n")
	if m == nil || b.letters[m[1]] == nil {
		b.wrongLocked("%s took what nobody sent: %.300q", v.host.name, text)
		return nil
	}
	l := b.letters[m[1]]
	if strings.Contains(head, "multipart/report") {
		b.report(v, l)
		return nil
	}
	for _, to := range v.to {
		c := l.copy(to)
		if c == nil || c.here {
			b.wrongLocked("%s took %s for <%s>, who is none of its recipients", v.host.name, l.token, to)
			continue
		}
		if !v.mail.Path.IsNull() && l.from.IsNull() {
			b.wrongLocked("%s took %s, which has no sender, from <%s>", v.host.name, l.token, v.mail.Path)
		}
		if why := v.insecure(c); why != "" {
			b.wrongLocked("%s took %s for <%s>: %s", v.host.name, l.token, to, why)
		}
		t := &taken{copied: c, at: time.Now(), life: v.life, site: v.site, dsn: v.offers().DSN}
		if n := len(c.takes); n > 0 {
			b.counts.twice++
			if why := b.excuse(c.takes[n-1], t); why == "" {
				b.wrongLocked("%s took %s for <%s> again, which %s took %s before, and answered", v.host.name, l.token, to, c.takes[n-1].site.name, t.at.Sub(c.takes[n-1].at))
			}
		}
		c.takes = append(c.takes, t)
		b.counts.takes++
		all = append(all, t)
	}
	b.inTime(v)
	return all
}

// report looks at a report that leaves us: it goes to a stranger who has sent
// something.
func (b *book) report(v *session, l *letter) {
	b.counts.reports++
	if !v.mail.Path.IsNull() {
		b.wrongLocked("a report leaves with the reverse-path <%s>", v.mail.Path)
	}
	if l.from.IsNull() {
		b.wrongLocked("a report about %s leaves, which has no sender", l.token)
	}
	for _, to := range v.to {
		if to != l.from {
			b.wrongLocked("a report about %s by <%s> goes to <%s>", l.token, l.from, to)
		}
	}
}

// excuse says why a copy may have been sent again after it was taken: nobody can
// have known that it was.
func (b *book) excuse(before, _ *taken) string {
	end := b.lives[before.life].end
	switch {
	case before.answered.IsZero():
		return "the link broke behind the final dot"
	case !end.IsZero() && end.Sub(before.answered) < time.Minute:
		return "the process ended before it had written it down"
	}
	return ""
}

func (b *book) answered(all []*taken) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range all {
		t.answered = time.Now()
	}
}

// inTime looks whether a site is sent more messages a minute than its rule says.
// A sixth of a minute's may come at once, and what was under way with it.
func (b *book) inTime(v *session) {
	r := v.site.rule
	if r == nil || r.PerMinute == 0 {
		return
	}
	if v.site.over(&v.site.ruled, r.PerMinute+r.PerMinute/6+r.Connections) {
		b.wrongLocked("%s takes more than %d messages a minute", v.site.name, r.PerMinute)
	}
}

// old is for how long a session goes on by what was known when it began.
const old = time.Hour

// insecure says why a host should not have been given a copy over this line.
func (v *session) insecure(c *copied) string {
	w := v.site.w
	d := w.domain(c.to.Domain)
	certain := v.secured && !v.bad && v.site.secure >= certified
	if v.site == w.smart {
		if c.tls && !certain {
			return "it wants TLS to who is surely the smart host"
		}
		return ""
	}
	at := v.site == d.site || v.site == d.moveTo
	if !at && v.site != w.evil {
		return "the host is not its domain's"
	}
	dane := d.signed && v.site.dane && at
	proven := v.secured && !v.bad
	policy := d.sts.binds(time.Since(v.born) + old)
	switch named := certain && v.site == d.site; {
	case c.tls && !(dane && proven) && !(certain && at && d.signed) && !(named && d.sts.binds(0)):
		return "it wants TLS to who is surely the domain's"
	case c.lax && !c.tls:
	case dane && !proven:
		return "the domain's TLSA records name another key"
	case dane && v.mood.tlsa != dnsWell && v.born.Sub(v.site.began()) > old:
		return "the domain's TLSA records cannot be known"
	case !dane && policy && !named:
		return "the domain's MTA-STS policy does not allow it"
	}
	return ""
}

func (s *site) began() time.Time { s.mu.Lock(); defer s.mu.Unlock(); return s.since }

// Emit is how we tell what happens.
func (b *book) Emit(_ context.Context, e event.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := e.(type) {
	case event.Attempted:
		b.attempted(e)
	case event.Failed:
		b.failed(e.Where, e.Err)
	}
}

// failed is told of a failure of ours. There is none but where the process is dead
// or the database forgets. The caller holds the lock.
func (b *book) failed(where string, err error) {
	switch {
	case b.lossy && fault.Is(err, fault.Unavailable):
	case strings.Contains(err.Error(), errDead.Error()), b.w.cutOff.Load() && errors.Is(err, context.Canceled):
	default:
		b.wrongLocked("%s failed: %v", where, err)
	}
}

func (b *book) attempted(e event.Attempted) {
	b.counts.attempts++
	b.talk("%s to <%s> for the %d. time: %s %s %s", e.ID, e.To, e.Attempts, e.Outcome, e.Host, e.Reply)
	l := b.byID[e.ID]
	if l == nil {
		return // a report
	}
	c := l.copy(e.To)
	if c == nil {
		b.wrongLocked("%s was tried for <%s>, who is none of its recipients", l.token, e.To)
		return
	}
	now := time.Now()
	if c.ended != "" {
		b.wrongLocked("%s for <%s> was tried after it was %s", l.token, c.to, c.ended)
	}
	if now.Before(c.next) {
		b.wrongLocked("%s for <%s> was tried %s before its time", l.token, c.to, c.next.Sub(now))
	}
	if e.Attempts <= c.attempts {
		b.wrongLocked("%s for <%s> was tried %d times after %d", l.token, c.to, e.Attempts, c.attempts)
	}
	if c.attempts == 0 {
		c.first = e.Reply
	}
	c.attempts, c.next = e.Attempts, e.Next
	if e.Outcome != "deferred" {
		c.ended = e.Outcome
		c.lapsed = strings.HasPrefix(e.Reply, queue.Expired)
		if e.Outcome == "bounced" {
			b.counts.bounced++
			b.listed[string(l.from.Domain)+" "+strings.ToLower(c.to.String())] = true
		}
	}
}
