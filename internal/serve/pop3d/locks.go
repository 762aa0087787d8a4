package pop3d

import (
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Locks keeps each account's maildrop to one session at a time (RFC 1939 §4),
// and knows when the last one began. It knows the sessions of this process.
type Locks struct {
	mu   sync.Mutex
	held map[mail.AccountID]struct{}
	last map[mail.AccountID]time.Time // of those within the delay, and some others
}

// maxLast is how many accounts are remembered before those that have waited long
// enough are looked for.
const maxLast = 10_000

// NewLocks gives locks that nobody holds.
func NewLocks() *Locks {
	return &Locks{held: map[mail.AccountID]struct{}{}, last: map[mail.AccountID]time.Time{}}
}

// take gives a's maildrop to the caller. fault.Conflict if another session has
// it; fault.TooMany before delay has passed since a session began (RFC 2449 §6.5).
func (l *Locks) take(a mail.AccountID, now time.Time, delay time.Duration) error {
	const op = "pop3d.open"
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.held[a]; ok {
		return fault.New(fault.Conflict, op, "another session has the maildrop open; please try again later")
	}
	if delay > 0 {
		if wait := delay - now.Sub(l.last[a]); wait > 0 {
			return fault.Newf(fault.TooMany, op, "please come back in %d seconds", (wait+time.Second-1)/time.Second)
		}
		if len(l.last) >= maxLast {
			for b, at := range l.last {
				if now.Sub(at) >= delay {
					delete(l.last, b)
				}
			}
		}
		l.last[a] = now
	}
	l.held[a] = struct{}{}
	return nil
}

func (l *Locks) release(a mail.AccountID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, a)
}
