package backup

import (
	"context"
	"fmt"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
)

// Rooms are what Verify looks through.
type Rooms struct {
	Blobs    *blob.Store
	Accounts func(ctx context.Context) ([]mail.AccountID, error)
	// Account gives what is wrong in an account, in words (mailbox.Store.Verify).
	Account func(ctx context.Context, a mail.AccountID) ([]string, error)
	// Holds tells of bodies that are held for messages that are not there
	// (mailbox.Store.VerifyReferences). nil: nobody looks.
	Holds func(ctx context.Context, bad func(a mail.AccountID, problem string)) error
}

// Verified says what Verify has looked at.
type Verified struct {
	Accounts int
	Bodies   int
	Problems int
}

// Verify reads the whole store, while mail flows: every row of every account is
// counted against the others, every reference must lead to a body, and every
// body must be as it was. It tells problem of each that is not, in words; the
// error is for what kept it from going on.
func Verify(ctx context.Context, r Rooms, problem func(string), tell func(Progress)) (v Verified, err error) {
	const op = "backup.Verify"
	if tell == nil {
		tell = func(Progress) {}
	}
	found := func(format string, args ...any) {
		v.Problems++
		problem(fmt.Sprintf(format, args...))
	}
	accounts, err := r.Accounts(ctx)
	if err != nil {
		return v, fault.Wrap(op, err)
	}
	for _, a := range accounts {
		problems, err := r.Account(ctx, a)
		if err != nil {
			if !fault.Is(err, fault.Corrupt) {
				return v, fault.Wrap(op, err)
			}
			found("account %d: %v", a, err)
		}
		for _, p := range problems {
			found("account %d: %s", a, p)
		}
		v.Accounts++
		tell(Progress{Stage: "checking", Done: int64(v.Accounts), Total: int64(len(accounts))})
	}
	if r.Holds != nil {
		err := r.Holds(ctx, func(a mail.AccountID, problem string) { found("account %d: %s", a, problem) })
		if err != nil && !fault.Is(err, fault.Corrupt) { // damage is told by Blobs
			return v, fault.Wrap(op, err)
		}
	}
	v.Bodies, err = r.Blobs.Verify(ctx, func(id mail.BlobID, err error) { found("body %v: %v", id, err) })
	return v, fault.Wrap(op, err)
}
