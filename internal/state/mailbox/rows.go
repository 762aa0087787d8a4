package mailbox

import (
	"crypto/sha256"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// The rows of an account, by the octet behind the shard's prefix. The whole
// picture is in docs/store-mailbox.md.
const (
	tagAccount    = 'a' // counters, usage, states
	tagBox        = 'b' // BOX: a mailbox
	tagChanged    = 'c' // BOX SEQ UID: a live placement by its last change
	tagDead       = 'd' // SEQ BOX: a mailbox that is gone
	tagAnnotation = 'e' // BOX READER ENTRY: an annotation; reader 0 is all, mailbox 0 the account
	tagGone       = 'g' // TIME MSG: a message that is gone and can be restored
	tagArrival    = 'i' // ARRIVAL: the message it became
	tagKeywords   = 'k' // the account's keywords
	tagACL        = 'l' // BOX: who has rights to a mailbox besides the owner
	tagMessage    = 'm' // MSG: a message
	tagName       = 'n' // PARENT LEAF: the mailbox of that name
	tagUIDL       = 'p' // BOX UID: by what POP3 clients know an imported message
	tagRole       = 'o' // ROLE: the mailbox that has it
	tagRun        = 'r' // BOX ^FIRST: a block of up to 1,000 UIDs
	tagSub        = 's' // HASH: a subscribed name whose mailbox is gone
	tagThreadID   = 't' // HASH: the thread of a message-id under a base subject
	tagMember     = 'h' // THREAD MSG: a message of a thread
	tagUID        = 'u' // BOX UID: a placement
	tagView       = 'v' // MSG: what lists show of it
	tagMark       = 'w' // BOX READER SPAN: what someone else has seen of 256 UIDs
	tagVanished   = 'x' // BOX SEQ UID: a placement that is gone
	tagMarkLog    = 'y' // BOX READER SEQ SPAN: those by their last change
	tagReader     = 'z' // BOX READER: how much someone else has seen
)

func (t *Tx) key(tag byte) kv.Key { return kv.NewKey(t.shard).Uint8(tag) }

func (t *Tx) boxKey(tag byte, b BoxID) kv.Key { return t.key(tag).Uint64(uint64(b)) }

func (t *Tx) uidKey(b BoxID, u UID) kv.Key { return t.boxKey(tagUID, b).Uint32(u) }

// runKey counts down, so that the block that may hold a UID is the first row of a
// range. The other way round an engine would step back over every version that
// a hot row has had of late.
func (t *Tx) runKey(b BoxID, first UID) kv.Key { return t.boxKey(tagRun, b).Uint32(^first) }

func (t *Tx) logKey(tag byte, b BoxID, seq ModSeq, u UID) kv.Key {
	return t.boxKey(tag, b).Uint64(seq).Uint32(u)
}

func (t *Tx) msgKey(tag byte, m MessageID) kv.Key { return t.key(tag).Uint64(uint64(m)) }

func (t *Tx) nameKey(parent BoxID, leaf string) kv.Key { return t.boxKey(tagName, parent).Text(leaf) }

func (t *Tx) roleKey(r Role) kv.Key { return t.key(tagRole).Text(string(r)) }

// subKey holds a hash, as a name may be longer than a key.
func (t *Tx) subKey(name string) kv.Key {
	h := sha256.Sum256([]byte(name))
	return t.key(tagSub).Fixed(h[:16])
}

func (t *Tx) deadKey(seq ModSeq, b BoxID) kv.Key {
	return t.key(tagDead).Uint64(seq).Uint64(uint64(b))
}

func (t *Tx) arrivalKey(id mail.ArrivalID) kv.Key { return t.key(tagArrival).Fixed(id[:]) }

func (t *Tx) threadKey(h uint64) kv.Key { return t.key(tagThreadID).Uint64(h) }

func (t *Tx) memberKey(th ThreadID, m MessageID) kv.Key {
	return t.key(tagMember).Uint64(th).Uint64(uint64(m))
}

// accountRow is what there is once in an account.
type accountRow struct {
	lastBox         BoxID
	lastMessage     MessageID
	lastUIDValidity uint32
	boxes           uint64 // mailboxes
	gone            uint64 // subscribed names whose mailbox is gone
	usage           Usage
	states          States
	floor           ModSeq // the log is complete above it
	kept            Usage  // of what is gone and can be restored
	annotations     int64  // octets of them, names included
}

func (r *accountRow) encode() []byte {
	b := make([]byte, 1, 48)
	b[0] = format1
	for _, v := range [...]uint64{
		uint64(r.lastBox), uint64(r.lastMessage), uint64(r.lastUIDValidity), r.boxes, r.gone,
		uint64(r.usage.Octets), uint64(r.usage.Messages),
		r.states.Mailbox, r.states.Email, r.states.Thread, r.floor,
	} {
		b = putUint(b, v)
	}
	if r.kept != (Usage{}) || r.annotations != 0 {
		b = putUint(putUint(b, uint64(r.kept.Octets)), uint64(r.kept.Messages))
	}
	if r.annotations != 0 {
		b = putUint(b, uint64(r.annotations))
	}
	return b
}

func decodeAccount(b []byte) (accountRow, error) {
	d := open(b)
	r := accountRow{
		lastBox: BoxID(d.uint()), lastMessage: MessageID(d.uint()), lastUIDValidity: d.uint32(),
		boxes: d.uint(), gone: d.uint(),
		usage:  Usage{Octets: d.size(), Messages: d.size()},
		states: States{Mailbox: d.uint(), Email: d.uint(), Thread: d.uint()},
		floor:  d.uint(),
	}
	if len(d.b) > 0 {
		r.kept = Usage{Octets: d.size(), Messages: d.size()}
	}
	if len(d.b) > 0 {
		r.annotations = d.size()
	}
	return r, d.done()
}

// The bits of a mailbox row.
const (
	boxSubscribed = 1 << iota
	boxDoomed     // deleted; its messages go in pieces
	boxStage      // of a COPY, seen by nobody
)

// deadRow is what is remembered of a mailbox that is gone.
type deadRow struct {
	created ModSeq
	at      time.Time
}

func (r *deadRow) encode() []byte { return putTime(putUint([]byte{format1}, r.created), r.at) }

func decodeDead(b []byte) (deadRow, error) {
	d := open(b)
	r := deadRow{created: d.uint(), at: d.time()}
	return r, d.done()
}

// boxRow is a mailbox at rest: its own level of the name, the rest is its parent's.
type boxRow struct {
	Box
	leaf   string
	doomed bool
	floor  ModSeq // the mailbox's log is complete above it
	tail   UID    // first of the last block, which may be gone
	stage
}

func (r *boxRow) encode() []byte {
	var bits byte
	if r.Subscribed {
		bits |= boxSubscribed
	}
	if r.doomed {
		bits |= boxDoomed
	}
	if r.hidden {
		bits |= boxStage
	}
	b := make([]byte, 0, 64+len(r.leaf))
	b = append(b, format1, bits)
	b = putUint(b, uint64(r.Parent))
	b = putText(b, r.leaf)
	b = putText(b, string(r.Role))
	for _, v := range [...]uint64{
		uint64(r.UIDValidity), uint64(r.UIDNext), r.HighestModSeq, r.Changed, r.Created,
		uint64(r.Messages), uint64(r.Unseen), uint64(r.Deleted), uint64(r.Size),
		r.floor, uint64(r.tail),
	} {
		b = putUint(b, v)
	}
	return r.stage.encode(b)
}

func decodeBox(id BoxID, b []byte) (boxRow, error) {
	d := open(b)
	bits := d.octet()
	r := boxRow{
		Box: Box{
			ID: id, Parent: BoxID(d.uint()),
			Subscribed: bits&boxSubscribed != 0,
		},
		doomed: bits&boxDoomed != 0,
		leaf:   d.text(),
	}
	r.Role = Role(d.text())
	r.UIDValidity, r.UIDNext = d.uint32(), d.uint32()
	r.HighestModSeq, r.Changed, r.Created = d.uint(), d.uint(), d.uint()
	r.Messages, r.Unseen, r.Deleted = d.uint32(), d.uint32(), d.uint32()
	r.Size, r.floor, r.tail = d.size(), d.uint(), d.uint32()
	r.stage = decodeStage(d)
	r.hidden = bits&boxStage != 0
	return r, d.done()
}

// placementRow is a placement at rest. Keywords are numbers in the account's table.
type placementRow struct {
	message  MessageID
	modSeq   ModSeq
	created  ModSeq
	flags    mail.Flags
	keywords []uint32 // ascending
	size     int64
	received time.Time
	saved    time.Time
}

func (r *placementRow) encode() []byte {
	b := make([]byte, 0, 32)
	b = append(b, format1, byte(r.flags))
	b = putUint(b, uint64(r.message))
	b = putUint(b, r.created)
	b = putUint(b, r.modSeq-r.created)
	b = putUint(b, uint64(r.size))
	b = putTime(b, r.received)
	b = putTime(b, r.saved)
	for _, k := range r.keywords {
		b = putUint(b, uint64(k))
	}
	return b
}

func decodePlacement(b []byte) (placementRow, error) {
	d := open(b)
	r := placementRow{flags: mail.Flags(d.octet()), message: MessageID(d.uint()), created: d.uint()}
	r.modSeq = r.created + d.uint()
	r.size, r.received, r.saved = d.size(), d.time(), d.time()
	for !d.bad && len(d.b) > 0 {
		k := d.uint32()
		if n := len(r.keywords); n == MaxKeywords || n > 0 && r.keywords[n-1] >= k {
			d.fail()
		}
		r.keywords = append(r.keywords, k)
	}
	return r, d.done()
}

// messageRow is a message at rest.
type messageRow struct {
	Message
	threads []uint64 // the keys of its message-ids in the thread look-up
}

func (r *messageRow) encode() []byte {
	b := make([]byte, 0, 96+len(r.Prefix)+8*len(r.threads)+6*len(r.Places))
	b = append(b, format1)
	b = append(b, r.Blob[:]...)
	b = append(b, r.Arrival[:]...)
	b = putUint(b, uint64(r.Size))
	b = putTime(b, r.Received)
	b = putUint(b, r.Created)
	b = putUint(b, r.Thread)
	b = putBytes(b, r.Prefix)
	b = putUint(b, uint64(len(r.threads)))
	for _, h := range r.threads {
		b = putUint(b, h)
	}
	for _, p := range r.Places {
		b = putUint(b, uint64(p.Box))
		b = putUint(b, uint64(p.UID))
	}
	return b
}

func decodeMessage(id MessageID, b []byte) (messageRow, error) {
	d := open(b)
	r := messageRow{Message: d.source(id)}
	for range d.count() {
		r.threads = append(r.threads, d.uint())
	}
	for !d.bad && len(d.b) > 0 {
		r.Places = append(r.Places, Place{Box: BoxID(d.uint()), UID: d.uint32()})
	}
	return r, d.done()
}

// source reads what stands first in a message's row. It shares the row's memory.
func (d *reader) source(id MessageID) Message {
	m := Message{ID: id}
	d.fixed(m.Blob[:])
	d.fixed(m.Arrival[:])
	m.Size, m.Received, m.Created, m.Thread = d.size(), d.time(), d.uint(), d.uint()
	m.Prefix = d.bytes()
	return m
}

// decodeSource is decodeMessage without a look at threads and places.
func decodeSource(id MessageID, b []byte) (Message, error) {
	d := open(b)
	m := d.source(id)
	if d.bad {
		return Message{}, errRow
	}
	return m, nil
}

// vanishedRow is what is remembered of a placement that is gone.
type vanishedRow struct {
	message MessageID
	created ModSeq // when the placement came
	at      time.Time
	last    bool // the message went with it; the rest is only then
	thread  ThreadID
	lone    bool   // the thread went with it
	born    ModSeq // when the message came
	arrival mail.ArrivalID
}

func (r *vanishedRow) encode() []byte {
	b := make([]byte, 0, 48)
	b = append(b, format1)
	b = putUint(b, uint64(r.message))
	b = putUint(b, r.created)
	b = putTime(b, r.at)
	if !r.last {
		return append(b, 0)
	}
	if r.lone {
		b = append(b, 2)
	} else {
		b = append(b, 1)
	}
	b = putUint(b, r.thread)
	b = putUint(b, r.born)
	if r.arrival != (mail.ArrivalID{}) {
		b = append(b, r.arrival[:]...)
	}
	return b
}

func decodeVanished(b []byte) (vanishedRow, error) {
	d := open(b)
	r := vanishedRow{message: MessageID(d.uint()), created: d.uint(), at: d.time()}
	switch d.octet() {
	case 0:
		return r, d.done()
	case 1:
	case 2:
		r.lone = true
	default:
		d.fail()
	}
	r.last, r.thread, r.born = true, d.uint(), d.uint()
	if len(d.b) > 0 {
		d.fixed(r.arrival[:])
	}
	return r, d.done()
}

// arrivalRow says what an arrival became, so that its repeat changes nothing.
type arrivalRow struct {
	message MessageID
	places  []Place // where Add laid it down, moved since or not
}

func (r *arrivalRow) encode() []byte {
	b := putUint([]byte{format1}, uint64(r.message))
	for _, p := range r.places {
		b = putUint(b, uint64(p.Box))
		b = putUint(b, uint64(p.UID))
	}
	return b
}

func decodeArrival(b []byte) (arrivalRow, error) {
	d := open(b)
	r := arrivalRow{message: MessageID(d.uint())}
	for !d.bad && len(d.b) > 0 {
		r.places = append(r.places, Place{Box: BoxID(d.uint()), UID: d.uint32()})
	}
	return r, d.done()
}

// threadRow is where messages that know a message-id belong, and how many do.
type threadRow struct {
	thread ThreadID
	count  uint64
}

func (r *threadRow) encode() []byte {
	return putUint(putUint([]byte{format1}, r.thread), r.count)
}

func decodeThread(b []byte) (threadRow, error) {
	d := open(b)
	r := threadRow{thread: d.uint(), count: d.uint()}
	return r, d.done()
}
