package mailbox

import (
	"context"
	"errors"
	"io"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/search"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// The account of a row that begins so has messages that are not indexed. The
// transaction that brings a message writes it; IndexMessages removes it. It lies in no
// shard, so that one scan finds all such accounts after a restart.
const lagging = kv.Loose + "lag/"

func lagKey(a mail.AccountID) kv.Key { return kv.NewKey([]byte(lagging)).Uint64(uint64(a)) }

// lag notes that a message came that is not indexed.
func (t *Tx) lag() {
	t.set(lagKey(t.account), nil)
	select {
	case t.store.lagged <- struct{}{}:
	default:
	}
}

// Lagged receives something some time after messages came that are not indexed;
// hints may be lost.
func (s *Store) Lagged() <-chan struct{} { return s.lagged }

// Lagging is some accounts, limit at most, with messages that are not indexed,
// those behind after first.
func (s *Store) Lagging(ctx context.Context, after mail.AccountID, limit int) ([]mail.AccountID, error) {
	var found []mail.AccountID
	err := s.db.View(ctx, nil, func(r kv.Reader) error {
		found = found[:0]
		rows := kv.Prefix([]byte(lagging))
		rows.From, rows.Limit = append(lagKey(after), 0), limit
		for p, err := range r.Scan(rows) {
			if err != nil {
				return err
			}
			k := kv.ReadKey(p.Key, []byte(lagging))
			a := mail.AccountID(k.Uint64())
			if err := k.Err(); err != nil {
				return fault.As(fault.Corrupt, "", err)
			}
			found = append(found, a)
		}
		return nil
	})
	return found, fault.Wrap("mailbox.Lagging", err)
}

// Search asks the index of account a; see search.Store.
func (s *Store) Search(ctx context.Context, a mail.AccountID, q search.Query) (search.Result, error) {
	return s.search.Search(ctx, a, q)
}

// Learn tells the index what a look at messages has shown; see search.Store.
func (s *Store) Learn(a mail.AccountID, q search.Query, seen map[uint64]bool) {
	s.search.Learn(a, q, seen)
}

// How much IndexMessages reads at a time: messages of a page, octets of a batch, and the
// octets of a message that is read into memory at once.
const (
	indexPage   = 200
	indexOctets = 64 << 20
	indexWhole  = 1 << 20
	livePage    = 5_000
)

// IndexMessages brings the account's search index on by one batch of messages, and says
// whether it must be called again. One caller an account is enough; it changes
// nothing that a client sees, neither the account's version.
func (s *Store) IndexMessages(ctx context.Context, a mail.AccountID) (more bool, err error) {
	const op = "mailbox.IndexMessages"
	upTo, err := s.search.Cursor(ctx, a)
	if err != nil {
		return false, fault.Wrap(op, err)
	}
	x := indexer{s: s, account: a, batch: s.batch(upTo)}
	defer s.batches.Put(x.batch)
	last, err := x.run(ctx, MessageID(upTo))
	if err != nil {
		return false, err
	}
	if uint64(last) > upTo {
		if err := s.search.Commit(ctx, a, x.batch, uint64(last)); err != nil {
			return false, fault.Wrap(op, err)
		}
	}
	if x.full {
		return true, nil
	}
	if merged, err := s.search.Merge(ctx, a, s.live(ctx, a)); err != nil || merged {
		return true, fault.Wrap(op, err)
	}
	more, removed, err := s.indexed(ctx, a, last)
	if err == nil && removed {
		err = s.search.Remove(ctx, a)
	}
	return more && !removed, fault.Wrap(op, err)
}

// batch is an empty batch, in memory that was used before if there is some.
func (s *Store) batch(upTo uint64) *search.Batch {
	b, ok := s.batches.Get().(*search.Batch)
	if !ok {
		return search.NewBatch(upTo)
	}
	b.Reset(upTo)
	return b
}

// Reindex forgets the account's index; IndexMessages builds it again.
func (s *Store) Reindex(ctx context.Context, a mail.AccountID) error {
	if err := s.search.Remove(ctx, a); err != nil {
		return err
	}
	return s.Update(ctx, 0, a, func(t *Tx) error {
		t.lag()
		return nil
	})
}

// RenewIndex has the account's index built again if an earlier program wrote it in
// a form that is not read any more. Until it is, searches look at the messages.
func (s *Store) RenewIndex(ctx context.Context, a mail.AccountID) error {
	old, err := s.search.Outdated(ctx, a)
	if err != nil || !old {
		return err
	}
	return s.Update(ctx, 0, a, func(t *Tx) error {
		t.lag()
		return nil
	})
}

// indexed ends the account's lag if last is still its last message. The index of
// an account that was removed meanwhile goes too.
func (s *Store) indexed(ctx context.Context, a mail.AccountID, last MessageID) (more, removed bool, err error) {
	err = s.db.Update(ctx, []kv.Shard{kv.AccountShard(a)}, func(w kv.Tx) error {
		t := newTx(s, a, w)
		row, err := t.acctRow()
		if err != nil {
			return err
		}
		if more = row.lastMessage != last; !more {
			w.Delete(lagKey(a))
		}
		removed = row.lastUIDValidity == 0
		return nil
	})
	return more, removed, err
}

// live tells Merge which messages there still are. What is restored gets a new
// id, so none comes back.
func (s *Store) live(ctx context.Context, a mail.AccountID) search.Live {
	return func(from, to uint64, keep func(uint64)) error {
		for at := MessageID(from); at < MessageID(to); {
			n := 0
			err := s.View(ctx, a, func(t *Tx) error {
				return t.messagesBehind(at-1, livePage, func(m Message) bool {
					if m.ID < MessageID(to) {
						keep(uint64(m.ID))
					}
					at = m.ID + 1
					n++
					return true
				})
			})
			if err != nil || n < livePage {
				return err
			}
		}
		return nil
	}
}

// indexer makes one batch.
type indexer struct {
	s       *Store
	account mail.AccountID
	batch   *search.Batch
	octets  int64
	full    bool
	buf     []byte
}

// run fills the batch with the messages behind upTo and gives the last message
// that counts as indexed with it.
func (x *indexer) run(ctx context.Context, upTo MessageID) (MessageID, error) {
	for {
		page, last, err := x.page(ctx, upTo)
		if err != nil {
			return 0, err
		}
		if len(page) == 0 {
			return max(last, upTo), nil
		}
		for _, m := range page {
			if x.full = x.batch.Full(uint64(m.ID)) || x.octets > indexOctets; x.full {
				return MessageID(x.batch.Last()), nil
			}
			if err := x.add(ctx, m); err != nil {
				return 0, err
			}
			upTo = m.ID
		}
	}
}

// page reads some messages behind upTo, and the last id that was given.
func (x *indexer) page(ctx context.Context, upTo MessageID) (page []Message, last MessageID, err error) {
	err = x.s.View(ctx, x.account, func(t *Tx) error {
		page = page[:0]
		row, err := t.acctRow()
		if err != nil {
			return err
		}
		last = row.lastMessage
		return t.messagesBehind(upTo, indexPage, func(m Message) bool {
			page = append(page, m)
			return true
		})
	})
	return page, last, err
}

// add takes one message in. What cannot be read stays for those who search.
func (x *indexer) add(ctx context.Context, m Message) error {
	c, err := x.s.OpenMessage(ctx, x.account, m)
	if err == nil {
		err = errors.Join(x.read(m, c), c.Close())
		x.octets += m.Size
	}
	if fault.Is(err, fault.Corrupt) || fault.Is(err, fault.NotFound) {
		x.batch.Unsure(uint64(m.ID))
		return nil
	}
	return err
}

func (x *indexer) read(m Message, c *Content) error {
	if c.Size() > indexWhole {
		ix, err := message.Parse(c, c.Size())
		if err != nil {
			return err
		}
		return x.batch.Add(uint64(m.ID), ix, c)
	}
	if cap(x.buf) < int(c.Size()) {
		x.buf = make([]byte, c.Size()+c.Size()/2)
	}
	x.buf = x.buf[:c.Size()]
	if _, err := c.ReadAt(x.buf, 0); err != nil && err != io.EOF {
		return err
	}
	return x.batch.Add(uint64(m.ID), message.ParseParts(x.buf), bytesAt(x.buf))
}

// bytesAt reads from memory.
type bytesAt []byte

// ReadAt is io.ReaderAt.
func (b bytesAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// messagesBehind calls fn with the messages behind after, limit at most, 0 for
// all, until it says false. Their places may be those of a mailbox that goes.
func (t *Tx) messagesBehind(after MessageID, limit int, fn func(Message) bool) error {
	const op = "mailbox.messagesBehind"
	t.sync()
	rows := kv.Prefix(t.key(tagMessage))
	rows.From, rows.Limit = t.msgKey(tagMessage, after+1), limit
	for p, err := range t.r.Scan(rows) {
		if err != nil {
			return fault.Wrap(op, err)
		}
		k := kv.ReadKey(p.Key, t.key(tagMessage))
		m, err := decodeMessage(MessageID(k.Uint64()), p.Value)
		if err = errors.Join(err, k.Err()); err != nil {
			return fault.As(fault.Corrupt, op, err)
		}
		if !fn(m.Message) {
			return nil
		}
	}
	return nil
}

// Behind is the messages of the account that came after message after, in order;
// some may have no place any more.
func (t *Tx) Behind(after MessageID) (ids []MessageID, err error) {
	err = t.messagesBehind(after, 0, func(m Message) bool {
		ids = append(ids, m.ID)
		return true
	})
	return ids, err
}

// FewUnseen gives UIDs, as runs with others among them, that hold all messages of a
// mailbox without \Seen; FewDeleted those with \Deleted. They are found by what blocks
// of UIDs count, without a look at placements. ok is false where that is not kept: of
// \Seen for others than the owner.
func (t *Tx) FewUnseen(id BoxID) (runs []Run, ok bool, err error) {
	if t.foreign() {
		return nil, false, nil
	}
	return t.runsWith(id, func(k *block) uint32 { return k.unseen })
}

// FewDeleted is FewUnseen for \Deleted.
func (t *Tx) FewDeleted(id BoxID) (runs []Run, ok bool, err error) {
	return t.runsWith(id, func(k *block) uint32 { return k.deleted })
}

func (t *Tx) runsWith(id BoxID, counted func(*block) uint32) (runs []Run, ok bool, err error) {
	b, err := t.may(id, RightRead)
	if err != nil {
		return nil, false, err
	}
	blocks, err := t.allBlocks(b)
	for _, k := range blocks {
		if counted(k) > 0 {
			runs = append(runs, Run{k.first, k.spans[len(k.spans)-1].to})
		}
	}
	return runs, err == nil, err
}

// PlacementsAt is the placements of a mailbox with the given UIDs, which ascend,
// without those that are gone.
func (t *Tx) PlacementsAt(id BoxID, uids []UID) ([]Placement, error) {
	if _, err := t.may(id, RightRead); err != nil {
		return nil, err
	}
	rows, err := t.getRows(id, uids)
	if err != nil {
		return nil, err
	}
	out := make([]Placement, len(rows))
	for i := range rows {
		if out[i], err = t.exportPlacement(id, rows[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
