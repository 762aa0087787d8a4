package queue

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Keys.

func rows(id mail.ArrivalID, kind byte) kv.Key {
	return kv.NewKey(kv.PartitionShard(id)).Uint8('q').Uint8(kind)
}

func messageKey(id mail.ArrivalID) kv.Key    { return rows(id, 'm').Fixed(id[:]) }
func deliveriesKey(id mail.ArrivalID) kv.Key { return rows(id, 'd').Fixed(id[:]) }
func deliveryKey(r Ref) kv.Key               { return deliveriesKey(r.Message).Uint32(r.N) }

func laneKey(part uint8, lane uint8) kv.Key {
	return kv.NewKey(kv.Partition(part)).Uint8('q').Uint8('i').Uint8(lane)
}

func indexKey(d Delivery) kv.Key {
	return laneKey(d.Ref().Partition(), d.place.lane).Uint64(d.place.pos).Fixed(d.Message[:]).Uint32(d.N)
}

// readIndexKey takes an index row's key apart.
func readIndexKey(key []byte, part, lane uint8) (pos uint64, r Ref, err error) {
	k := kv.ReadKey(key, laneKey(part, lane))
	pos = k.Uint64()
	copy(r.Message[:], k.Fixed(len(r.Message)))
	r.N = k.Uint32()
	return pos, r, k.Err()
}

func readDeliveryKey(key []byte, part uint8) (r Ref, err error) {
	k := kv.ReadKey(key, kv.NewKey(kv.Partition(part)).Uint8('q').Uint8('d'))
	copy(r.Message[:], k.Fixed(len(r.Message)))
	r.N = k.Uint32()
	return r, k.Err()
}

// encodeIndex is the value of an index row: the domain, the priority, a number for
// the sender, and the way. It ends before what is 0 and all behind it.
func encodeIndex(d Delivery) []byte {
	b := []byte(d.To.Domain)
	if d.Priority != 0 || d.sender != 0 || d.Via != "" {
		b = append(b, 0, byte(d.Priority))
	}
	if d.sender != 0 || d.Via != "" {
		b = binary.AppendUvarint(b, d.sender)
	}
	return append(b, d.Via...)
}

func readIndex(b []byte) Due {
	domain, rest, _ := bytes.Cut(b, []byte{0})
	d := Due{Domain: mail.Domain(domain)}
	if len(rest) > 0 {
		d.Priority = int8(rest[0])
		var n int
		d.Sender, n = binary.Uvarint(rest[1:])
		d.Via = string(rest[1+max(n, 0):])
	}
	return d
}

// sender is a number for who sent m: its account or, where it has none, its
// reverse-path's domain. It only spreads, and is never read back.
func (m Message) sender() uint64 {
	if m.Account != 0 {
		return uint64(m.Account)
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(m.From.Domain))
	return 1<<32 | uint64(h.Sum32())
}

// Values begin with the version of their form; later versions only add fields
// at the end. Most rows have nothing of what the later ones add, and stay with
// the first.
const (
	rowVersion     = 1
	demandsVersion = 2
	pathVersion    = 3 // of messages
	viaVersion     = 3 // of deliveries
)

// Bits of a message row.
const (
	bitHeadersOnly = 1 << iota
	bitUTF8
	bitEightBit
	bitRequireTLS
	bitQuoted
	bitJunk
	bitSingle
)

// Bits of a delivery row.
const (
	bitWarned = 1 << iota
	bitQuotedTo
	bitLate
)

// Bits of a message's demands.
const (
	bitBinary = 1 << iota
	bitFull
	bitTLSOptional
	bitReturn
	bitTrace
	bitPrioritized
)

func encodeMessage(m Message) []byte {
	version := byte(rowVersion)
	if m.Demands != (mail.Demands{}) {
		version = demandsVersion
	}
	if !m.Path.IsNull() {
		version = pathVersion
	}
	v := kv.Value{}.Byte(version).Byte(bits(m)).Time(m.At).Fixed(m.Blob[:]).Uint(uint64(m.Size)).Uint(uint64(m.Account)).
		Address(m.From).Text(m.EnvID).Text(string(m.Prefix))
	if version >= demandsVersion {
		v = encodeDemands(v, m.Demands)
	}
	if version >= pathVersion {
		v = v.Address(m.Path)
	}
	return v
}

func encodeDemands(v kv.Value, d mail.Demands) kv.Value {
	flags := bit(d.Binary, bitBinary) | bit(d.Full, bitFull) | bit(d.TLSOptional, bitTLSOptional) | bit(d.By.Return, bitReturn) |
		bit(d.By.Trace, bitTrace) | bit(d.Prioritized, bitPrioritized)
	return v.Byte(flags).Byte(byte(d.Priority)).Time(d.By.At).Time(d.Release).Text(d.Requested).Text(d.Solicit)
}

// bit is b where it is set.
func bit(set bool, b byte) byte {
	if set {
		return b
	}
	return 0
}

func readDemands(r *kv.ValueReader) mail.Demands {
	flags := r.Byte()
	return mail.Demands{
		Binary: flags&bitBinary != 0, Full: flags&bitFull != 0, TLSOptional: flags&bitTLSOptional != 0,
		Prioritized: flags&bitPrioritized != 0, Priority: int8(r.Byte()),
		By:      mail.DeliverBy{At: r.Time(), Return: flags&bitReturn != 0, Trace: flags&bitTrace != 0},
		Release: r.Time(), Requested: r.Text(), Solicit: r.Text(),
	}
}

func bits(m Message) byte {
	return bit(m.HeadersOnly, bitHeadersOnly) | bit(m.UTF8, bitUTF8) | bit(m.EightBit, bitEightBit) | bit(m.RequireTLS, bitRequireTLS) |
		bit(m.Quoted, bitQuoted) | bit(m.Junk, bitJunk) | bit(m.single, bitSingle)
}

func readMessage(id mail.ArrivalID, b []byte) (Message, error) {
	r := kv.ReadValue(b)
	version := r.Version()
	flags := r.Byte()
	m := Message{
		ID: id, HeadersOnly: flags&bitHeadersOnly != 0, UTF8: flags&bitUTF8 != 0,
		EightBit: flags&bitEightBit != 0, RequireTLS: flags&bitRequireTLS != 0, Quoted: flags&bitQuoted != 0, Junk: flags&bitJunk != 0,
		single: flags&bitSingle != 0,
	}
	m.At = r.Time()
	copy(m.Blob[:], r.Fixed(len(m.Blob)))
	m.Size = int64(r.Uint())
	m.Account = mail.AccountID(r.Uint())
	m.From = r.Address()
	m.EnvID = r.Text()
	m.Prefix = []byte(r.Text())
	if version >= demandsVersion {
		m.Demands = readDemands(r)
	}
	if version >= pathVersion {
		m.Path = r.Address()
	}
	return m, fault.As(fault.Corrupt, "queue", r.Err())
}

func encodeDelivery(d Delivery) []byte {
	flags := bit(d.Warned, bitWarned) | bit(d.Quoted, bitQuotedTo) | bit(d.Late, bitLate)
	version := byte(rowVersion)
	switch {
	case d.Via != "":
		version = viaVersion
	case d.Priority != 0:
		version = demandsVersion
	}
	v := kv.Value{}.Byte(version).Byte(byte(d.State)).Byte(byte(d.Notify)).Byte(flags).Byte(d.place.lane).Uint(d.place.pos).
		Time(d.Due).Time(d.First).Time(d.Last).Uint(uint64(d.Attempts)).
		Address(d.To).Text(d.Original).Text(d.LastReply).Text(d.LastHost)
	if version >= demandsVersion {
		v = v.Byte(byte(d.Priority))
	}
	if version >= viaVersion {
		v = v.Text(d.Via)
	}
	return v
}

func readDelivery(ref Ref, b []byte) (Delivery, error) {
	r := kv.ReadValue(b)
	version := r.Version()
	d := Delivery{Message: ref.Message, N: ref.N, State: State(r.Byte()), Notify: mail.Notify(r.Byte())}
	flags := r.Byte()
	d.Warned, d.Quoted, d.Late = flags&bitWarned != 0, flags&bitQuotedTo != 0, flags&bitLate != 0
	d.place = place{lane: r.Byte(), pos: r.Uint()}
	d.Due, d.First, d.Last = r.Time(), r.Time(), r.Time()
	d.Attempts = int(min(r.Uint(), 1<<31-1))
	d.To = r.Address()
	d.Original, d.LastReply, d.LastHost = r.Text(), r.Text(), r.Text()
	if version >= demandsVersion {
		d.Priority = int8(r.Byte())
	}
	if version >= viaVersion {
		d.Via = r.Text()
	}
	return d, fault.As(fault.Corrupt, "queue", r.Err())
}

// get reads one delivery.
func get(tx kv.Reader, r Ref) (Delivery, bool, error) {
	b, ok, err := tx.Get(deliveryKey(r))
	if err != nil || !ok {
		return Delivery{}, false, err
	}
	d, err := readDelivery(r, b)
	return d, err == nil, err
}

func getMessage(tx kv.Reader, id mail.ArrivalID) (Message, bool, error) {
	b, ok, err := tx.Get(messageKey(id))
	if err != nil || !ok {
		return Message{}, false, err
	}
	m, err := readMessage(id, b)
	return m, err == nil, err
}
