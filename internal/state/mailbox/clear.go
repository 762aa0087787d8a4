package mailbox

import (
	"context"
	"math"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// ClearBefore takes messages out of the mailbox with a role that have lain there
// since before a time, limit of them at most, and says how many. It costs as much
// as it takes: what came first stands first. They can be restored as what anyone
// else expunges. An account without such a mailbox has nothing to clear.
func (s *Store) ClearBefore(ctx context.Context, a mail.AccountID, r Role, before time.Time, limit int) (n int, err error) {
	for n < limit {
		var box BoxID
		var old []UID
		err := s.View(ctx, a, func(t *Tx) error {
			old = old[:0]
			b, err := t.BoxByRole(r)
			if err != nil {
				return err
			}
			box = b.ID
			for p, err := range t.rows(b.ID, 1, math.MaxUint32) {
				if err != nil {
					return err
				}
				if !p.row.saved.Before(before) || len(old) == min(s.piece, limit-n) {
					return nil
				}
				old = append(old, p.uid)
			}
			return nil
		})
		if fault.Is(err, fault.NotFound) || err == nil && len(old) == 0 {
			return n, nil
		} else if err != nil {
			return n, fault.Wrap("mailbox.ClearBefore", err)
		}
		gone, err := s.Expunge(ctx, 0, a, box, old, true)
		n += len(gone)
		if err != nil || len(gone) == 0 {
			return n, err
		}
	}
	return n, nil
}
