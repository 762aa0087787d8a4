// Package suppress keeps, for each domain that sends, the recipients to whom it
// does not send any more: they do not exist, complained, or somebody said so.
package suppress

import (
	"context"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/wire/bounce"
)

// Entry is one recipient on the list of one domain.
type Entry struct {
	Domain  mail.Domain  // that sends
	To      mail.Address // in lower case
	Reason  bounce.Reason
	Detail  string // what the recipient's host said, or a person's note; at most maxDetail octets are kept
	Manual  bool   // a person made it
	Since   time.Time
	Until   time.Time      // zero: until it is removed
	Message mail.ArrivalID // of ours that it began with; zero if none
}

// At says whether the entry holds at a moment.
func (e Entry) At(now time.Time) bool { return e.Until.IsZero() || now.Before(e.Until) }

const (
	maxDetail = 500
	trimPage  = 500
)

// Store keeps the lists.
type Store struct{ db kv.DB }

// New makes a Store over db.
func New(db kv.DB) *Store { return &Store{db} }

func key(d mail.Domain, to mail.Address) kv.Key {
	return domainKey(d).Text(string(to.Domain)).Text(to.Local)
}

func all() kv.Key                    { return kv.NewKey(kv.SuppressShard()) }
func domainKey(d mail.Domain) kv.Key { return all().Text(string(d)) }

// fold is how recipients are compared: hosts that tell upper from lower case
// are rarer than people who write either.
func fold(a mail.Address) mail.Address {
	a.Local = strings.ToLower(a.Local)
	return a
}

// Values begin with the version of their form; later versions only add fields
// at the end.
const rowVersion = 1

func encode(e Entry) []byte {
	manual := byte(0)
	if e.Manual {
		manual = 1
	}
	return kv.Value{}.Byte(rowVersion).Byte(manual).Time(e.Since).Time(e.Until).Fixed(e.Message[:]).
		Text(string(e.Reason)).Text(e.Detail[:min(len(e.Detail), maxDetail)])
}

func read(k kv.Key, b []byte) (Entry, error) {
	kr := kv.ReadKey(k, all())
	e := Entry{Domain: mail.Domain(kr.Text())}
	e.To.Domain = mail.Domain(kr.Text())
	e.To.Local = kr.Text()
	r := kv.ReadValue(b)
	r.Version()
	e.Manual = r.Byte() != 0
	e.Since, e.Until = r.Time(), r.Time()
	copy(e.Message[:], r.Fixed(len(e.Message)))
	e.Reason, e.Detail = bounce.Reason(r.Text()), r.Text()
	if kr.Err() != nil || r.Err() != nil {
		return e, fault.New(fault.Corrupt, "suppress", "malformed row")
	}
	return e, nil
}

// Add puts a recipient on a list, or renews what is said of it there. What a
// person said stays, unless a person says otherwise. fault.Invalid without a
// domain or a recipient.
func (s *Store) Add(ctx context.Context, e Entry) error {
	const op = "suppress.Add"
	if e.Domain == "" || e.To.Local == "" || e.To.Domain == "" {
		return fault.New(fault.Invalid, op, "a list is a domain's, and of addresses")
	}
	e.To = fold(e.To)
	k := key(e.Domain, e.To)
	return fault.Wrap(op, s.db.Update(ctx, []kv.Shard{kv.SuppressShard()}, func(tx kv.Tx) error {
		b, ok, err := tx.Get(k)
		if err != nil {
			return err
		}
		if ok && !e.Manual {
			was, err := read(k, b)
			if err != nil {
				return err
			}
			if was.Manual && was.At(e.Since) {
				return nil
			}
		}
		tx.Set(k, encode(e))
		return nil
	}))
}

// Find says whether a domain sends to a recipient no more.
func (s *Store) Find(ctx context.Context, d mail.Domain, to mail.Address, now time.Time) (Entry, bool, error) {
	var e Entry
	found := false
	if n, ok := s.db.(kv.Newest); ok {
		if v, ok := n.Newest(kv.SuppressShard()); ok && v == 0 {
			return e, false, nil // nobody ever wrote to a list: most servers have none
		}
	}
	k := key(d, fold(to))
	err := s.db.View(ctx, kv.SuppressShard(), func(r kv.Reader) error {
		b, ok, err := r.Get(k)
		if err != nil || !ok {
			return err
		}
		e, err = read(k, b)
		found = err == nil && e.At(now)
		return err
	})
	return e, found, fault.Wrap("suppress.Find", err)
}

// Remove takes a recipient off a list and gives what was said of it.
// fault.NotFound.
func (s *Store) Remove(ctx context.Context, d mail.Domain, to mail.Address) (Entry, error) {
	const op = "suppress.Remove"
	var was Entry
	k := key(d, fold(to))
	err := s.db.Update(kv.Freeing(ctx), []kv.Shard{kv.SuppressShard()}, func(tx kv.Tx) error {
		b, ok, err := tx.Get(k)
		if err != nil {
			return err
		}
		if !ok {
			return fault.Newf(fault.NotFound, op, "%s does send to %s", d, to)
		}
		if was, err = read(k, b); err == nil {
			tx.Delete(k)
		}
		return err
	})
	return was, fault.Wrap(op, err)
}

// List gives the entries that hold at now, by domain and recipient: of one
// domain, or of all with "". It begins behind after, an entry of an earlier
// answer, and gives at most limit.
func (s *Store) List(ctx context.Context, d mail.Domain, after Entry, now time.Time, limit int) ([]Entry, error) {
	var found []Entry
	err := s.db.View(ctx, kv.SuppressShard(), func(r kv.Reader) error {
		found = nil
		scan := kv.Prefix(all())
		if d != "" {
			scan = kv.Prefix(domainKey(d))
		}
		if after.Domain != "" {
			scan.From = append(key(after.Domain, fold(after.To)), 0)
		}
		for p, err := range r.Scan(scan) {
			if err != nil {
				return err
			}
			e, err := read(p.Key, p.Value)
			if err != nil {
				return err
			}
			if !e.At(now) {
				continue
			}
			if found = append(found, e); len(found) == limit {
				return nil
			}
		}
		return nil
	})
	return found, fault.Wrap("suppress.List", err)
}

// Trim takes away what holds no more, and gives how many entries that were.
func (s *Store) Trim(ctx context.Context, now time.Time) (int, error) {
	total := 0
	for {
		var over []kv.Key
		err := s.db.View(ctx, kv.SuppressShard(), func(r kv.Reader) error {
			over = nil
			for p, err := range r.Scan(kv.Prefix(all())) {
				if err != nil {
					return err
				}
				if e, err := read(p.Key, p.Value); err != nil {
					return err
				} else if !e.At(now) {
					if over = append(over, append(kv.Key{}, p.Key...)); len(over) == trimPage {
						return nil
					}
				}
			}
			return nil
		})
		if err == nil && len(over) > 0 {
			err = s.drop(ctx, over, now)
		}
		if err != nil || len(over) == 0 {
			return total, fault.Wrap("suppress.Trim", err)
		}
		total += len(over)
	}
}

// drop takes rows away, but for those that were renewed meanwhile.
func (s *Store) drop(ctx context.Context, keys []kv.Key, now time.Time) error {
	return s.db.Update(kv.Freeing(ctx), []kv.Shard{kv.SuppressShard()}, func(tx kv.Tx) error {
		for _, k := range keys {
			b, ok, err := tx.Get(k)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if e, err := read(k, b); err != nil {
				return err
			} else if !e.At(now) {
				tx.Delete(k)
			}
		}
		return nil
	})
}
