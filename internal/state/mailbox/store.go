package mailbox

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/search"
)

// Options of a store. DB and Blobs are needed.
type Options struct {
	DB    kv.DB
	Blobs *blob.Store
	Keep  time.Duration // how long what was expunged can be restored; 0 is 30 days, negative not at all
	// KeepOctets is the most octets of an account that can be restored, as they
	// are in nobody's quota: beyond it the oldest go for good. 0 is 16 GiB.
	KeepOctets int64
	// Circle says of whom an account means anyone, where it shares with anyone:
	// those of the same word, such as their domain. It is asked before transactions.
	// nil: all accounts are one circle.
	Circle func(context.Context, mail.AccountID) (string, error)
}

// Store holds all accounts.
type Store struct {
	db      kv.DB
	blobs   *blob.Store
	search  *search.Store
	batches sync.Pool     // of the indexer
	lagged  chan struct{} // see Lagged
	keep    time.Duration
	circle  func(context.Context, mail.AccountID) (string, error)
	most    int64  // octets of an account that can be restored
	run     uint32 // most UIDs of a block; tests lower it
	piece   int    // most messages of a transaction
}

// New gives the store over o.
func New(o Options) *Store {
	if o.Keep == 0 {
		o.Keep = defaultKeep
	}
	if o.KeepOctets == 0 {
		o.KeepOctets = defaultKeepOctets
	}
	if o.Circle == nil {
		o.Circle = func(context.Context, mail.AccountID) (string, error) { return "", nil }
	}
	return &Store{
		db: o.DB, blobs: o.Blobs, search: search.New(o.DB), lagged: make(chan struct{}, 1), keep: o.Keep,
		circle: o.Circle, most: o.KeepOctets, run: maxRun, piece: maxPiece,
	}
}

// View runs fn over one moment of account a. An account that was never
// provisioned is empty.
func (s *Store) View(ctx context.Context, a mail.AccountID, fn func(*Tx) error) error {
	return s.db.View(ctx, kv.AccountShard(a), func(r kv.Reader) error {
		return fn(newTx(s, a, r))
	})
}

// ViewAs is View in the name of who: anyone but the owner sees the mailboxes
// that he has rights to, each with a \Seen of his own.
func (s *Store) ViewAs(ctx context.Context, who, a mail.AccountID, fn func(*Tx) error) error {
	mate, err := s.mates(ctx, who, a)
	if err != nil {
		return err
	}
	return s.View(ctx, a, func(t *Tx) error {
		t.who, t.mate = who, mate
		return fn(t)
	})
}

// mates says whether anyone, in account a, means who.
func (s *Store) mates(ctx context.Context, who, a mail.AccountID) (bool, error) {
	if who == 0 || who == a {
		return true, nil
	}
	theirs, err := s.circle(ctx, a)
	if err != nil {
		return false, fault.Wrap("mailbox.circle", err)
	}
	own, err := s.circle(ctx, who)
	return own == theirs, fault.Wrap("mailbox.circle", err)
}

// Update runs fn over account a in the name of who: the account itself, 0 for
// the server, or someone whom the access control lists of the mailboxes let do
// what fn does. All that fn does carries the same
// new change number. fn may run more than once and does no I/O; if it returns an
// error nothing is changed and Update returns that error.
func (s *Store) Update(ctx context.Context, who, a mail.AccountID, fn func(*Tx) error) error {
	mate, err := s.mates(ctx, who, a)
	if err != nil {
		return err
	}
	return s.db.Update(ctx, []kv.Shard{kv.AccountShard(a)}, func(w kv.Tx) error {
		t := newTx(s, a, w)
		t.w, t.hold, t.who, t.mate = w, true, who, mate
		if err := fn(t); err != nil {
			return err
		}
		t.flush()
		return nil
	})
}

// In joins account a to a transaction that is already open; the account's shard
// must be one of its shards. It keeps nothing between two calls, so that several
// may be used side by side.
func (s *Store) In(tx kv.Tx, a mail.AccountID) *Tx {
	t := newTx(s, a, tx)
	t.w = tx
	return t
}

// Watch tells of new versions of the account; see kv.DB.
func (s *Store) Watch(ctx context.Context, a mail.AccountID) <-chan kv.Version {
	return s.db.Watch(ctx, kv.AccountShard(a))
}

// Wake has wake called for new versions of the account, until end; see kv.DB.
func (s *Store) Wake(a mail.AccountID, wake func()) (end func()) {
	return s.db.Wake(kv.AccountShard(a), wake)
}

// RemoveAccount removes all that is a's, in pieces. Nobody may use the account
// any more: the directory has let it go before. It can be repeated. Nothing of it
// can be restored.
func (s *Store) RemoveAccount(ctx context.Context, a mail.AccountID) error {
	ctx = kv.Freeing(ctx)
	if err := s.Purge(ctx, a, time.Unix(math.MaxInt64, 0)); err != nil {
		return err
	}
	for more := true; more; {
		err := s.Update(ctx, 0, a, func(t *Tx) (err error) {
			more, err = t.removeMessages()
			return err
		})
		if err != nil {
			return err
		}
	}
	return errors.Join(s.search.Remove(ctx, a), s.forgetRecent(ctx, a), s.forgetShares(ctx, a))
}

// removeMessages releases one piece of the account's messages, and after the
// last all rows. It says whether it must be called again.
func (t *Tx) removeMessages() (more bool, err error) {
	r := kv.Prefix(t.key(tagMessage))
	r.Limit = t.store.piece + 1
	n := 0
	for p, err := range t.r.Scan(r) {
		if err != nil {
			return false, fault.Wrap("mailbox.RemoveAccount", err)
		}
		if n++; n > t.store.piece {
			return true, nil
		}
		k := kv.ReadKey(p.Key, t.key(tagMessage))
		id := MessageID(k.Uint64())
		m, err := decodeMessage(id, p.Value)
		if err = errors.Join(err, k.Err()); err != nil {
			return false, fault.As(fault.Corrupt, "mailbox.RemoveAccount", err)
		}
		blob.Release(t.w, m.Blob, t.owner(id))
		t.del(p.Key)
	}
	t.w.Clear(kv.Prefix(t.shard))
	t.w.Delete(lagKey(t.account))
	return false, nil
}

// owner is how message id holds its blob.
func (t *Tx) owner(id MessageID) blob.Owner {
	o := blob.Owner{Kind: 'm', Shard: uint64(t.account)}
	copy(o.ID[:], kv.Key(nil).Uint64(uint64(id)))
	return o
}

// now is the time that rows are stamped with, in whole seconds.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
