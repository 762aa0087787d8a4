package dns

import (
	"context"
	"sync/atomic"
)

// Budget bounds what all questions for one purpose, such as one message, may cost
// together. It may be used by several goroutines.
type Budget struct{ left atomic.Int64 }

// MessagePackets is how many packets to name servers a message may cost.
const MessagePackets = 400

// NewBudget allows packets to name servers.
func NewBudget(packets int) *Budget {
	b := &Budget{}
	b.left.Store(int64(packets))
	return b
}

// Take spends one packet; false says that all are spent.
func (b *Budget) Take() bool { return b.left.Add(-1) >= 0 }

// Spent says whether the budget did not suffice.
func (b *Budget) Spent() bool { return b.left.Load() < 0 }

type budgetKey struct{}

// WithBudget gives a context under which a Resolver spends from a budget.
func WithBudget(ctx context.Context, b *Budget) context.Context {
	return context.WithValue(ctx, budgetKey{}, b)
}

// BudgetOf is the budget of a context; nil if it has none.
func BudgetOf(ctx context.Context) *Budget {
	b, _ := ctx.Value(budgetKey{}).(*Budget)
	return b
}
