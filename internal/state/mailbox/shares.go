package mailbox

import (
	"context"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Who shares with an account is found in rows that only hint at it: the truth is
// in the access control lists, each in its owner's shard. A hint is written
// before the list that it is about, so that none is ever missing whatever breaks
// in between, and costs no transaction over two accounts, which may lie in two
// databases. Tidy takes those away that no list bears out any more.

// The kinds of hint, in the shard of shares.
const (
	hintAccount = 'u' // READER OWNER
	hintCircle  = 'c' // CIRCLE OWNER
)

// MaxSharers is how many owners one account is told of.
const MaxSharers = 1_000

// hintLife is how old a hint must be before it may be taken for wrong: a list
// that it is about could still be coming.
const hintLife = time.Hour

func readerHints(who mail.AccountID) kv.Key {
	return kv.NewKey(kv.ShareShard()).Uint8(hintAccount).Uint64(uint64(who))
}

func circleHints(circle string) kv.Key {
	return kv.NewKey(kv.ShareShard()).Uint8(hintCircle).Text(circle)
}

// SetACL changes the rights of a subject to a mailbox, in the name of who, who
// needs RightAdminister (RFC 4314 §3.1, §3.2): op says whether they are set,
// added or taken away. The owner's are always whole: fault.Denied.
func (s *Store) SetACL(ctx context.Context, who, a mail.AccountID, b BoxID, subject Subject, op FlagOp, rights Rights) error {
	if rights != 0 && op != FlagsRemove && !subject.Negative && subject.Account != a {
		if err := s.mayAdminister(ctx, who, a, b); err != nil {
			return err
		}
		if err := s.hint(ctx, a, subject); err != nil {
			return err
		}
	}
	return s.Update(kv.Freeing(ctx), who, a, func(t *Tx) error { return t.setACL(b, subject, op, rights) })
}

// mayAdminister keeps strangers from writing hints.
func (s *Store) mayAdminister(ctx context.Context, who, a mail.AccountID, b BoxID) error {
	return s.ViewAs(ctx, who, a, func(t *Tx) error {
		_, err := t.may(b, RightAdminister)
		return err
	})
}

// hint notes that a shares something with a subject.
func (s *Store) hint(ctx context.Context, a mail.AccountID, subject Subject) error {
	const op = "mailbox.SetACL"
	key := readerHints(subject.Account)
	if subject.Account == 0 {
		circle, err := s.circle(ctx, a)
		if err != nil {
			return fault.Wrap(op, err)
		}
		key = circleHints(circle)
	}
	return fault.Wrap(op, s.db.Update(kv.Freeing(ctx), []kv.Shard{kv.ShareShard()}, func(tx kv.Tx) error {
		tx.Set(key.Uint64(uint64(a)), kv.Value{}.Byte(format1).Time(time.Now()))
		return nil
	}))
}

// hinted is one hint.
type hinted struct {
	key   []byte
	owner mail.AccountID
	at    time.Time
}

func (s *Store) hints(ctx context.Context, prefix kv.Key) (all []hinted, err error) {
	err = s.db.View(ctx, kv.ShareShard(), func(r kv.Reader) error {
		all = all[:0]
		rows := kv.Prefix(prefix)
		rows.Limit = MaxSharers
		for p, err := range r.Scan(rows) {
			if err != nil {
				return err
			}
			h, err := readHint(p, prefix)
			if err != nil {
				return err
			}
			all = append(all, h)
		}
		return nil
	})
	return all, fault.Wrap("mailbox.Sharers", err)
}

func readHint(p kv.Pair, prefix kv.Key) (hinted, error) {
	k, d := kv.ReadKey(p.Key, prefix), kv.ReadValue(p.Value)
	d.Version()
	h := hinted{key: p.Key, owner: mail.AccountID(k.Uint64()), at: d.Time()}
	if k.Err() != nil || d.Err() != nil {
		return h, fault.As(fault.Corrupt, "mailbox.Sharers", errRow)
	}
	return h, nil
}

// Sharers is the accounts that may share mailboxes with who, in order. Whether
// one does its lists say: see Boxes under ViewAs.
func (s *Store) Sharers(ctx context.Context, who mail.AccountID) ([]mail.AccountID, error) {
	circle, err := s.circle(ctx, who)
	if err != nil {
		return nil, fault.Wrap("mailbox.Sharers", err)
	}
	var owners []mail.AccountID
	for _, prefix := range []kv.Key{readerHints(who), circleHints(circle)} {
		all, err := s.hints(ctx, prefix)
		if err != nil {
			return nil, err
		}
		for _, h := range all {
			if h.owner != who {
				owners = append(owners, h.owner)
			}
		}
	}
	slices.Sort(owners)
	return slices.Compact(owners), nil
}

// tidyShares takes away hints at what is shared with a, and by a with anyone,
// that no list bears out.
func (s *Store) tidyShares(ctx context.Context, a mail.AccountID) error {
	old := time.Now().Add(-hintLife)
	to, err := s.hints(ctx, readerHints(a))
	if err != nil {
		return err
	}
	for _, h := range to {
		if h.at.After(old) {
			continue
		}
		shared, err := s.shares(ctx, h.owner, a)
		if err == nil && !shared {
			err = s.unhint(ctx, h, old)
		}
		if err != nil {
			return err
		}
	}
	circle, err := s.circle(ctx, a)
	if err != nil {
		return fault.Wrap("mailbox.Tidy", err)
	}
	if shared, err := s.shares(ctx, a, 0); err != nil || shared {
		return err
	}
	return s.unhint(ctx, hinted{key: circleHints(circle).Uint64(uint64(a))}, old)
}

// shares says whether a list of account a gives a right to an account, or to anyone.
func (s *Store) shares(ctx context.Context, a, to mail.AccountID) (found bool, err error) {
	err = s.View(ctx, a, func(t *Tx) error {
		found = false
		prefix := t.key(tagACL)
		for p, err := range t.r.Scan(kv.Prefix(prefix)) {
			if err != nil {
				return fault.Wrap("mailbox.Tidy", err)
			}
			acl, err := decodeACL(p.Value)
			if err != nil {
				return fault.As(fault.Corrupt, "mailbox.Tidy", err)
			}
			if slices.ContainsFunc(acl, func(e ACL) bool { return e.Subject == Subject{Account: to} }) {
				found = true
				return nil
			}
		}
		return nil
	})
	return found, err
}

// unhint takes a hint away, unless it was written anew after old.
func (s *Store) unhint(ctx context.Context, h hinted, old time.Time) error {
	return fault.Wrap("mailbox.Tidy", s.db.Update(kv.Freeing(ctx), []kv.Shard{kv.ShareShard()}, func(tx kv.Tx) error {
		v, ok, err := tx.Get(h.key)
		if err != nil || !ok {
			return err
		}
		d := kv.ReadValue(v)
		d.Version()
		if at := d.Time(); d.Err() == nil && !at.After(old) {
			tx.Delete(h.key)
		}
		return nil
	}))
}

// forgetShares takes away the hints at what was shared with an account that
// goes, and at what it shared with anyone. Those at what it shared with single
// accounts these take away, by Tidy.
func (s *Store) forgetShares(ctx context.Context, a mail.AccountID) error {
	return fault.Wrap("mailbox.RemoveAccount", s.db.Update(kv.Freeing(ctx), []kv.Shard{kv.ShareShard()}, func(tx kv.Tx) error {
		tx.Clear(kv.Prefix(readerHints(a)))
		circles := kv.NewKey(kv.ShareShard()).Uint8(hintCircle)
		for p, err := range tx.Scan(kv.Prefix(circles)) {
			if err != nil {
				return err
			}
			k := kv.ReadKey(p.Key, circles)
			k.Text()
			if mail.AccountID(k.Uint64()) == a && k.Err() == nil {
				tx.Delete(p.Key)
			}
		}
		return nil
	}))
}

// tidyMarks forgets what readers have seen that is gone, and its unique-ids.
func (s *Store) tidyMarks(ctx context.Context, a mail.AccountID) error {
	readers := map[BoxID][]mail.AccountID{}
	err := s.View(ctx, a, func(t *Tx) error {
		clear(readers)
		boxes, err := t.Boxes()
		for _, b := range boxes {
			if err == nil {
				readers[b.ID], err = t.readers(b.ID)
			}
		}
		return err
	})
	for b := range readers {
		if err == nil {
			err = s.Update(ctx, 0, a, func(t *Tx) error { return t.trimUIDLs(b) })
		}
	}
	for b, all := range readers {
		for _, who := range all {
			if err != nil {
				return err
			}
			err = s.Update(ctx, 0, a, func(t *Tx) error {
				bs, err := t.state(b)
				if err != nil || bs.row == nil {
					return err
				}
				t.who = who
				return t.trimMarks(bs)
			})
		}
	}
	return err
}
