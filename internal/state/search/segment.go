package search

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// The rows of an account's index, by the octet behind the shard's prefix. The
// whole picture is in docs/store-search.md.
const (
	tagCursor  = 'c' // what is indexed, and the last segment id given
	tagData    = 'd' // SEG KIND N: a piece of a segment
	tagSegment = 's' // SEG: a segment
	tagUnready = 'w' // SEG: a segment that is being written
)

// The kinds of pieces.
const (
	kindTerms    = 't' // terms, in order, each ended by a line end, with one in front
	kindLists    = 'o' // for each of these terms its only message, or the length of its posting list; and that of its positions
	kindPostings = 'p' // posting lists
	kindPlaces   = 'q' // positions
)

const (
	format1   = 1        // pairs of characters, and no positions; nobody reads it any more
	format2   = 2        // this one
	pieceSize = 32 << 10 // octets of a piece
)

// The octets that terms begin with: where they were found.
const (
	inUnsure  = 0x01 // not a region: messages that are not indexed completely
	inSubject = 0x02
	inFrom    = 0x03
	inTo      = 0x04
	inCc      = 0x05
	inBcc     = 0x06
	inOthers  = 0x07
	inBody    = 0x08

	inRegion = 0x0f // these bits are the region; the others are the kind, so that who looks for words passes the rest over
	inWord   = 0x00
	inDense  = 0x10
	inMark   = 0x20
)

// octet is what the terms of one region begin with.
func (r Regions) octet() byte {
	for i := byte(0); i < 7; i++ {
		if r == 1<<i {
			return inSubject + i
		}
	}
	return inOthers
}

// has says whether the terms of region b belong to r.
func (r Regions) has(b byte) bool { return b >= inSubject && b <= inBody && r>>(b-inSubject)&1 != 0 }

// cursor is what there is once in an account's index.
type cursor struct {
	upTo uint64 // the last message that is indexed
	last uint64 // the last segment id given
	old  bool   // the whole index is of a form that is not read any more: there is none
}

func (c cursor) encode() []byte {
	return binary.AppendUvarint(binary.AppendUvarint([]byte{format2}, c.upTo), c.last)
}

// segment is the index of a range of messages: a sorted list of terms, and for
// each the messages that have it. It is never changed, only merged with its
// neighbours into another.
type segment struct {
	id       uint64
	from, to uint64 // messages, to not included
	level    uint64 // how often it was merged
	octets   uint64 // of its rows
	pieces   []piece
}

// piece is what is known of a piece of terms without reading it.
type piece struct {
	first    []byte // a text that is not before its first term and behind all earlier ones
	postings uint64 // where its posting lists begin
	places   uint64 // where its positions begin
}

func (s *segment) size() uint32 { return uint32(s.to - s.from) }

func (s *segment) encode() []byte {
	b := []byte{format2}
	for _, v := range [...]uint64{s.from, s.to - s.from, s.level, s.octets, uint64(len(s.pieces))} {
		b = binary.AppendUvarint(b, v)
	}
	var was piece
	for _, p := range s.pieces {
		b = binary.AppendUvarint(b, p.postings-was.postings)
		b = binary.AppendUvarint(b, p.places-was.places)
		b = binary.AppendUvarint(b, uint64(len(p.first)))
		b = append(b, p.first...)
		was = p
	}
	return b
}

// decoder reads numbers and remembers whether anything was wrong.
type decoder struct {
	b   []byte
	bad bool
}

func decode(b []byte) *decoder {
	if len(b) == 0 || b[0] != format2 {
		return &decoder{bad: true}
	}
	return &decoder{b: b[1:]}
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if d.bad || n <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.b, d.bad = nil, true
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) err() error {
	if d.bad || len(d.b) > 0 {
		return errRow
	}
	return nil
}

func decodeCursor(b []byte) (cursor, error) {
	if len(b) > 0 && b[0] == format1 {
		return cursor{old: true}, nil
	}
	d := decode(b)
	c := cursor{upTo: d.uint(), last: d.uint()}
	return c, d.err()
}

func decodeSegment(id uint64, b []byte) (*segment, error) {
	d := decode(b)
	s := &segment{id: id, from: d.uint()}
	n := d.uint()
	s.to, s.level, s.octets = s.from+n, d.uint(), d.uint()
	if n == 0 || n > maxMessages || s.to < s.from {
		d.bad = true
	}
	pieces, was := d.uint(), piece{}
	if pieces > uint64(len(d.b)/3) {
		d.bad = true
	}
	for i := uint64(0); i < pieces && !d.bad; i++ {
		more, also := d.uint(), d.uint()
		if more > 1<<40 || also > 1<<40 {
			d.bad = true
		}
		p := piece{postings: was.postings + more, places: was.places + also, first: d.bytes()}
		was = p
		if len(s.pieces) > 0 && bytes.Compare(s.pieces[i-1].first, p.first) >= 0 || len(p.first) < 1 {
			d.bad = true
		}
		s.pieces = append(s.pieces, p)
	}
	return s, d.err()
}

// shelf is an account's index at one moment.
type shelf struct {
	shard kv.Shard
	r     kv.Reader
}

func (h shelf) key(tag byte) kv.Key { return kv.NewKey(h.shard).Uint8(tag) }

func (h shelf) segKey(tag byte, id uint64) kv.Key { return h.key(tag).Uint64(id) }

func (h shelf) dataKey(id uint64, kind byte, n uint64) kv.Key {
	return h.segKey(tagData, id).Uint8(kind).Uint32(uint32(n))
}

func (h shelf) cursor() (c cursor, err error) {
	b, ok, err := h.r.Get(h.key(tagCursor))
	if err != nil || !ok {
		return c, err
	}
	c, err = decodeCursor(b)
	return c, corrupt(err)
}

// segments gives them in the order of their messages.
func (h shelf) segments() ([]*segment, error) {
	var all []*segment
	for p, err := range h.r.Scan(kv.Prefix(h.key(tagSegment))) {
		if err != nil {
			return nil, err
		}
		k := kv.ReadKey(p.Key, h.key(tagSegment))
		id := k.Uint64()
		s, err := decodeSegment(id, p.Value)
		if err = errors.Join(err, k.Err()); err != nil {
			return nil, corrupt(err)
		}
		at := len(all)
		for at > 0 && all[at-1].from > s.from {
			at--
		}
		all = append(all[:at], append([]*segment{s}, all[at:]...)...)
	}
	return all, nil
}

// data reads one piece.
func (h shelf) data(id uint64, kind byte, n uint64) ([]byte, error) {
	b, ok, err := h.r.Get(h.dataKey(id, kind, n))
	if err == nil && !ok {
		err = corrupt(errRow)
	}
	return b, err
}

func corrupt(err error) error { return fault.As(fault.Corrupt, "search", err) }

// list is where the messages of a term are found, and its positions in them.
type list struct {
	single    bool
	only      uint64 // the one message
	postings  uint64
	length    uint64
	places    uint64
	placesLen uint64
}

// size is how many octets of lists it stands for.
func (l *list) size() uint64 { return l.length + l.placesLen }

// lists reads a piece of kindLists, that of p's terms. A search for part of a word
// reads all of them, so that it does so without a decoder.
func lists(b []byte, p piece, into []list) ([]list, error) {
	if len(b) == 0 || b[0] != format2 {
		return nil, corrupt(errRow)
	}
	into = into[:0]
	for b = b[1:]; len(b) > 0; {
		x, k := firstUint(b)
		n, m := firstUint(b[max(k, 0):])
		if k <= 0 || m <= 0 {
			return nil, corrupt(errRow)
		}
		b = b[k+m:]
		l := list{postings: p.postings, places: p.places, placesLen: n}
		if l.single = x&1 != 0; l.single {
			l.only = x >> 1
		} else {
			l.length = x >> 1
		}
		p.postings += l.length
		p.places += n
		into = append(into, l)
	}
	return into, nil
}

// firstUint is binary.Uvarint, and quick for what is below 128.
func firstUint(b []byte) (uint64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return binary.Uvarint(b)
}

// docs appends the messages of a list to into; b is its posting list, unless it
// has only one. They are below n.
func (l *list) docs(b []byte, n uint32, into []uint32) ([]uint32, error) {
	if l.single {
		if l.only >= uint64(n) {
			return into, corrupt(errRow)
		}
		return append(into, uint32(l.only)), nil
	}
	err := runs(b, n, func(from, to uint32) {
		for ; from < to; from++ {
			into = append(into, from)
		}
	})
	return into, corrupt(err)
}
