// Package queue holds the deliveries that wait to be relayed: their rows, what
// is due, and the pure rules of when to try again and when to give up.
//
// The rows lie in the partition of their message, behind the shard's prefix:
//
//	q m ID        the message: envelope facts, blob, header fields of ours
//	q d ID N      one delivery: a recipient and how far it has come
//	q i LANE POS ID N   what is waiting, in the order of being due
//	q w ACCOUNT         how much of an account's mail has to wait
//
// An index row is in one of three lanes. What is due at once stands in the order
// of commits, so that a reader's cursor misses nothing that was committed late,
// and what is urgent has such a lane for itself; what is due later stands in the
// order of its time. An attempt in flight has no row: after a crash everything
// that waited waits again.
package queue

import (
	"sync/atomic"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// State is how far a delivery has come. Only Waiting and Held have rows.
type State uint8

// The states of a delivery.
const (
	Waiting   State = iota + 1 // tried again when due
	Held                       // waits for an operator
	Delivered                  // a next hop has taken it
	Bounced                    // given up
)

var stateNames = [...]string{"", "waiting", "held", "delivered", "bounced"}

// String is the state's name, as the command line and the REST API write it.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return ""
}

// ParseState reads what String wrote; "" is the zero State, which in a Filter means any.
func ParseState(s string) (State, error) {
	for i, name := range stateNames {
		if name == s {
			return State(i), nil
		}
	}
	return 0, fault.Newf(fault.Invalid, "queue.ParseState", "not a state of the queue: %.40q", s)
}

// Ended says whether nothing is left to be done.
func (s State) Ended() bool { return s == Delivered || s == Bounced }

// Message is what all deliveries of one message share.
type Message struct {
	ID          mail.ArrivalID
	At          time.Time // when it was accepted
	Blob        mail.BlobID
	Size        int64  // of the content, in octets, without the prefix
	Prefix      []byte // header fields of ours, in front of the content; at most MaxPrefix
	From        mail.Address
	Path        mail.Address   // reverse-path that the next hop is told instead; null: From
	EnvID       string         // ENVID (RFC 3461 §4.4)
	HeadersOnly bool           // RET=HDRS (RFC 3461 §4.3)
	UTF8        bool           // SMTPUTF8 (RFC 6531)
	EightBit    bool           // BODY=8BITMIME (RFC 6152)
	RequireTLS  bool           // RFC 8689
	Quoted      bool           // From is written as mail.Address.Strict does
	Junk        bool           // copies for accounts of ours go to the \Junk mailbox
	Account     mail.AccountID // who submitted it; zero if nobody of ours
	mail.Demands

	single bool // it has one delivery
}

// ReversePath is what the next hop is told.
func (m Message) ReversePath() mail.Address {
	if m.Path.IsNull() {
		return m.From
	}
	return m.Path
}

// MaxPrefix bounds the octets of Message.Prefix, which lies in one row.
const MaxPrefix = 64 << 10

// Delivery is one recipient's copy on its way out.
type Delivery struct {
	Message   mail.ArrivalID
	N         uint32 // number of the recipient within the message
	To        mail.Address
	Original  string // ORCPT, as given
	Notify    mail.Notify
	Quoted    bool // To is written as mail.Address.Strict does
	State     State
	Due       time.Time // when it is tried next
	Attempts  int
	First     time.Time // when it began to wait; the give-up time counts from here
	Last      time.Time // of the last attempt; zero before the first
	LastReply string    // the remote's words at the last attempt, or ours
	LastHost  string    // who said so; "" if no host was reached
	Warned    bool      // the sender was told of the delay
	Late      bool      // the sender was told that its deliver-by-time has passed (RFC 2852 §4.1.3)
	Priority  int8      // the message's (RFC 6710 §5)
	Via       string    // an operator sends it this way: "host:port" or Direct; "": the usual one

	place  place       // of its index row
	sender uint64      // the message's
	blob   mail.BlobID // the message's, if it was read with it
	single bool        // the message has no other, as far as is known

	account mail.AccountID // the message's
	size    int64          // of the message with its prefix, in octets
}

// Direct is the way to the domain's own hosts, whatever smart hosts there are.
const Direct = "direct"

// Hop names the next hop of a delivery to d by a way of Delivery.Via: usual names
// that of a domain.
func Hop(via string, d mail.Domain, usual func(mail.Domain) mail.Domain) mail.Domain {
	switch via {
	case "":
		return usual(d)
	case Direct:
		return d
	}
	return mail.Domain(via)
}

// of takes over what d has to know of its message.
func (d *Delivery) of(m Message) {
	d.sender, d.blob, d.single, d.account = m.sender(), m.Blob, m.single, m.Account
	d.size = m.Size + int64(len(m.Prefix))
}

// place is where a waiting delivery stands in the index.
type place struct {
	lane uint8
	pos  uint64
}

// The lanes of the index.
const (
	laneNone  uint8 = 0
	laneNow   uint8 = 1 // pos is the version of the commit that wrote it
	laneLater uint8 = 2 // pos is Due in nanoseconds since 1970
	laneFirst uint8 = 3 // of a priority over 0; pos as in laneNow
)

// Ref names a waiting delivery without reading its row.
type Ref struct {
	Message mail.ArrivalID
	N       uint32
}

// Ref is d's.
func (d Delivery) Ref() Ref { return Ref{d.Message, d.N} }

// Partition is the number of the partition r lies in.
func (r Ref) Partition() uint8 { return r.Message[0] % kv.Partitions }

// Store is the queue.
type Store struct {
	// OnChange, if set before the store is used, is told in the same transaction
	// what an operator did: DidRetry, DidHold, DidRelease, DidReroute or DidDrop.
	OnChange func(tx kv.Tx, what string, e Entry, at time.Time)
	// SiteOf, if set before the store is used, names where a domain's mail goes
	// next. It must be quick.
	SiteOf func(mail.Domain) mail.Domain

	db    kv.DB
	blobs *blob.Store
	// readied is the newest version of each partition in which a delivery of
	// this process's began to wait, committed or about to be.
	readied [kv.Partitions]atomic.Uint64
	changes atomic.Uint64 // by operators: begun and ended
	offers  offers
}

// New makes a queue over db. blobs holds the contents.
func New(db kv.DB, blobs *blob.Store) *Store { return &Store{db: db, blobs: blobs} }

// Readied is the newest version of a partition with which a delivery began to
// wait, as far as this process wrote it: a partition's later versions are of
// its history alone, and nothing is to be looked for.
func (s *Store) Readied(part uint8) kv.Version { return kv.Version(s.readied[part].Load()) }

// Add puts a message and its deliveries into the queue, in the caller's
// transaction, which has named kv.PartitionShard(m.ID). It refers to the
// content. A delivery without a state waits; without a First or Due it takes
// m.At, or m.Release if that is later. Its priority is m's. Repeating it within
// the transaction's reruns is harmless.
func (s *Store) Add(tx kv.Tx, m Message, h blob.Handle, ds []Delivery) error {
	return s.add(tx, m, h, ds, func(d Delivery) {
		if d.State == Waiting {
			s.ready(d.Ref().Partition(), tx.Next(kv.PartitionShard(m.ID)))
		}
	})
}

// add is Add, and tells of each delivery as it is written.
func (s *Store) add(tx kv.Tx, m Message, h blob.Handle, ds []Delivery, added func(Delivery)) error {
	const op = "queue.Add"
	if len(m.Prefix) > MaxPrefix {
		return fault.New(fault.TooLarge, op, "the message's header is too large")
	}
	if len(ds) == 0 {
		return fault.New(fault.Internal, op, "no deliveries")
	}
	m.Blob, m.single = h.ID(), len(ds) == 1
	blob.ReferFirst(tx, h, owner(m.ID))
	tx.Set(messageKey(m.ID), encodeMessage(m))
	waits := tally{}
	for _, d := range ds {
		d.Message = m.ID
		if d.State == 0 {
			d.State = Waiting
		}
		if d.First.IsZero() {
			d.First = later(m.At, m.Release)
		}
		if d.Due.IsZero() {
			d.Due = later(m.At, m.Release)
		}
		d.Priority = m.Priority
		d.of(m)
		d.Late = d.Late || !m.By.Return && m.By.Passed(m.At) // who passed it on late has told of it
		d = put(tx, d, m.At)
		waits.add(d, 1)
		added(d)
	}
	return waits.write(tx, Ref{Message: m.ID}.Partition())
}

// Write makes settled deliveries of one message true, in the transaction that
// also tells of them in the history. It looks at each row again, and says whether
// it was there: if it has gone, the delivery was dropped meanwhile; if it was held
// meanwhile it stays held, unless it has ended. With the last delivery go the
// message and the reference to its content.
func (s *Store) Write(tx kv.Tx, now time.Time, ds ...Delivery) (there []bool, err error) {
	const op = "queue.Write"
	there = make([]bool, len(ds))
	var ended []Delivery
	waits := tally{}
	for i, d := range ds {
		old, ok, err := get(tx, d.Ref())
		if err != nil {
			return nil, fault.Wrap(op, err)
		}
		if there[i] = ok; !ok {
			continue
		}
		unindex(tx, old)
		old.account, old.size = d.account, d.size
		waits.add(old, -1)
		if d.State.Ended() {
			ended = append(ended, d)
			continue
		}
		if old.State == Held {
			d.State = Held
		}
		d.Via = old.Via
		waits.add(s.put(tx, d, now), 1)
	}
	if err = remove(tx, ended...); err == nil && len(ds) > 0 {
		err = waits.write(tx, ds[0].Ref().Partition())
	}
	return there, fault.Wrap(op, err)
}

// put writes d, for a reader of the index to find.
func (s *Store) put(tx kv.Tx, d Delivery, now time.Time) Delivery {
	if d.State == Waiting {
		s.ready(d.Ref().Partition(), tx.Next(kv.PartitionShard(d.Message)))
	}
	return put(tx, d, now)
}

// put writes the delivery's row and, if it waits, its index row. It gives the
// delivery as it stands there.
func put(tx kv.Tx, d Delivery, now time.Time) Delivery {
	d.place = place{}
	if d.State == Waiting {
		d.place = place{laneNow, uint64(tx.Next(kv.PartitionShard(d.Message)))}
		switch {
		case d.Due.After(now):
			d.place = place{laneLater, position(d.Due)}
		case d.Priority > 0:
			d.place.lane = laneFirst
		}
		tx.Set(indexKey(d), encodeIndex(d))
	}
	tx.Set(deliveryKey(d.Ref()), encodeDelivery(d))
	return d
}

// ready raises Readied to v. It is raised before the commit, so that whoever
// hears of the commit finds it raised.
func (s *Store) ready(part uint8, v kv.Version) {
	for {
		old := s.readied[part].Load()
		if old >= uint64(v) || s.readied[part].CompareAndSwap(old, uint64(v)) {
			return
		}
	}
}

// unindex takes away the index row of a delivery as it was read.
func unindex(tx kv.Tx, d Delivery) {
	if d.place.lane != laneNone {
		tx.Delete(indexKey(d))
	}
}

// remove takes away deliveries of one message, and the message with the last.
func remove(tx kv.Tx, ds ...Delivery) error {
	if len(ds) == 0 {
		return nil
	}
	for _, d := range ds {
		tx.Delete(deliveryKey(d.Ref()))
	}
	d := ds[0]
	if !d.single {
		r := kv.Prefix(deliveriesKey(d.Message))
		r.Limit = 1
		for _, err := range tx.Scan(r) {
			return err
		}
	}
	if d.blob == (mail.BlobID{}) {
		m, ok, err := getMessage(tx, d.Message)
		if err != nil || !ok {
			return err
		}
		d.blob = m.Blob
	}
	tx.Delete(messageKey(d.Message))
	blob.Release(tx, d.blob, owner(d.Message))
	return nil
}

func owner(id mail.ArrivalID) blob.Owner {
	return blob.Owner{Kind: 'q', Shard: uint64(id[0] % kv.Partitions), ID: id}
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// position is a time as an index position. Times before 1970 are 0.
func position(t time.Time) uint64 { return uint64(max(t.UnixNano(), 0)) }
