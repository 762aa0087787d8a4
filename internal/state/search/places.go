package search

import (
	"encoding/binary"
	"math/bits"
)

// blockDocs is how many messages stand in one block of a list of positions. A
// block begins at an octet, so that those without a candidate are passed over.
const blockDocs = 128

// positional says whether the terms of a kind have positions: those of all header
// fields but the usual ones have none, as they cost much and nobody looks for a
// phrase there.
func positional(first byte) bool {
	region := first & inRegion
	return region >= inSubject && region <= inBody && region != inOthers
}

// order is the order of the codes for the positions of a term that stands n
// times in a message: what is rare is far apart, and bodies are longer than
// the fields of a header.
func order(first byte, n int) uint {
	top := 4
	if first&inRegion == inBody {
		top = 9
	}
	return uint(max(0, top-bits.Len(uint(n))))
}

// places writes where a term stands, for one message after the other: how often,
// and how many positions lie between one and the next.
type places struct {
	w      bitWriter
	num    int    // messages in the block
	blocks []byte // lengths of those that are full
	bytes  []byte // themselves
}

func (p *places) reset() {
	p.w.b, p.w.acc, p.w.n, p.num, p.blocks, p.bytes = p.w.b[:0], 0, 0, 0, p.blocks[:0], p.bytes[:0]
}

// add appends a message's positions, which ascend.
func (p *places) add(first byte, at []uint32) {
	if p.num == blockDocs {
		p.endBlock()
	}
	p.num++
	p.w.number(uint32(len(at)-1), 0)
	next, k := uint32(0), order(first, len(at))
	for _, a := range at {
		p.w.number(a-next, k)
		next = a + 1
	}
}

func (p *places) endBlock() {
	p.w.end()
	p.blocks = binary.AppendUvarint(p.blocks, uint64(len(p.w.b)))
	p.bytes = append(p.bytes, p.w.b...)
	p.w.b, p.num = p.w.b[:0], 0
}

// appendTo ends the list: if there is more than one block, their lengths come first.
func (p *places) appendTo(b []byte) []byte {
	if len(p.blocks) == 0 {
		p.w.end()
		return append(b, p.w.b...)
	}
	p.endBlock()
	return append(append(b, p.blocks...), p.bytes...)
}

// readPlaces calls fn with the positions of the messages docs that want names, or of
// all if want is nil. The slice is fn's for the time of the call.
func readPlaces(first byte, b []byte, docs []uint32, want *set, fn func(doc uint32, at []uint32)) error {
	var lengths []byte
	if n := (len(docs) + blockDocs - 1) / blockDocs; n > 1 {
		end := 0
		for range n {
			_, k := binary.Uvarint(b[end:])
			if k <= 0 {
				return errRow
			}
			end += k
		}
		lengths, b = b[:end], b[end:]
	}
	var at []uint32
	for len(docs) > 0 {
		block := docs[:min(blockDocs, len(docs))]
		docs = docs[len(block):]
		in := b
		if lengths != nil {
			n, k := binary.Uvarint(lengths)
			if lengths = lengths[k:]; n > uint64(len(b)) {
				return errRow
			}
			in, b = b[:n], b[n:]
		}
		last := len(block)
		for want != nil && last > 0 && !want.has(block[last-1]) {
			last--
		}
		r := bitReader{b: in}
		for _, doc := range block[:last] {
			n := int(r.number(0)) + 1
			if at = at[:0]; n > len(in)*8 {
				return errRow
			}
			next, k := uint32(0), order(first, n)
			for range n {
				next += r.number(k)
				at = append(at, next)
				next++
			}
			if r.failed() || next > maxPosition {
				return errRow
			}
			if want == nil || want.has(doc) {
				fn(doc, at)
			}
		}
	}
	return nil
}

// maxPosition is beyond every position in a message: its text is bounded, and
// each octet of it makes two at most.
const maxPosition = 1 << 24
