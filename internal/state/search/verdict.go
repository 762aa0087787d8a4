package search

import (
	"slices"
	"sync"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Bounds of what is remembered, all accounts together.
const (
	maxVerdicts = 200_000 // about 5 MB
	maxQueries  = 1_000
	maxRemember = 256 // octets of a text
)

// verdicts remembers what was found out by looking at messages. It stays true:
// a message never changes, and its id is never given again.
type verdicts struct {
	mu    sync.Mutex
	by    map[asked]map[uint64]bool
	order []asked // the one used last comes last
	n     int
}

type asked struct {
	account mail.AccountID
	query   Query
}

// Learn tells what a look at messages that Search was not sure of has shown.
func (s *Store) Learn(a mail.AccountID, q Query, seen map[uint64]bool) {
	if len(seen) == 0 || len(q.Text) > maxRemember || len(q.Field) > maxRemember {
		return
	}
	v := &s.verdicts
	v.mu.Lock()
	defer v.mu.Unlock()
	k := asked{a, q}
	known := v.use(k)
	if known == nil {
		known = map[uint64]bool{}
		if v.by == nil {
			v.by = map[asked]map[uint64]bool{}
		}
		v.by[k] = known
		v.order = append(v.order, k)
	}
	v.n -= len(known)
	for id, has := range seen {
		if len(known) < maxVerdicts/2 {
			known[id] = has
		}
	}
	v.n += len(known)
	for v.n > maxVerdicts || len(v.order) > maxQueries {
		v.n -= len(v.by[v.order[0]])
		delete(v.by, v.order[0])
		v.order = slices.Delete(v.order, 0, 1)
	}
}

// use gives what is known of k and makes it the one used last.
func (v *verdicts) use(k asked) map[uint64]bool {
	known := v.by[k]
	if known != nil {
		i := slices.Index(v.order, k)
		v.order = append(slices.Delete(v.order, i, i+1), k)
	}
	return known
}

// apply takes out of r.Maybe what is known.
func (v *verdicts) apply(a mail.AccountID, q Query, r *Result) {
	v.mu.Lock()
	defer v.mu.Unlock()
	known := v.use(asked{a, q})
	if known == nil {
		return
	}
	sure := len(r.Sure)
	r.Maybe = slices.DeleteFunc(r.Maybe, func(id uint64) bool {
		has, ok := known[id]
		if has {
			r.Sure = append(r.Sure, id)
		}
		return ok
	})
	if sure > 0 {
		slices.Sort(r.Sure)
	}
}
