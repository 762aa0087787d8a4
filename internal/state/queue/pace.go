package queue

import (
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Rule bounds what a site is sent. A zero field sets no bound of its own.
type Rule struct {
	Connections   int // at once
	PerConnection int // messages over one connection
	PerMinute     int // messages
}

// Mood is what an attempt says of a site's mood.
type Mood uint8

// The moods, worst last.
const (
	Silent Mood = iota // nothing: the answer was about a recipient
	Well               // it takes mail
	Slower             // it wants less for now
	Barred             // it wants none of us
)

// Times and numbers of a pace.
const (
	firstPause  = time.Minute // of a suspension; it doubles
	longPause   = time.Hour
	strikesOut  = 3  // answers that want less, and none that is well between
	trusted     = 10 // that are well in a row, and the last suspension is forgotten
	maxPaces    = 10_000
	burst       = 10 * time.Second // how much of a minute's messages may go at once
	recoverRate = 1.05
)

// Pace is how fast one site is sent mail: within its rule, slower when it says
// so, and not at all for a growing time when it goes on. Behind that one batch
// probes; when it is taken the pace grows again. It decides by its arguments
// alone.
type Pace struct {
	rule    Rule
	places  float64 // connections that are allowed now
	rate    float64 // messages a minute that are allowed now; 0: any
	tokens  float64
	filled  time.Time // tokens were
	strikes int
	well    int // in a row
	pause   time.Duration
	until   time.Time // it is suspended; zero: it is not, and does not probe
	said    string    // why
	last    time.Time // something was said
}

// NewPace begins at the full pace of a rule that bounds the connections.
func NewPace(r Rule, now time.Time) *Pace {
	p := &Pace{rule: r, places: float64(r.Connections), rate: float64(r.PerMinute), filled: now, last: now}
	p.tokens = p.most()
	return p
}

// most is how many messages may go at once.
func (p *Pace) most() float64 { return max(1, p.rate*burst.Minutes()) }

// Places is how many batches may be under way at now. If it is none, it says when
// there will be one. While the site is suspended there are places, for what is
// put off.
func (p *Pace) Places(now time.Time) (n int, again time.Time) {
	if !p.until.IsZero() {
		if now.Before(p.until) {
			return p.rule.Connections, time.Time{}
		}
		return 1, time.Time{} // probes
	}
	if p.rate > 0 {
		p.fill(now)
		if p.tokens < 1 {
			return 0, now.Add(time.Duration((1-p.tokens)/p.rate*float64(time.Minute)) + time.Millisecond)
		}
	}
	return int(p.places), time.Time{}
}

func (p *Pace) fill(now time.Time) {
	if d := now.Sub(p.filled); d > 0 {
		p.tokens = min(p.tokens+d.Minutes()*p.rate, p.most())
		p.filled = now
	}
}

// Start counts a batch. If the site is suspended it gives the answer with which
// the batch is put off.
func (p *Pace) Start(now time.Time) (put string) {
	if now.Before(p.until) {
		return p.said
	}
	p.tokens--
	return ""
}

// Note tells how an attempt went.
func (p *Pace) Note(m Mood, reply string, now time.Time) {
	p.last = now
	if m == Silent || now.Before(p.until) { // what was under way says nothing new
		return
	}
	if m == Well {
		p.grow()
		return
	}
	p.well = 0
	p.strikes++
	if m == Barred {
		p.strikes++ // once it may have been about one message
	}
	p.places = max(1, p.places/2)
	if p.rate > 0 {
		p.rate = max(1, p.rate/2)
		p.tokens = min(p.tokens, p.most())
	}
	if p.strikes >= strikesOut || !p.until.IsZero() {
		p.pause = min(max(2*p.pause, firstPause), longPause)
		p.until, p.said, p.strikes = now.Add(p.pause), reply, 0
	}
}

// grow makes the pace a little faster.
func (p *Pace) grow() {
	p.until, p.strikes = time.Time{}, 0
	p.places = min(p.places+1/p.places, float64(p.rule.Connections))
	if p.rate > 0 {
		p.rate = min(max(p.rate*recoverRate, p.rate+1), float64(p.rule.PerMinute))
	}
	if p.well++; p.well >= trusted {
		p.pause = 0
	}
}

// full says whether p goes as fast as its rule allows, with nothing to remember.
func (p *Pace) full() bool {
	return p.until.IsZero() && p.pause == 0 && p.strikes == 0 && p.places >= float64(p.rule.Connections) && p.rate >= float64(p.rule.PerMinute)
}

// paced is the pace of s; nil if it has no rule and has said nothing.
func (p *Plan) paced(s *site, now time.Time) *Pace {
	if pace := p.paces[s.name]; pace != nil || p.ways.Rule(s.name) == (Rule{}) {
		return pace
	}
	return p.pace(s.name, now)
}

// pace finds the pace of a site, or begins it.
func (p *Plan) pace(name mail.Domain, now time.Time) *Pace {
	if pace := p.paces[name]; pace != nil {
		return pace
	}
	if len(p.paces) >= maxPaces {
		for other, pace := range p.paces {
			if pace.full() || now.Sub(pace.last) > longPause {
				delete(p.paces, other)
			}
		}
	}
	rule := p.ways.Rule(name)
	if rule.Connections <= 0 {
		rule.Connections = p.limits.PerHop
	}
	pace := NewPace(rule, now)
	p.paces[name] = pace
	return pace
}

// Note tells how an attempt for a site went, and with which answer.
func (p *Plan) Note(name mail.Domain, m Mood, reply string, now time.Time) {
	pace := p.paces[name]
	if pace == nil {
		if m <= Well {
			return
		}
		pace = p.pace(name, now)
	}
	before := *pace
	pace.Note(m, reply, now)
	p.suspends(name, before, *pace)
	if pace.full() && p.ways.Rule(name) == (Rule{}) {
		delete(p.paces, name)
	}
	if s := p.sites[name]; s != nil {
		p.enqueue(s) // it may have more places
	}
}

// MoodOf reads the mood of a site from an answer of its host, as a reply's text
// has it: the code, the enhanced code if there is one, and words. Answers about
// a recipient, such as that a mailbox is full or that a sender is greylisted, say
// nothing of the site.
func MoodOf(reply string) Mood {
	if reply == "" {
		return Silent
	}
	words := strings.ToLower(reply)
	code, rest, _ := strings.Cut(words, " ")
	has := func(some ...string) bool {
		for _, s := range some {
			if strings.Contains(rest, s) {
				return true
			}
		}
		return false
	}
	switch {
	case code[0] == '2':
		return Well
	case has("greylist", "graylist", "grey list", "postgrey"):
		return Silent
	case code[0] != '4' && code[0] != '5':
		return Silent
	case has("blocked") && has("client host", "your host", "your ip", "ip address", "your network", "["), has("blocklist", "block list", "blacklist", "black list", "spamhaus", "spamcop", "barracudacentral", "dnsbl", " rbl", "poor reputation", "bad reputation"):
		return Barred
	case code[0] == '5':
		return Silent
	case code == "421", has("rate limit", "ratelimit", "rate that", "throttl", "too many connections", "too many messages", "too much mail",
		"too fast", "temporarily deferred", "temporarily rejected", "try later", "slow down", "unusual rate", "reputation", "concurren", "[tss"):
		return Slower
	case has("4.7.", "4.3.2", "4.4.5", "4.4.2") && !has("4.7.5 "):
		return Slower
	}
	return Silent
}
