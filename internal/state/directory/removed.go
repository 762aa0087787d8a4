package directory

import (
	"context"
	"encoding/binary"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Removed is the ids that accounts had which are no more. What a crash has left
// of such an account's mail may be removed: no id is used twice.
func (s *Store) Removed(ctx context.Context) ([]mail.AccountID, error) {
	const op = "directory.Removed"
	var removed []mail.AccountID
	err := s.view(ctx, func(r rows) error {
		removed = nil
		b, ok, err := r.Get(nextKey())
		if err != nil || !ok {
			return err
		}
		if len(b) != 8 {
			return fault.As(fault.Corrupt, op, errRow)
		}
		all, err := r.accounts(0)
		there := map[mail.AccountID]bool{}
		for _, a := range all {
			there[a.ID] = true
		}
		for id := mail.AccountID(1); err == nil && uint64(id) < binary.BigEndian.Uint64(b); id++ {
			if !there[id] {
				removed = append(removed, id)
			}
		}
		return err
	})
	return removed, fault.Wrap(op, err)
}
