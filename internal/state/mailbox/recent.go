package mailbox

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// What no session has been told of yet is \Recent (RFC 3501 §2.3.2). Which UID
// that begins with is kept in a shard of its own beside the account: to look at
// a mailbox is no change of the account.

// What others than the owner were told of stands beside their own accounts.
func recentKey(who, a mail.AccountID, b BoxID) kv.Key {
	k := kv.NewKey(kv.SessionShard(who))
	if who == a {
		return k.Uint8('r').Uint64(uint64(b))
	}
	return k.Uint8('o').Uint64(uint64(a)).Uint64(uint64(b))
}

// Recent is the first UID of a mailbox of account a that no session of who's was
// told of.
func (s *Store) Recent(ctx context.Context, who, a mail.AccountID, b BoxID) (UID, error) {
	first := UID(1)
	err := s.db.View(ctx, kv.SessionShard(who), func(r kv.Reader) (err error) {
		first, err = readRecent(r, who, a, b)
		return err
	})
	return first, fault.Wrap("mailbox.Recent", err)
}

func readRecent(r kv.Reader, who, a mail.AccountID, b BoxID) (UID, error) {
	v, ok, err := r.Get(recentKey(who, a, b))
	if err != nil || !ok {
		return 1, err
	}
	d := kv.ReadValue(v)
	d.Version()
	return UID(d.Uint()), fault.As(fault.Corrupt, "mailbox.Recent", d.Err())
}

// SetRecent notes that a session of who's was told of all UIDs below next.
func (s *Store) SetRecent(ctx context.Context, who, a mail.AccountID, b BoxID, next UID) error {
	err := s.db.Update(kv.Freeing(ctx), []kv.Shard{kv.SessionShard(who)}, func(tx kv.Tx) error {
		first, err := readRecent(tx, who, a, b)
		if err == nil && next > first {
			tx.Set(recentKey(who, a, b), kv.Value{}.Byte(format1).Uint(uint64(next)))
		}
		return err
	})
	return fault.Wrap("mailbox.SetRecent", err)
}

// forgetRecent is for an account that goes.
func (s *Store) forgetRecent(ctx context.Context, a mail.AccountID) error {
	return s.db.Update(kv.Freeing(ctx), []kv.Shard{kv.SessionShard(a)}, func(tx kv.Tx) error {
		tx.Clear(kv.Prefix(kv.SessionShard(a)))
		return nil
	})
}
