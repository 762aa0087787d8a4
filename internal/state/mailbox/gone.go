package mailbox

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// How long what was expunged can be restored, and how much of it in an account.
const (
	defaultKeep       = 30 * 24 * time.Hour
	defaultKeepOctets = 16 << 30
)

// GoneID names a message that is gone, for as long as it can be restored.
type GoneID struct {
	At      int64 // when it went, Unix seconds
	Message MessageID
}

// String is what ParseGoneID reads.
func (id GoneID) String() string { return fmt.Sprintf("%d-%d", id.At, id.Message) }

// ParseGoneID reads what String wrote; anything else is fault.Invalid.
func ParseGoneID(s string) (id GoneID, err error) {
	if _, err := fmt.Sscanf(s, "%d-%d", &id.At, &id.Message); err != nil || id.String() != s {
		return GoneID{}, fault.Newf(fault.Invalid, "mailbox.ParseGoneID", "not a message that is gone: %.60q", s)
	}
	return id, nil
}

// Gone is a message that lost its last place and can be restored.
type Gone struct {
	ID       GoneID
	At       time.Time // when it went, in whole seconds
	Mailbox  string    // its last one, by the name of then
	Flags    mail.Flags
	Keywords []string
	Message  Message        // without places; OpenMessage reads it
	Index    *message.Index // nil where there is none
}

// GoneFilter chooses among what is gone. The zero value is all.
type GoneFilter struct {
	Mailbox       string    // by the name of then; "" is all
	After, Before time.Time // when it went, both included, in whole seconds; zero is no bound
}

func (t *Tx) goneKey(id GoneID) kv.Key {
	return t.key(tagGone).Uint64(uint64(id.At)).Uint64(uint64(id.Message))
}

// goneRow is a message that is gone, and its last place.
type goneRow struct {
	messageRow
	mailbox  string
	flags    mail.Flags
	keywords []uint32
}

func (r *goneRow) encode() []byte {
	m := r.messageRow.encode()
	b := make([]byte, 0, len(m)+len(r.mailbox)+16)
	b = append(b, format1, byte(r.flags))
	b = putText(b, r.mailbox)
	b = putBytes(b, m)
	for _, k := range r.keywords {
		b = putUint(b, uint64(k))
	}
	return b
}

func decodeGone(id MessageID, b []byte) (goneRow, error) {
	d := open(b)
	r := goneRow{flags: mail.Flags(d.octet()), mailbox: d.text()}
	m, err := decodeMessage(id, d.bytes())
	r.messageRow = m
	for !d.bad && len(d.b) > 0 && len(r.keywords) <= MaxKeywords {
		r.keywords = append(r.keywords, d.uint32())
	}
	return r, errors.Join(err, d.done())
}

// bury keeps a message that has lost its last place p in b: its row moves, its
// view and its hold on the blob stay.
func (t *Tx) bury(m *messageRow, b *boxState, p placed) error {
	name, err := t.fullName(b.row)
	if fault.Is(err, fault.Corrupt) && b.row.doomed {
		name, err = b.row.leaf, nil // what it lay in may be gone before it
	}
	if err != nil {
		return err
	}
	a, err := t.acctRow()
	if err != nil {
		return err
	}
	r := goneRow{messageRow: *m, mailbox: name, flags: p.row.flags, keywords: p.row.keywords}
	r.Places = nil
	t.set(t.goneKey(GoneID{now().Unix(), m.ID}), r.encode())
	a.kept.Messages++
	a.kept.Octets += m.Size
	return nil
}

// dig takes a message out of what is gone.
func (t *Tx) dig(id GoneID, r *goneRow) error {
	a, err := t.acctRow()
	if err != nil {
		return err
	}
	a.kept.Messages--
	a.kept.Octets -= r.Size
	t.acctChanged()
	t.del(t.goneKey(id))
	t.del(t.msgKey(tagView, id.Message))
	blob.Release(t.w, r.Blob, t.owner(id.Message))
	t.load.writes += 2
	return nil
}

// GoneUsage is what can be restored: it is not in Usage.
func (t *Tx) GoneUsage() (Usage, error) {
	a, err := t.acctRow()
	if err != nil {
		return Usage{}, err
	}
	return a.kept, nil
}

// Gone is the messages that can be restored, the last to go first. It reads a
// page at a time, each at its own moment.
func (s *Store) Gone(ctx context.Context, a mail.AccountID, f GoneFilter) iter.Seq2[Gone, error] {
	return func(yield func(Gone, error) bool) {
		to := GoneID{math.MaxInt64, math.MaxUint64}
		if !f.Before.IsZero() {
			to.At = f.Before.Unix()
		}
		for {
			var page []Gone
			var next *GoneID
			err := s.View(ctx, a, func(t *Tx) (err error) {
				page, next, err = t.gonePage(f, to)
				return err
			})
			if err != nil {
				yield(Gone{}, err)
				return
			}
			for _, g := range page {
				if !yield(g, nil) {
					return
				}
			}
			if next == nil {
				return
			}
			to = *next
		}
	}
}

// gonePage reads backward from to, which is included, and says where the next
// page ends.
func (t *Tx) gonePage(f GoneFilter, to GoneID) (page []Gone, next *GoneID, err error) {
	from := GoneID{}
	if !f.After.IsZero() {
		from.At = max(0, f.After.Unix())
	}
	r := kv.Range{From: t.goneKey(from), To: t.goneKey(to).Uint8(0), Reverse: true, Limit: t.store.piece}
	n := 0
	for g, err := range t.gone(r) {
		if err != nil {
			return nil, nil, err
		}
		if n++; n == r.Limit && g.id.Message > 0 {
			next = &GoneID{g.id.At, g.id.Message - 1}
		}
		if f.Mailbox != "" && f.Mailbox != g.row.mailbox {
			continue
		}
		out := Gone{ID: g.id, At: time.Unix(g.id.At, 0).UTC(), Mailbox: g.row.mailbox, Flags: g.row.flags, Message: g.row.Message}
		if out.Keywords, err = t.wordsOf(g.row.keywords); err != nil {
			return nil, nil, err
		}
		page = append(page, out)
	}
	ids := make([]MessageID, len(page))
	for i, g := range page {
		ids[i] = g.Message.ID
	}
	views, err := t.Indexes(ids)
	for i := range views {
		page[i].Index = views[i]
	}
	return page, next, err
}

func (t *Tx) wordsOf(numbers []uint32) ([]string, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	k, err := t.keywords()
	if err != nil {
		return nil, err
	}
	words, err := k.list(numbers)
	return words, fault.As(fault.Corrupt, "mailbox.keywords", err)
}

type goneMessage struct {
	id  GoneID
	row goneRow
}

// gone reads rows of what is gone.
func (t *Tx) gone(r kv.Range) iter.Seq2[goneMessage, error] {
	const op = "mailbox.Gone"
	prefix := t.key(tagGone)
	return func(yield func(goneMessage, error) bool) {
		for p, err := range t.r.Scan(r) {
			if err != nil {
				yield(goneMessage{}, fault.Wrap(op, err))
				return
			}
			k := kv.ReadKey(p.Key, prefix)
			g := goneMessage{id: GoneID{int64(k.Uint64()), MessageID(k.Uint64())}}
			g.row, err = decodeGone(g.id.Message, p.Value)
			if err = errors.Join(err, k.Err()); err != nil {
				yield(goneMessage{}, fault.As(fault.Corrupt, op, err))
				return
			}
			if !yield(g, nil) {
				return
			}
		}
	}
}

// Purge forgets for good what went before the given time, in pieces: nobody can
// restore it any more, and its blobs are released. Tidy calls it.
func (s *Store) Purge(ctx context.Context, a mail.AccountID, before time.Time) error {
	ctx = kv.Freeing(ctx)
	for more := true; more; {
		err := s.Update(ctx, 0, a, func(t *Tx) (err error) {
			more, err = t.purge(before)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *Tx) purge(before time.Time) (more bool, err error) {
	r := kv.Range{From: t.key(tagGone), To: t.goneKey(GoneID{At: max(0, before.Unix())}), Limit: t.store.piece}
	var old []goneMessage
	for g, err := range t.gone(r) {
		if err != nil {
			return false, err
		}
		old = append(old, g)
	}
	for i := range old {
		if t.full() {
			return true, nil
		}
		if err := t.dig(old[i].id, &old[i].row); err != nil {
			return false, err
		}
	}
	return len(old) == r.Limit, nil
}

// crowded says that more is kept than may be.
func (t *Tx) crowded() bool { return t.acct != nil && t.acct.kept.Octets > t.store.most }

// purgeOldest forgets for good what went first, until no more is kept than may be.
func (s *Store) purgeOldest(ctx context.Context, a mail.AccountID) error {
	ctx = kv.Freeing(ctx)
	for more := true; more; {
		err := s.Update(ctx, 0, a, func(t *Tx) (err error) {
			if _, err = t.acctRow(); err == nil {
				more, err = t.purgeOldest()
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *Tx) purgeOldest() (more bool, err error) {
	r := kv.Prefix(t.key(tagGone))
	r.Limit = t.store.piece
	var old []goneMessage
	over := t.acct.kept.Octets - t.store.most
	for g, err := range t.gone(r) {
		if err != nil {
			return false, err
		}
		if over <= 0 {
			break
		}
		over -= g.row.Size
		old = append(old, g)
	}
	for i := range old {
		if t.full() {
			return true, nil
		}
		if err := t.dig(old[i].id, &old[i].row); err != nil {
			return false, err
		}
	}
	return len(old) > 0 && t.crowded(), nil
}
