package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// reach is what becomes of a connection that is asked for.
type reach uint8

const (
	answers reach = iota
	refuses       // at once
	silent        // nothing comes back
)

// cut is where a host breaks the connection.
type cut uint8

const (
	nowhere    cut = iota
	atBanner       // before it
	atMail         // at a command of the envelope
	inContent      // when some of it has come
	behindDot      // the message is taken, and nobody hears of it
	beforeTake     // it is thrown away behind the final dot
)

// mood is how a site's hosts behave. The zero mood is well.
type mood struct {
	name   string
	reach  reach
	greet  string        // in place of 220
	grey   time.Duration // strangers wait for so long
	mail   string        // the answer to MAIL
	rcpt   string        // the answer to RCPT
	dot    string        // the answer to the final dot
	some   string        // the answer to RCPT for half of the recipients
	cut    cut
	pause  time.Duration // before each answer
	late   time.Duration // before the answer to the final dot
	rate   int           // messages a minute, and then "try later"
	lines  int           // messages a connection, and then 421
	chance float64       // of it, for each connection; 0: always

	noTLS   bool // STARTTLS is not offered
	noStart bool // it is, and refused
	badCert bool // another's certificate
	bare    bool // no extension is offered
	plain   bool // EHLO is not understood

	dns, tlsa dnsMood // of the hosts' addresses and their TLSA records
}

// dnsMood is what the name servers say.
type dnsMood uint8

const (
	dnsWell   dnsMood = iota
	dnsFails          // SERVFAIL
	dnsBogus          // signatures do not hold
	dnsSlow           // nothing comes back
	dnsGone           // no such name
	dnsEmpty          // no MX, and no address
	dnsNull           // null MX
	dnsMoved          // the MX of another site
	dnsPoison         // an attacker's host, which a validating resolver notices where the domain is signed
)

// moods are those that sites fall into, the frequent ones several times.
func moods() []mood {
	busy := "421 4.3.2 too busy, come back"
	return []mood{
		{name: "greylists", grey: 5 * time.Minute}, {name: "greylists for long", grey: time.Hour},
		{name: "is busy", greet: busy}, {name: "is sometimes busy", greet: busy, chance: .5},
		{name: "says 421 at MAIL", mail: busy, chance: .7}, {name: "says 421 at the dot", dot: busy, chance: .5},
		{name: "refuses connections", reach: refuses}, {name: "refuses some connections", reach: refuses, chance: .5},
		{name: "is silent", reach: silent}, {name: "is at times silent", reach: silent, chance: .5},
		{name: "hangs up", cut: atBanner}, {name: "breaks in the envelope", cut: atMail, chance: .6}, {name: "breaks in the content", cut: inContent, chance: .6},
		{name: "takes and breaks", cut: behindDot, chance: .5}, {name: "always takes and breaks", cut: behindDot},
		{name: "breaks behind the dot", cut: beforeTake, chance: .7}, {name: "always breaks behind the dot", cut: beforeTake},
		{name: "is slow", pause: 20 * time.Second, late: time.Minute}, {name: "is very slow", pause: 2*time.Minute + 7*time.Second, late: 4 * time.Minute},
		{name: "is too slow", pause: 5*time.Minute + 11*time.Second, chance: .7}, {name: "answers the dot too late", late: 10*time.Minute + 13*time.Second, chance: .7},
		{name: "has a full disk", mail: "452 4.3.1 insufficient system storage"}, {name: "has full mailboxes", some: "452 4.2.2 mailbox full"},
		{name: "is rate-limited", rate: 6}, {name: "takes few a connection", lines: 3}, {name: "takes one a connection", lines: 1},
		{name: "says try later", mail: "451 4.7.1 try later: unusual rate of mail from your network"},
		{name: "says blocked", greet: "554 5.7.1 your IP address is blocked using zen.spamhaus.org", chance: .5},
		{name: "says blocked for now", rcpt: "450 4.7.1 client host blocked, see the blocklist"},
		{name: "returns as spam", dot: "550 5.7.1 message content rejected as spam", chance: .3},
		{name: "storms", rcpt: "451 4.3.0 internal error"}, {name: "storms at the dot", dot: "451 4.3.0 queue file write error"},
		{name: "has another's certificate", badCert: true}, {name: "has lost its key", noStart: true},
		{name: "is stripped of STARTTLS", noTLS: true}, {name: "is stripped at times", noTLS: true, chance: .5},
		{name: "has no extensions", bare: true}, {name: "knows no EHLO", plain: true},
		{name: "cannot be looked up", dns: dnsFails}, {name: "has bogus addresses", dns: dnsBogus}, {name: "is looked up in vain", dns: dnsSlow},
		{name: "has TLSA that fails", tlsa: dnsFails}, {name: "has bogus TLSA", tlsa: dnsBogus},
	}
}

// storms says whether the host says of us, and not of a message, that it wants
// nothing.
func (m mood) storms() bool {
	return m.chance == 0 && queue.MoodOf(m.mail+m.rcpt) > queue.Well
}

// domainMoods are those of a domain's own name servers.
func domainMoods() []dnsMood {
	return []dnsMood{dnsFails, dnsFails, dnsBogus, dnsSlow, dnsGone, dnsEmpty, dnsNull, dnsMoved, dnsMoved, dnsPoison, dnsPoison}
}

var dnsWords = [...]string{"is well", "fails", "is bogus", "is silent", "is gone", "has no MX", "has a null MX", "has moved", "is poisoned"}

func (m dnsMood) String() string { return dnsWords[m] }

func (m mood) String() string {
	if m.name == "" {
		return "is well"
	}
	return m.name
}

// lasts draws how long a mood lasts: an hour or so, at times days, seldom longer
// than mail is kept.
func lasts(rnd *rand.Rand) time.Duration {
	switch n := rnd.IntN(100); {
	case n < 60:
		return 5*time.Minute + time.Duration(rnd.Int64N(int64(3*time.Hour)))
	case n < 95:
		return time.Hour + time.Duration(rnd.Int64N(int64(30*time.Hour)))
	}
	return 5*day + time.Duration(rnd.Int64N(int64(2*day)))
}

const day = 24 * time.Hour

// change is a mood that begins.
type change struct {
	at   time.Duration // since the beginning
	what string
	do   func()
}

// plot draws the moods of all sites and domains over so many days. After the last
// day all are well.
func (w *world) plot(days int) (all []change) {
	end := time.Duration(days) * day
	add := func(at time.Duration, who string, what fmt.Stringer, do func()) {
		all = append(all, change{at, who + " " + what.String(), do})
	}
	kinds, dnsKinds := moods(), domainMoods()
	for _, s := range w.sites {
		if s.steady {
			continue
		}
		for at := time.Duration(w.rnd.Int64N(int64(day))); at < end; {
			m := kinds[w.rnd.IntN(len(kinds))]
			till := min(at+lasts(w.rnd), end)
			add(at, s.name, m, func() { s.set(m) })
			add(till, s.name, mood{}, func() { s.set(mood{}) })
			at = till + time.Duration(w.rnd.Int64N(int64(3*day)))
		}
	}
	for _, d := range w.domains {
		if d.site.steady || w.rnd.IntN(5) > 0 {
			continue
		}
		at := time.Duration(w.rnd.Int64N(int64(end - day)))
		m := dnsKinds[w.rnd.IntN(len(dnsKinds))]
		till := min(at+lasts(w.rnd), end)
		add(at, d.name, m, func() { d.set(m) })
		add(till, d.name, dnsWell, func() { d.set(dnsWell) })
	}
	for _, d := range w.domains {
		if d.sts == nil || w.rnd.IntN(2) > 0 {
			continue
		}
		at := time.Duration(w.rnd.Int64N(int64(end)))
		till := min(at+lasts(w.rnd), end)
		add(at, d.name, stsWords(true), func() { d.sts.set(true) })
		add(till, d.name, stsWords(false), func() { d.sts.set(false) })
	}
	return all
}

type stsWords bool

func (away stsWords) String() string {
	if away {
		return "has lost its policy's web server"
	}
	return "has its policy's web server again"
}
