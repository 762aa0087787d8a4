package mailbox

import (
	"slices"
	"sort"
)

// maxRun is the most UIDs of one block. Blocks fill from the end only, so a
// mailbox of n messages that was never thinned out has n/1,000.
const maxRun = 1_000

// span is the UIDs from..to, both included.
type span struct{ from, to UID }

// block is one row of run/BOX/^FIRST: UIDs in order, with the counts that say
// whether it is worth looking into. first is its key; no UID in it is smaller,
// and none in it is as large as the next block's first.
type block struct {
	first   UID
	spans   []span
	count   uint32
	unseen  uint32
	deleted uint32
	dirty   bool
}

func (k *block) encode() []byte {
	b := make([]byte, 0, 12+4*len(k.spans))
	b = append(b, format1)
	b = putUint(b, uint64(k.unseen))
	b = putUint(b, uint64(k.deleted))
	next := k.first
	for _, s := range k.spans {
		b = putUint(b, uint64(s.from-next))
		b = putUint(b, uint64(s.to-s.from))
		next = s.to
	}
	return b
}

func decodeBlock(first UID, b []byte) (block, error) {
	d := open(b)
	k := block{first: first, unseen: d.uint32(), deleted: d.uint32()}
	next := uint64(first)
	for !d.bad && len(d.b) > 0 {
		from := next + uint64(d.uint32())
		length := uint64(d.uint32())
		to := from + length
		if length >= maxRun || to > 1<<32-1 || len(k.spans) > 0 && from <= next {
			d.fail()
			break
		}
		k.spans = append(k.spans, span{UID(from), UID(to)})
		if k.count += uint32(length) + 1; k.count > maxRun {
			d.fail()
		}
		next = to
	}
	if k.unseen > k.count || k.deleted > k.count {
		d.fail()
	}
	return k, d.done()
}

// find is the index of the span that holds u.
func (k *block) find(u UID) (int, bool) {
	i := sort.Search(len(k.spans), func(i int) bool { return k.spans[i].to >= u })
	return i, i < len(k.spans) && k.spans[i].from <= u
}

// add puts u behind all others.
func (k *block) add(u UID) {
	k.count++
	if n := len(k.spans); n > 0 && k.spans[n-1].to == u-1 {
		k.spans[n-1].to = u
		return
	}
	k.spans = append(k.spans, span{u, u})
}

// remove takes u out and says whether it was there.
func (k *block) remove(u UID) bool {
	i, ok := k.find(u)
	if !ok {
		return false
	}
	k.count--
	switch s := k.spans[i]; {
	case s.from == s.to:
		k.spans = slices.Delete(k.spans, i, i+1)
	case s.from == u:
		k.spans[i].from++
	case s.to == u:
		k.spans[i].to--
	default:
		k.spans[i].to = u - 1
		k.spans = slices.Insert(k.spans, i+1, span{u + 1, s.to})
	}
	return true
}

// take adds the UIDs of another block, which come behind its own.
func (k *block) take(next *block) {
	k.count += next.count
	k.unseen += next.unseen
	k.deleted += next.deleted
	spans := next.spans
	if n := len(k.spans); n > 0 && k.spans[n-1].to == spans[0].from-1 {
		k.spans[n-1].to = spans[0].to
		spans = spans[1:]
	}
	k.spans = append(k.spans, spans...)
}

// appendTo adds the block's UIDs to uids.
func (k *block) appendTo(uids []UID) []UID {
	for _, s := range k.spans {
		for u := s.from; ; u++ {
			uids = append(uids, u)
			if u == s.to {
				break
			}
		}
	}
	return uids
}
