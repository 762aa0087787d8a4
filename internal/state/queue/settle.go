package queue

import (
	"math"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Policy is how long and how often to try. A zero field takes the default.
type Policy struct {
	RetryFirst  time.Duration // the first pause; 5 minutes
	RetryMax    time.Duration // the longest pause; 4 hours, at least RetryFirst
	Growth      float64       // of one pause over the last; 1.7
	WarnAfter   time.Duration // when the sender is told of the delay; 4 hours
	GiveUpAfter time.Duration // 5 days (RFC 5321 §4.5.4.1 wants 4 at least)

	By mail.DeliverBy // the message's own wish; zero: none
}

func (p Policy) filled() Policy {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&p.RetryFirst, 5*time.Minute)
	def(&p.RetryMax, 4*time.Hour)
	def(&p.WarnAfter, 4*time.Hour)
	def(&p.GiveUpAfter, 5*24*time.Hour)
	p.RetryMax = max(p.RetryMax, p.RetryFirst)
	if p.Growth < 1 {
		p.Growth = 1.7
	}
	return p
}

// GiveUp is when d is given up if nothing takes it.
func (p Policy) GiveUp(d Delivery) time.Time { return d.First.Add(p.filled().GiveUpAfter) }

// Result is how an attempt ended for one recipient.
type Result uint8

// The results of an attempt. What is not known, such as a line that broke
// behind the final dot, is Deferred.
const (
	Deferred Result = iota
	Sent
	Refused // for good
)

// Outcome is one attempt for one recipient.
type Outcome struct {
	Result Result
	Reply  string  // the remote's words, or ours
	Host   string  // who said so; "" if no host was reached
	DSN    bool    // of Sent: the next hop reports itself (RFC 3461 §5.2)
	Tell   bool    // of Sent: the sender is told whatever else it asked for, but NEVER (RFC 2852 §4.1.4)
	Jitter float64 // from 0 to 1, drawn at random: spreads what failed together
}

// Notice is what the sender is to be told.
type Notice uint8

// The notices.
const (
	NoNotice      Notice = iota
	NoticeFailed         // RFC 3464 "failed"
	NoticeDelayed        // "delayed"
	NoticeRelayed        // "relayed": taken by a host that will not report
)

// Expired begins the LastReply of a delivery that was given up because of its
// age; the last answer follows.
const Expired = "delivery time expired"

// Settle says what becomes of a delivery after an attempt at now, and what its
// sender must be told. It decides by its arguments alone. Whether the sender
// can be told at all (a null reverse-path cannot) is the caller's to see.
func Settle(d Delivery, o Outcome, p Policy, now time.Time) (Delivery, Notice) {
	p = p.filled()
	d.Attempts++
	d.Last, d.LastReply, d.LastHost = now, o.Reply, o.Host
	switch o.Result {
	case Sent:
		d.State = Delivered
		if wants(d.Notify, mail.NotifySuccess) && !o.DSN || o.Tell && d.Notify&mail.NotifyNever == 0 {
			return d, NoticeRelayed
		}
		return d, NoNotice
	case Refused:
		return bounce(d)
	}
	giveUp := d.First.Add(p.GiveUpAfter)
	if p.By.Return && p.By.At.Before(giveUp) { // RFC 2852 §4.1.3
		giveUp = p.By.At
	}
	if !now.Before(giveUp) {
		d.LastReply = Expired + "; " + o.Reply
		return bounce(d)
	}
	notice := NoNotice
	warn := d.First.Add(p.WarnAfter)
	if !d.Warned && !now.Before(warn) {
		d.Warned = true
		if d.Notify == 0 || wants(d.Notify, mail.NotifyDelay) {
			notice = NoticeDelayed
		}
	}
	if p.By.Passed(now) && !d.Late {
		d.Late = true
		if d.Notify == 0 || wants(d.Notify, mail.NotifyDelay) {
			notice = NoticeDelayed
		}
	}
	d.State = Waiting
	d.Due = now.Add(p.hurry(p.pause(d.Attempts, o.Jitter), now))
	// The warning and the last attempt come at their times, not a pause later.
	if !d.Warned && d.Due.After(warn) {
		d.Due = warn
	}
	if !d.Late && !p.By.IsZero() && d.Due.After(p.By.At) {
		d.Due = p.By.At
	}
	if d.Due.After(giveUp) {
		d.Due = giveUp
	}
	return d, notice
}

// hurried is the shortest pause of a message that must be there in time.
const hurried = 10 * time.Second

// hurry shortens a pause before a deliver-by-time that is near: half of what is
// left is waited for at most.
func (p Policy) hurry(pause time.Duration, now time.Time) time.Duration {
	if p.By.IsZero() || p.By.Passed(now) {
		return pause
	}
	return min(pause, max(p.By.At.Sub(now)/2, hurried))
}

// bounce gives d up. A sender who asked for nothing is told of failures, one
// who asked for other things only is not (RFC 3461 §4.1).
func bounce(d Delivery) (Delivery, Notice) {
	d.State = Bounced
	if d.Notify == 0 || wants(d.Notify, mail.NotifyFailure) {
		return d, NoticeFailed
	}
	return d, NoNotice
}

func wants(n, what mail.Notify) bool { return n&mail.NotifyNever == 0 && n&what != 0 }

// pause is how long to wait after the given number of attempts: growing, up to
// a sixth shorter or longer by chance.
func (p Policy) pause(attempts int, jitter float64) time.Duration {
	f := float64(p.RetryFirst) * math.Pow(p.Growth, float64(attempts-1))
	f = min(f, float64(p.RetryMax)) * (1 + (2*min(max(jitter, 0), 1)-1)/6)
	return time.Duration(f)
}
