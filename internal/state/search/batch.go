package search

import (
	"bytes"
	"context"
	"hash/maphash"
	"io"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Bounds of a batch and of one message in it. A message that goes beyond them is
// looked at itself by every search.
const (
	batchMessages = 4_000   // messages
	batchOctets   = 3 << 20 // of terms and posting lists
	messageText   = 4 << 20 // octets of folded text
	messageTerms  = 100_000 // different terms
)

// Batch is the index of some messages that follow one another, before it is
// written. Its memory is bounded by Full.
type Batch struct {
	after uint64 // what is indexed already
	from  uint64 // the first message
	next  uint64 // the message behind the last one
	terms map[string]*entry
	size  int
	Text  int64 // octets of folded text, all messages together

	doc     uint32
	left    int // octets and terms that the message may still have
	fresh   int
	unsure  bool
	seed    maphash.Seed
	seen    []seen
	region  byte
	key     []byte
	tokens  tokenizer
	scratch Scratch
}

type entry struct {
	postings
	last uint32 // the last message, plus one
}

// NewBatch begins an index of the messages behind after.
func NewBatch(after uint64) *Batch {
	b := &Batch{after: after, terms: map[string]*entry{}, seed: maphash.MakeSeed(), seen: make([]seen, 4<<10)}
	b.tokens = tokenizer{emit: b.term, long: func() { b.unsure = true }}
	return b
}

// Full says that the batch should be committed before message id comes.
func (b *Batch) Full(id uint64) bool {
	return !b.Empty() && (id-b.from >= batchMessages || b.size >= batchOctets)
}

// Empty says that there is no message in it.
func (b *Batch) Empty() bool { return b.next == 0 }

// Last is the last message that counts as indexed once the batch is written.
func (b *Batch) Last() uint64 {
	if b.Empty() {
		return b.after
	}
	return b.next - 1
}

// Unsure takes in a message that cannot be read: every search looks at it.
func (b *Batch) Unsure(id uint64) {
	b.begin(id)
	b.unsure = true
	b.end()
}

// Add takes in message id, which is behind all before it; r is its content, and
// ix what message.Parse found in it. An error comes from r only and leaves the
// message out.
func (b *Batch) Add(id uint64, ix *message.Index, r io.ReaderAt) error {
	b.begin(id)
	Fields(ix.Header, func(name, value string) bool {
		b.region = inOthers
		b.text([]byte(name))
		b.region = RegionOf(name).octet()
		_ = b.reader(bytes.NewReader([]byte(value)))
		return !b.unsure
	})
	b.region = inBody
	err := Texts(ix, r, func(text io.Reader) bool {
		_ = b.reader(text) // Texts tells
		return !b.unsure
	})
	if err != nil {
		b.unsure = true
	}
	b.end()
	return fault.Wrap("search.Add", err)
}

func (b *Batch) begin(id uint64) {
	if b.Empty() {
		b.from = id
	}
	b.doc, b.left, b.fresh, b.unsure = uint32(id-b.from), messageText, messageTerms, false
	b.next = id + 1
}

func (b *Batch) end() {
	if b.unsure {
		b.region = inUnsure
		b.term(nil, false)
	}
}

func (b *Batch) text(s []byte) { _ = b.reader(bytes.NewReader(s)) }

func (b *Batch) reader(r io.Reader) error {
	err := b.scratch.each(r, func(folded []byte) bool {
		b.left -= len(folded)
		b.Text += int64(len(folded))
		b.tokens.write(folded)
		b.unsure = b.unsure || b.left < 0 || b.fresh < 0
		return !b.unsure
	})
	b.tokens.end()
	return err
}

// seen remembers terms of a message by their hash, so that a repeated one, which
// most are, costs no look into the large table. That two terms of a message have
// the same 64 bits happens once in 10^14 messages.
type seen struct {
	hash uint64
	doc  uint32
}

// term notes that the message has a term in the region in hand.
func (b *Batch) term(t []byte, dense bool) {
	region := b.region
	if dense {
		region += inDense
	}
	b.key = append(append(b.key[:0], region), t...)
	h := maphash.Bytes(b.seed, b.key)
	was := &b.seen[h%uint64(len(b.seen))]
	if was.hash == h && was.doc == b.doc+1 {
		return
	}
	*was = seen{h, b.doc + 1}
	e := b.terms[string(b.key)]
	if e == nil {
		e = &entry{}
		b.terms[string(b.key)] = e
		b.size += len(b.key) + 4
	} else if e.last == b.doc+1 {
		return
	}
	e.last = b.doc + 1
	size := len(e.b)
	e.add(b.doc)
	b.size += len(e.b) - size
	b.fresh--
}

// Cursor is the last message that is indexed.
func (s *Store) Cursor(ctx context.Context, a mail.AccountID) (upTo uint64, err error) {
	shard := kv.SearchShard(a)
	err = s.db.View(ctx, shard, func(r kv.Reader) error {
		c, err := shelf{shard, r}.cursor()
		upTo = c.upTo
		return err
	})
	return upTo, fault.Wrap("search.Cursor", err)
}

// Commit writes the batch; from then on what lies up to upTo, which is not below
// its last message, counts as indexed. fault.Conflict if somebody else has
// indexed meanwhile.
func (s *Store) Commit(ctx context.Context, a mail.AccountID, b *Batch, upTo uint64) error {
	keys := make([]string, 0, len(b.terms))
	for k := range b.terms {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	w := s.newWriter(ctx, a, b.from, b.next, 0)
	for _, k := range keys {
		e := b.terms[k]
		if err := w.add([]byte(k), &e.postings); err != nil {
			return err
		}
	}
	return w.activate(func(_ kv.Tx, _ shelf, c *cursor) error {
		if c.upTo != b.after {
			return fault.New(fault.Conflict, "search.Commit", "")
		}
		c.upTo = max(upTo, b.Last())
		return nil
	})
}
