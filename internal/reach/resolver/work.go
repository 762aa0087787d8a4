package resolver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
	words "github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// What one question may cost, whatever the servers of the world answer. Zones can be
// made so that a question sets off many others, at their owner's servers or at a
// victim's (NXNSAttack, CVE-2020-8616; iterative bombs, CVE-2024-8508).
const (
	maxSent     = 120 // packets to servers
	maxTargets  = 12  // look-ups of name servers' addresses
	maxPerZone  = 4   // of those, for one zone
	maxDepth    = 5   // of look-ups that a look-up needs
	maxAttempts = 6   // servers of a zone that are tried with one question
	maxAliases  = 11  // aliases that are followed
	maxHops     = 40  // zones and names on the way down to one name
	maxRecords  = 1000
)

// errSpent says that a question has cost what it may.
var errSpent = errors.New("the question costs too much")

// work counts what one question has cost. It belongs to one goroutine.
type work struct {
	sent    int
	targets int
	depth   int
	check   dnssec.Work
	budget  *words.Budget // of all questions of a message; nil: none

	avoid map[string]bool // servers whose answer was bogus

	renew question  // what is asked for anew,
	from  time.Time // though the cache has it from before
}

// since is how old what is known of a question may be.
func (w *work) since(q question) time.Time {
	if q == w.renew {
		return w.from
	}
	return time.Time{}
}

func newWork(ctx context.Context) *work { return &work{budget: words.BudgetOf(ctx)} }

// send counts a packet before it is sent.
func (w *work) send() error {
	if w.sent >= maxSent {
		return fmt.Errorf("%w: %d packets", errSpent, maxSent)
	}
	w.sent++
	if w.budget != nil && !w.budget.Take() {
		return fmt.Errorf("%w: all that the questions for one message may cost together", errSpent)
	}
	return nil
}
