package imapd

import (
	"slices"
	"sync"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// recents is what the sessions of this server were told of mailboxes that they
// have selected, so that each message is \Recent to one of them only (RFC 3501
// §2.3.2). The store learns of it when a mailbox is selected and left.
type recents struct {
	mu sync.Mutex
	by map[looked]*told
}

// looked is a mailbox that somebody looks at.
type looked struct {
	who, account mail.AccountID
	box          mailbox.BoxID
}

// told is up to where somebody's sessions were told.
type told struct {
	sessions int
	next     mailbox.UID // the first UID that none was told of
}

// join says that a session has selected a mailbox of which the store knows that
// all below stored were told.
func (r *recents) join(k looked, stored mailbox.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.by[k]
	if t == nil {
		t = &told{}
		r.by[k] = t
	}
	t.sessions++
	t.next = max(t.next, stored)
}

// leave says that a session has left a mailbox.
func (r *recents) leave(k looked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.by[k]; t != nil {
		if t.sessions--; t.sessions == 0 {
			delete(r.by, k)
		}
	}
}

// take gives the first UID that no session was told of, and says that all below
// next are told now; with 0 nothing is told.
func (r *recents) take(k looked, next mailbox.UID) (first mailbox.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.by[k]
	if t == nil {
		return 0
	}
	first = t.next
	t.next = max(t.next, next)
	return first
}

func (c *session) looked() looked {
	return looked{c.account(), c.sel.account, c.sel.box}
}

// takeRecent takes those below next that no other session was told of as
// \Recent. One that only examines the mailbox leaves them to the next.
func (c *session) takeRecent(next mailbox.UID) {
	v := c.sel
	taken := next
	if v.readOnly {
		taken = 0
	}
	first := max(c.s.recents.take(c.looked(), taken), v.freshTo)
	if first >= next {
		return
	}
	v.freshTo = next
	if n := len(v.fresh); n > 0 && v.fresh[n-1].Last+1 == first {
		v.fresh[n-1].Last = next - 1
		return
	}
	v.fresh = append(v.fresh, imap.Range{First: first, Last: next - 1})
}

// isFresh says whether u is in ranges that ascend.
func isFresh(ranges []imap.Range, u mailbox.UID) bool {
	_, found := slices.BinarySearchFunc(ranges, u, func(r imap.Range, u mailbox.UID) int {
		switch {
		case r.Last < u:
			return -1
		case r.First > u:
			return 1
		}
		return 0
	})
	return found
}

// countFresh counts the messages of the view that are \Recent.
func (v *view) countFresh() (n int) {
	for _, r := range v.fresh {
		from, _ := v.uids.find(r.First)
		to, there := v.uids.find(r.Last)
		if there {
			to++
		}
		n += to - from
	}
	return n
}
