package queue

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

func TestMoodOf(t *testing.T) {
	for reply, want := range map[string]Mood{
		"":                   Silent,
		"250 2.0.0 accepted": Well,
		"450 4.2.0 <a@b>: Greylisted, try again in 300 seconds": Silent,
		"452 4.2.2 mailbox full":                                Silent,
		"451 4.3.0 later":                                       Silent,
		"550 5.1.1 no such user":                                Silent,
		"550 5.2.1 the account is disabled":                     Silent,
		"421 4.3.2 shutting down":                               Slower,
		"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume":         Slower,
		"450 4.7.1 too many connections from your host":                                                   Slower,
		"421 4.7.28 Our system has detected an unusual rate of unsolicited mail":                          Slower,
		"451 4.7.500 Server busy. Please try again later from [192.0.2.1]":                                Slower,
		"554 5.7.1 message blocked: it looks like spam":                                                   Silent,
		"452 4.5.3 too many recipients":                                                                   Silent,
		"554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org":           Barred,
		"550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. … is on our block list (S3140)": Barred,
		"454 4.7.5 certificate problem":                                                                   Silent,
		"354 go on":                                                                                       Silent,
	} {
		if got := MoodOf(reply); got != want {
			t.Errorf("%q: %d, want %d", reply, got, want)
		}
	}
}

// TestPaceAdapts plays a site that wants less, then nothing, then more again.
func TestPaceAdapts(t *testing.T) {
	now := t0
	p := NewPace(Rule{Connections: 8}, now)
	places := func(want int) {
		t.Helper()
		if n, _ := p.Places(now); n != want {
			t.Errorf("%s: %d places, want %d", now.Sub(t0), n, want)
		}
	}
	places(8)
	p.Note(Slower, "421 a", now)
	places(4)
	p.Note(Well, "", now)
	p.Note(Slower, "421 b", now)
	places(2)
	p.Note(Slower, "421 c", now)
	p.Note(Slower, "421 d", now)
	if put := p.Start(now); put != "421 d" {
		t.Errorf("put off with %q", put)
	}
	places(8) // for what is put off
	p.Note(Well, "", now)
	p.Note(Slower, "421 e", now) // was under way
	now = now.Add(firstPause)
	places(1)
	if put := p.Start(now); put != "" {
		t.Errorf("does not probe: %s", put)
	}
	p.Note(Slower, "421 f", now)
	now = now.Add(2*firstPause - time.Second)
	if put := p.Start(now); put != "421 f" {
		t.Error("the pause does not grow")
	}
	now = now.Add(time.Second)
	places(1)
	for range 100 {
		p.Note(Well, "", now)
	}
	places(8)
	if !p.full() {
		t.Errorf("remembers %+v", p)
	}
	p.Note(Barred, "554 blocked", now)
	if put := p.Start(now); put != "" {
		t.Error("suspended for what may be one message's fault")
	}
	p.Note(Barred, "554 blocked", now)
	if put := p.Start(now.Add(firstPause - 1)); put == "" {
		t.Error("goes on although it is barred")
	}
}

// TestPaceRate counts what a bound of messages a minute lets through, also while
// the site wants less.
func TestPaceRate(t *testing.T) {
	count := func(p *Pace, from time.Time, d time.Duration) (n int) {
		for now := from; now.Before(from.Add(d)); {
			places, again := p.Places(now)
			if places > 0 {
				p.Start(now)
				n++
				continue
			}
			if !again.After(now) {
				t.Fatal("waits for nothing")
			}
			now = again
		}
		return n
	}
	p := NewPace(Rule{Connections: 5, PerMinute: 60}, t0)
	if n := count(p, t0, 10*time.Minute); n < 590 || n > 612 {
		t.Errorf("%d in 10 minutes", n)
	}
	now := t0.Add(10 * time.Minute)
	p.Note(Slower, "450 4.7.1 slow down", now)
	if n := count(p, now, 10*time.Minute); n < 290 || n > 312 {
		t.Errorf("%d in 10 minutes after it wanted less", n)
	}
	for range 100 {
		p.Note(Well, "", now.Add(10*time.Minute))
	}
	if n := count(p, now.Add(10*time.Minute), 10*time.Minute); n < 590 || n > 612 {
		t.Errorf("%d in 10 minutes after it was well", n)
	}
}

// TestPlanKeepsRules plays at random: no site ever has more under way, or in a
// minute, than its rule allows, and in the end all were started.
func TestPlanKeepsRules(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		rule := Rule{Connections: 1 + rnd.IntN(4), PerMinute: 30 + rnd.IntN(100)}
		p := NewPlan(Limits{}, Ways{Rule: func(s mail.Domain) Rule {
			if s == "ruled" {
				return rule
			}
			return Rule{}
		}})
		left := 200
		for n := range left {
			p.Offer(numbered(n, 1+rnd.Uint64N(3), []mail.Domain{"ruled", "free"}[n%2]))
		}
		now, busy := t0, 0
		var flying []Batch
		var starts []time.Time
		for left > 0 {
			for b, ok := p.Next(now); ok; b, ok = p.Next(now) {
				flying = append(flying, b)
				if b.Site == "ruled" && b.Put == "" {
					busy++
					starts = append(starts, now)
				}
			}
			if busy > rule.Connections {
				t.Fatalf("seed %d: %d at once of %d", seed, busy, rule.Connections)
			}
			if len(flying) == 0 {
				if p.Wake().IsZero() {
					t.Fatalf("seed %d: %d wait for nothing", seed, left)
				}
				now = p.Wake()
				continue
			}
			i := rnd.IntN(len(flying))
			b := flying[i]
			flying = append(flying[:i], flying[i+1:]...)
			if b.Site == "ruled" {
				busy--
				p.Note(b.Site, []Mood{Well, Well, Silent, Slower}[rnd.IntN(4)], "421 no", now)
			}
			p.Done(b)
			left--
			now = now.Add(time.Duration(rnd.IntN(1000)) * time.Millisecond)
		}
		for i := range starts {
			if j := i + rule.PerMinute + rule.PerMinute/6 + 1; j < len(starts) && starts[j].Sub(starts[i]) < time.Minute {
				t.Fatalf("seed %d: more than %d a minute", seed, rule.PerMinute)
			}
		}
	}
}
