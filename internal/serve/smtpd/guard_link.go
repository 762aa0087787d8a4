package smtpd

import (
	"context"
	"errors"
	"time"
)

// errYielded is what waiting gives a session that others need the place of.
var errYielded = errors.New("others need the place")

// patience is how long a peer may keep us waiting. Only time that we wait
// counts: a slow disk of ours is no fault of the peer's.
type patience struct {
	rate    int64         // octets of content a second; 0: any
	most    time.Duration // of lag behind the rate
	content time.Duration // for a message's content in all; 0: any
	session time.Duration // from one message to the next; 0: any

	lag    time.Duration // how far the content in hand lags behind the rate
	waited time.Duration // for the content in hand
	since  time.Time     // of the connection or the last message taken
}

// guard begins to count, with the limits of l.
func (l *link) guard(o Limits) {
	l.patience = patience{rate: o.DataRate, most: o.Data, content: o.Content, session: o.Session, since: time.Now()}
}

// newContent begins a message's content.
func (p *patience) newContent() { p.lag, p.waited = 0, 0 }

// taken says that a message was taken.
func (p *patience) taken() { p.since = time.Now() }

// before is t, or the end of the session's time if that is earlier.
func (p *patience) before(now, t time.Time) time.Time {
	if end := p.since.Add(p.session); p.session > 0 && end.Before(t) {
		if end.Before(now) {
			return now
		}
		return end
	}
	return t
}

// until is when a read of content ends that may last for each at most.
func (p *patience) until(now time.Time, each time.Duration) time.Time {
	if p.rate > 0 {
		each = min(each, p.most-p.lag)
	}
	if p.content > 0 {
		each = min(each, p.content-p.waited)
	}
	return now.Add(max(each, 0))
}

// came notes that n octets of content came after a wait.
func (p *patience) came(n int, wait time.Duration) {
	p.waited += wait
	if p.rate > 0 {
		p.lag = max(0, p.lag+wait-time.Duration(n)*time.Second/time.Duration(p.rate))
	}
}

// waits says since when we wait for the peer, in Unix nanoseconds; 0 if we do
// not. It may be called by others than the session.
func (l *link) waits() int64 { return l.since.Load() }

// yield ends the session if we wait for the peer. It may be called by others
// than the session.
func (l *link) yield() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since.Load() != 0 {
		l.yielding = true
		l.raw.SetDeadline(time.Unix(1, 0))
	}
}

// pause lets the peer wait for the answers that are not sent yet. It says false
// if ctx ended.
func (l *link) pause(ctx context.Context, d time.Duration) bool {
	if l.flush() != nil {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
