package mailbox

import (
	"iter"
	"math/bits"
	"slices"
	"sort"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// balance is two multisets that must be equal, one added and one taken away:
// their sizes and the sums of their members' hashes. Two different ones pass for
// equal once in 2^64.
type balance struct {
	n   int64
	sum uint64
}

func (b *balance) add(parts ...uint64) { b.n++; b.sum += mix(parts) }

func (b *balance) sub(parts ...uint64) { b.n--; b.sum -= mix(parts) }

// mix is a hash of numbers: the finalizer of splitmix64 over each.
func mix(parts []uint64) uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, p := range parts {
		h = (h ^ p) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

// bitset is a set of numbers, in pages.
type bitset map[uint64]*[512]uint64

const pageBits = 512 * 64

// set enters n and says whether it was there.
func (b *bitset) set(n uint64) (was bool) {
	if *b == nil {
		*b = bitset{}
	}
	p := (*b)[n/pageBits]
	if p == nil {
		p = new([512]uint64)
		(*b)[n/pageBits] = p
	}
	i, bit := n%pageBits/64, uint64(1)<<(n%64)
	was = p[i]&bit != 0
	p[i] |= bit
	return was
}

func (b bitset) has(n uint64) bool {
	p := b[n/pageBits]
	return p != nil && p[n%pageBits/64]&(1<<(n%64)) != 0
}

// all gives the numbers in no order.
func (b bitset) all() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for at, p := range b {
			for i, word := range p {
				for ; word != 0; word &= word - 1 {
					if !yield(at*pageBits + uint64(i*64+bits.TrailingZeros64(word))) {
						return
					}
				}
			}
		}
	}
}

func (v *verifier) readLog() error {
	return v.each(tagChanged, func(k *kv.KeyReader, value []byte) error {
		v.log.sub(k.Uint64(), k.Uint64(), uint64(k.Uint32()))
		return open(value).done()
	})
}

func (v *verifier) readVanished() error {
	var box BoxID
	var seen bitset
	version := v.t.Version()
	return v.each(tagVanished, func(k *kv.KeyReader, value []byte) error {
		id, seq, uid := BoxID(k.Uint64()), k.Uint64(), k.Uint32()
		row, err := decodeVanished(value)
		if err != nil {
			return err
		}
		if id != box {
			box, seen = id, nil
		}
		if seen.set(uint64(uid)) {
			v.tell("placement %d of mailbox %d vanished twice", uid, id)
		}
		if c := v.boxes[id]; c != nil && (c.block(uid) >= 0 || uid >= c.UIDNext) {
			v.tell("placement %d of mailbox %d has vanished, and is there or was never", uid, id)
		}
		if seq > version {
			v.tell("placement %d of mailbox %d vanished in the future", uid, id)
		}
		if row.arrival != (mail.ArrivalID{}) {
			v.ended.set(uint64(row.message))
		}
		return nil
	})
}

// block is the index of the block that has a UID, -1 if none has.
func (c *boxCheck) block(uid UID) int {
	i := sort.Search(len(c.blocks), func(i int) bool { return c.blocks[i].first > uid }) - 1
	if i < 0 {
		return -1
	}
	if _, ok := c.blocks[i].find(uid); !ok {
		return -1
	}
	return i
}

func (v *verifier) readMessages() error {
	return v.each(tagMessage, func(k *kv.KeyReader, value []byte) error {
		id := MessageID(k.Uint64())
		m, err := decodeMessage(id, value)
		if err != nil {
			return err
		}
		v.live.set(uint64(id))
		v.usage.Messages++
		v.usage.Octets += m.Size
		if len(m.Places) == 0 || id > v.acct.lastMessage {
			v.tell("message %d has no place, or is ahead of its account", id)
		}
		for i, p := range m.Places {
			v.places.sub(uint64(p.Box), uint64(p.UID), uint64(id), uint64(m.Size))
			if slices.Contains(m.Places[:i], p) {
				v.tell("message %d has a place twice", id)
			}
		}
		v.members.add(m.Thread, uint64(id))
		for _, h := range m.threads {
			v.threads.add(h)
		}
		if m.Arrival != (mail.ArrivalID{}) {
			v.arrivals.add(arrivalParts(m.Arrival, id)...)
		}
		return nil
	})
}

func (v *verifier) readGone() error {
	return v.each(tagGone, func(k *kv.KeyReader, value []byte) error {
		k.Uint64()
		id := MessageID(k.Uint64())
		g, err := decodeGone(id, value)
		if err != nil {
			return err
		}
		v.kept.Messages++
		v.kept.Octets += g.Size
		if v.gone.set(uint64(id)) || v.live.has(uint64(id)) || id > v.acct.lastMessage {
			v.tell("message %d is gone and there, or was never", id)
		}
		if _, err := v.words.list(g.keywords); err != nil {
			v.tell("message %d, which is gone, has a keyword that is not in the table", id)
		}
		return nil
	})
}

func arrivalParts(a mail.ArrivalID, id MessageID) []uint64 {
	k := kv.ReadKey(a[:], nil)
	return []uint64{k.Uint64(), k.Uint64(), uint64(id)}
}

func (v *verifier) readThreads() error {
	err := v.each(tagMember, func(k *kv.KeyReader, value []byte) error {
		v.members.sub(k.Uint64(), k.Uint64())
		return open(value).done()
	})
	if err != nil {
		return err
	}
	return v.each(tagThreadID, func(k *kv.KeyReader, value []byte) error {
		h := k.Uint64()
		row, err := decodeThread(value)
		v.threads.n -= int64(row.count)
		v.threads.sum -= row.count * mix([]uint64{h})
		return err
	})
}

func (v *verifier) readViews() error {
	return v.each(tagView, func(k *kv.KeyReader, value []byte) error {
		if id := k.Uint64(); !v.live.has(id) && !v.gone.has(id) {
			v.tell("a view of message %d, which is not there", id)
		}
		_, err := message.Unmarshal(value)
		return err
	})
}

func (v *verifier) readArrivals() error {
	return v.each(tagArrival, func(k *kv.KeyReader, value []byte) error {
		var a mail.ArrivalID
		copy(a[:], k.Fixed(len(a)))
		row, err := decodeArrival(value)
		switch id := uint64(row.message); {
		case err != nil:
		case v.live.has(id):
			v.arrivals.sub(arrivalParts(a, row.message)...)
		case !v.ended.has(id):
			v.tell("an arrival became message %d, which is not there and did not vanish", id)
		}
		return err
	})
}

func (v *verifier) checkBalance() error {
	if v.usage != v.acct.usage {
		v.tell("the account counts %d messages of %d octets; there are %d of %d",
			v.acct.usage.Messages, v.acct.usage.Octets, v.usage.Messages, v.usage.Octets)
	}
	if v.kept != v.acct.kept {
		v.tell("of what is gone the account counts %d messages of %d octets; there are %d of %d",
			v.acct.kept.Messages, v.acct.kept.Octets, v.kept.Messages, v.kept.Octets)
	}
	for _, c := range []struct {
		b    balance
		what string
	}{
		{v.log, "the log does not have each placement once, at its last change"},
		{v.places, "messages and placements do not name each other"},
		{v.members, "messages and the members of threads do not name each other"},
		{v.threads, "the look-up of threads counts other message-ids than there are"},
		{v.arrivals, "messages and arrivals do not name each other"},
	} {
		if c.b != (balance{}) {
			v.tell("%s (%+d)", c.what, c.b.n)
		}
	}
	return nil
}

// checkRest looks for rows of no kind we know.
func (v *verifier) checkRest() error {
	known := []byte{tagAccount, tagBox, tagChanged, tagDead, tagGone, tagArrival, tagKeywords, tagMessage, tagName, tagRole,
		tagRun, tagSub, tagThreadID, tagMember, tagUID, tagView, tagVanished, tagACL, tagAnnotation, tagUIDL, tagMark, tagMarkLog, tagReader}
	slices.Sort(known)
	from := []byte(v.t.shard)
	for _, tag := range append(known, 0) {
		to := []byte(v.t.key(tag))
		if tag == 0 {
			to = kv.PrefixEnd(v.t.shard)
		}
		for p, err := range v.t.r.Scan(kv.Range{From: from, To: to, Limit: 1}) {
			if err != nil {
				return err
			}
			v.tell("row %x is of no kind we know", p.Key[len(v.t.shard):])
		}
		from = kv.PrefixEnd(to)
	}
	return nil
}
