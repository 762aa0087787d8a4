package queue

import (
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestSettle(t *testing.T) {
	const (
		never = mail.NotifyNever
		succ  = mail.NotifySuccess
		fail  = mail.NotifyFailure
		delay = mail.NotifyDelay
	)
	day := 24 * time.Hour
	for _, c := range []struct {
		name   string
		d      Delivery
		after  time.Duration // since First
		o      Outcome
		state  State
		notice Notice
		pause  time.Duration // of Waiting
	}{
		{"sent", Delivery{}, 0, Outcome{Result: Sent}, Delivered, NoNotice, 0},
		{"sent, success asked", Delivery{Notify: succ}, 0, Outcome{Result: Sent}, Delivered, NoticeRelayed, 0},
		{"sent to a host that reports itself", Delivery{Notify: succ}, 0, Outcome{Result: Sent, DSN: true}, Delivered, NoNotice, 0},
		{"sent, never", Delivery{Notify: never}, 0, Outcome{Result: Sent}, Delivered, NoNotice, 0},
		{"sent after five days", Delivery{}, 6 * day, Outcome{Result: Sent}, Delivered, NoNotice, 0},

		{"refused", Delivery{}, 0, Outcome{Result: Refused}, Bounced, NoticeFailed, 0},
		{"refused, failure asked", Delivery{Notify: fail | delay}, 0, Outcome{Result: Refused}, Bounced, NoticeFailed, 0},
		{"refused, only success asked", Delivery{Notify: succ}, 0, Outcome{Result: Refused}, Bounced, NoNotice, 0},
		{"refused, only delay asked", Delivery{Notify: delay}, 0, Outcome{Result: Refused}, Bounced, NoNotice, 0},
		{"refused, never", Delivery{Notify: never}, 0, Outcome{Result: Refused}, Bounced, NoNotice, 0},

		{"first pause", Delivery{}, 0, Outcome{Jitter: 0.5}, Waiting, NoNotice, 5 * time.Minute},
		{"first pause, shortest", Delivery{}, 0, Outcome{}, Waiting, NoNotice, 5*time.Minute - 50*time.Second},
		{"first pause, longest", Delivery{}, 0, Outcome{Jitter: 1}, Waiting, NoNotice, 5*time.Minute + 50*time.Second},
		{"second pause", Delivery{Attempts: 1}, 0, Outcome{Jitter: 0.5}, Waiting, NoNotice, 8*time.Minute + 30*time.Second},
		{"longest pause", Delivery{Attempts: 50, Warned: true}, day, Outcome{Jitter: 0.5}, Waiting, NoNotice, 4 * time.Hour},
		{"many attempts", Delivery{Attempts: 1 << 30, Warned: true}, day, Outcome{Jitter: 0.5}, Waiting, NoNotice, 4 * time.Hour},

		{"pause ends when the warning is due", Delivery{Attempts: 50}, 3 * time.Hour, Outcome{Jitter: 0.5}, Waiting, NoNotice, time.Hour},
		{"warning", Delivery{Attempts: 50}, 4 * time.Hour, Outcome{Jitter: 0.5}, Waiting, NoticeDelayed, 4 * time.Hour},
		{"warning but once", Delivery{Attempts: 50, Warned: true}, 5 * time.Hour, Outcome{Jitter: 0.5}, Waiting, NoNotice, 4 * time.Hour},
		{"warning asked", Delivery{Attempts: 50, Notify: delay}, 4 * time.Hour, Outcome{Jitter: 0.5}, Waiting, NoticeDelayed, 4 * time.Hour},
		{"warning not asked", Delivery{Attempts: 50, Notify: fail | succ}, 4 * time.Hour, Outcome{Jitter: 0.5}, Waiting, NoNotice, 4 * time.Hour},
		{"warning, never", Delivery{Attempts: 50, Notify: never}, 4 * time.Hour, Outcome{Jitter: 0.5}, Waiting, NoNotice, 4 * time.Hour},

		{"pause ends when it is given up", Delivery{Attempts: 50, Warned: true}, 5*day - time.Hour, Outcome{Jitter: 0.5}, Waiting, NoNotice, time.Hour},
		{"given up", Delivery{Attempts: 50, Warned: true}, 5 * day, Outcome{Reply: "451 no"}, Bounced, NoticeFailed, 0},
		{"given up, never", Delivery{Attempts: 50, Notify: never}, 6 * day, Outcome{}, Bounced, NoNotice, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.d.First = t0
			now := t0.Add(c.after)
			got, notice := Settle(c.d, c.o, Policy{}, now)
			if got.State != c.state || notice != c.notice {
				t.Errorf("state %s, notice %d; want %s, %d", got.State, notice, c.state, c.notice)
			}
			if got.Attempts != c.d.Attempts+1 || !got.Last.Equal(now) {
				t.Errorf("attempts %d, last %s", got.Attempts, got.Last)
			}
			if c.state == Waiting && got.Due.Sub(now) != c.pause {
				t.Errorf("pause %s, want %s", got.Due.Sub(now), c.pause)
			}
			if got.Warned != (c.d.Warned || c.state == Waiting && c.after >= 4*time.Hour) {
				t.Errorf("warned is %v", got.Warned)
			}
			if c.name == "given up" && got.LastReply != Expired+"; 451 no" {
				t.Errorf("last reply %q", got.LastReply)
			}
		})
	}
}

// TestSchedule writes down one whole life: what is refused for the time being
// until it is given up.
func TestSchedule(t *testing.T) {
	d := Delivery{First: t0, Due: t0}
	var now time.Time
	var line []string
	for d.State != Bounced {
		var notice Notice
		now = d.Due
		d, notice = Settle(d, Outcome{Jitter: 0.5}, Policy{}, now)
		mark := ""
		if notice != NoNotice {
			mark = [...]string{"", " failed", " delayed", " relayed"}[notice]
		}
		line = append(line, now.Sub(t0).Round(time.Second).String()+mark)
	}
	got := strings.Join(line, ", ")
	want := "0s, 5m0s, 13m30s, 27m57s, 52m31s, 1h34m17s, 2h45m16s, 4h0m0s delayed, 7h25m10s, 11h25m10s, 15h25m10s, " +
		"19h25m10s, 23h25m10s, 27h25m10s, 31h25m10s, 35h25m10s, 39h25m10s, 43h25m10s, 47h25m10s, 51h25m10s, 55h25m10s, " +
		"59h25m10s, 63h25m10s, 67h25m10s, 71h25m10s, 75h25m10s, 79h25m10s, 83h25m10s, 87h25m10s, 91h25m10s, 95h25m10s, " +
		"99h25m10s, 103h25m10s, 107h25m10s, 111h25m10s, 115h25m10s, 119h25m10s, 120h0m0s failed"
	if got != want {
		t.Errorf("schedule\n%s\nwant\n%s", got, want)
	}
}

func TestPolicyOfTrials(t *testing.T) {
	p := Policy{RetryFirst: 6 * time.Hour, WarnAfter: time.Second, GiveUpAfter: 24 * time.Hour}
	d, _ := Settle(Delivery{First: t0, Warned: true}, Outcome{Jitter: 0.5}, p, t0)
	if d.Due.Sub(t0) != 6*time.Hour {
		t.Errorf("a first pause over the longest gives %s", d.Due.Sub(t0))
	}
}
