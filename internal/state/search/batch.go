package search

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Bounds of a batch and of one message in it. A message that goes beyond them is
// looked at itself by every search.
const (
	batchMessages = 4_000     // messages
	batchPlaces   = 1_500_000 // times that a term stands somewhere
	batchOctets   = 4 << 20   // of terms
	messageText   = 4 << 20   // octets of folded text
	messageTerms  = 100_000   // different terms
)

// Batch is the index of some messages that follow one another, before it is
// written: terms, and where they stand in the order of the messages. Commit turns
// that round. Its memory is bounded by Full.
type Batch struct {
	after uint64 // what is indexed already
	from  uint64 // the first message
	next  uint64 // the message behind the last one
	Text  int64  // octets of folded text, all messages together

	seed   [3]uint64
	slots  []uint32 // a hash table: a term's number plus one, or 0
	terms  []entry  // what is common comes early, and lies together
	arena  []byte   // the terms themselves
	places []place
	ends   []end
	order  []ranked
	turned []stand

	doc     uint32
	pos     [inBody + 1]uint32 // of the last term, by region
	left    int                // octets and terms that the message may still have
	fresh   int
	unsure  bool
	region  byte
	tokens  tokenizer
	scratch Scratch
}

// entry is a term of a batch.
type entry struct {
	begin uint64 // region and kind, and the first seven octets
	hash  uint32
	n     uint32 // octets
	at    uint32 // in the arena
	last  uint32 // the last message that has it, plus one
}

// place is where a term stands in a message.
type place struct{ term, pos uint32 }

// end is how many places there are up to the end of a message.
type end struct {
	doc    uint32
	places int
}

// NewBatch begins an index of the messages behind after.
func NewBatch(after uint64) *Batch {
	b := &Batch{seed: [3]uint64{rand.Uint64(), rand.Uint64() | 1, rand.Uint64() | 1}}
	b.tokens = tokenizer{emit: b.term, long: func() { b.unsure = true }}
	b.Reset(after)
	return b
}

// maxKept is how many slots a batch keeps that is used again.
const maxKept = 256 << 10

// Reset begins another index in the same memory.
func (b *Batch) Reset(after uint64) {
	b.after, b.from, b.next, b.Text = after, 0, 0, 0
	if n := len(b.slots); n == 0 || n > maxKept || n > 8*len(b.terms) && n > 1<<10 {
		b.slots = make([]uint32, 1<<10)
	} else {
		clear(b.slots)
	}
	b.terms, b.arena, b.places, b.ends = b.terms[:0], b.arena[:0], b.places[:0], b.ends[:0]
}

// Full says that the batch should be committed before message id comes.
func (b *Batch) Full(id uint64) bool {
	return !b.Empty() && (id-b.from >= batchMessages || len(b.places) >= batchPlaces || len(b.arena) >= batchOctets)
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
		b.text(name)
		b.region = RegionOf(name).octet()
		b.text(value)
		if odd := OddAddresses(name, value); odd != "" {
			b.text(odd)
		}
		return !b.unsure
	})
	b.region = inBody
	err := Texts(ix, r, func(text io.Reader) bool {
		_ = b.tell(b.scratch.each(text, b.folded)) // Texts tells
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
	b.doc, b.pos, b.left, b.fresh, b.unsure = uint32(id-b.from), [inBody + 1]uint32{}, messageText, messageTerms, false
	b.next = id + 1
}

func (b *Batch) end() {
	if b.unsure {
		b.region = inUnsure
		b.term(nil, inWord, gapText)
	}
	b.ends = append(b.ends, end{b.doc, len(b.places)})
}

func (b *Batch) text(s string) {
	b.scratch.whole(s, b.folded)
	_ = b.tell(nil)
}

// tell ends a text.
func (b *Batch) tell(err error) error {
	b.tokens.end()
	return err
}

func (b *Batch) folded(folded []byte) bool {
	b.left -= len(folded)
	b.Text += int64(len(folded))
	b.tokens.write(folded)
	b.unsure = b.unsure || b.left < 0 || b.fresh < 0
	return !b.unsure
}

// term notes that the message has a term in the region in hand.
func (b *Batch) term(t []byte, kind byte, gap uint32) {
	b.pos[b.region] += gap
	first := b.region | kind
	n := b.number(t, first)
	e := &b.terms[n]
	if e.last != b.doc+1 {
		e.last = b.doc + 1
		b.fresh--
	} else if !positional(first) {
		return
	}
	b.places = append(b.places, place{n, b.pos[b.region]})
}

// beginning is the first octet of a term's row and the seven behind it, as a
// number that is ordered as they are.
func beginning(t []byte, first byte) uint64 {
	v := uint64(0)
	if cap(t) >= 8 {
		v = binary.BigEndian.Uint64(t[:8]) >> 8
	} else {
		for i := range 7 {
			v <<= 8
			if i < len(t) {
				v |= uint64(t[i])
			}
		}
	}
	if n := len(t); n < 7 {
		v &^= 1<<(8*(7-n)) - 1
	}
	return v | uint64(first)<<56
}

// hash is of a term that begins so. Who does not know the seed cannot make many
// terms that have the same.
func (b *Batch) hash(begin uint64, t []byte) uint32 {
	h := mix(begin^b.seed[0], b.seed[1])
	if len(t) > 7 {
		for t = t[7:]; len(t) > 8; t = t[8:] {
			h = mix(h^binary.LittleEndian.Uint64(t), b.seed[1])
		}
		var rest [8]byte
		copy(rest[:], t)
		h = mix(h^binary.LittleEndian.Uint64(rest[:]), b.seed[2])
	}
	return uint32(h)
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// number finds a term, or gives it the next number.
func (b *Batch) number(t []byte, first byte) uint32 {
	begin := beginning(t, first)
	hash, mask := b.hash(begin, t), uint32(len(b.slots)-1)
	i := hash & mask
	for ; b.slots[i] != 0; i = (i + 1) & mask {
		e := &b.terms[b.slots[i]-1]
		if e.begin == begin && e.n == uint32(len(t)) && (len(t) <= 7 || string(b.arena[e.at:e.at+e.n]) == string(t)) {
			return b.slots[i] - 1
		}
	}
	b.terms = append(b.terms, entry{begin: begin, hash: hash, n: uint32(len(t)), at: uint32(len(b.arena))})
	b.arena = append(b.arena, t...)
	n := uint32(len(b.terms))
	if b.slots[i] = n; len(b.terms) > len(b.slots)/2 {
		b.widen()
	}
	return n - 1
}

// widen makes the hash table larger.
func (b *Batch) widen() {
	b.slots = make([]uint32, 2*len(b.slots))
	mask := uint32(len(b.slots) - 1)
	for n := range b.terms {
		i := b.terms[n].hash & mask
		for b.slots[i] != 0 {
			i = (i + 1) & mask
		}
		b.slots[i] = uint32(n) + 1
	}
}

// ranked is a term with the octets that it begins with, which tell most terms
// apart.
type ranked struct {
	begin         uint64
	at, n, number uint32
}

// rank puts the terms into order.
func (b *Batch) rank() {
	b.order = b.order[:0]
	for n := range b.terms {
		e := &b.terms[n]
		b.order = append(b.order, ranked{e.begin, e.at, e.n, uint32(n)})
	}
	slices.SortFunc(b.order, func(x, y ranked) int {
		if x.begin != y.begin {
			return cmp.Compare(x.begin, y.begin)
		}
		return bytes.Compare(b.arena[x.at:x.at+x.n], b.arena[y.at:y.at+y.n])
	})
}

// stand is a message and a position in it.
type stand struct{ doc, pos uint32 }

// turn puts the places into the order of the terms' numbers, and gives where those
// of each number begin.
func (b *Batch) turn() (begin []uint32) {
	begin = make([]uint32, len(b.terms)+1)
	for _, p := range b.places {
		begin[p.term+1]++
	}
	for n := range b.terms {
		begin[n+1] += begin[n]
	}
	b.turned = slices.Grow(b.turned[:0], len(b.places))[:len(b.places)]
	next, from := slices.Clone(begin), 0
	for _, e := range b.ends {
		for _, p := range b.places[from:e.places] {
			b.turned[next[p.term]] = stand{e.doc, p.pos}
			next[p.term]++
		}
		from = e.places
	}
	return begin
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

// Outdated says whether account a has an index in a form that is not read any
// more. It counts as none, and goes when the first batch is committed.
func (s *Store) Outdated(ctx context.Context, a mail.AccountID) (old bool, err error) {
	shard := kv.SearchShard(a)
	err = s.db.View(ctx, shard, func(r kv.Reader) error {
		c, err := shelf{shard, r}.cursor()
		old = c.old
		return err
	})
	return old, fault.Wrap("search.Outdated", err)
}

// Commit writes the batch; from then on what lies up to upTo, which is not below
// its last message, counts as indexed. fault.Conflict if somebody else has
// indexed meanwhile.
func (s *Store) Commit(ctx context.Context, a mail.AccountID, b *Batch, upTo uint64) error {
	w := s.newWriter(ctx, a, b.from, b.next, 0)
	b.rank()
	begin := b.turn()
	var p postings
	var term []byte
	for _, r := range b.order {
		p.reset()
		term = append(append(term[:0], byte(r.begin>>56)), b.arena[r.at:r.at+r.n]...)
		p.stands(term[0], b.turned[begin[r.number]:begin[r.number+1]])
		if err := w.add(term, &p); err != nil {
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

// stands appends a term's places.
func (p *postings) stands(first byte, all []stand) {
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].doc == all[0].doc {
			n++
		}
		p.add(all[0].doc)
		if positional(first) {
			p.at = p.at[:0]
			for _, s := range all[:n] {
				p.at = append(p.at, s.pos)
			}
			p.places.add(first, p.at)
		}
		all = all[n:]
	}
}
