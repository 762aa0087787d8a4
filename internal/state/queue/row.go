package queue

import (
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

// Values begin with the version of their form; later versions only add fields
// at the end.
const rowVersion = 1

// Bits of a message row.
const (
	bitHeadersOnly = 1 << iota
	bitUTF8
	bitEightBit
	bitRequireTLS
	bitQuoted
)

// Bits of a delivery row.
const (
	bitWarned = 1 << iota
	bitQuotedTo
)

func encodeMessage(m Message) []byte {
	return kv.Value{}.Byte(rowVersion).Byte(bits(m)).Time(m.At).Fixed(m.Blob[:]).Uint(uint64(m.Size)).Uint(uint64(m.Account)).
		Address(m.From).Text(m.EnvID).Text(string(m.Prefix))
}

func bits(m Message) (b byte) {
	for bit, set := range map[byte]bool{
		bitHeadersOnly: m.HeadersOnly, bitUTF8: m.UTF8, bitEightBit: m.EightBit, bitRequireTLS: m.RequireTLS, bitQuoted: m.Quoted,
	} {
		if set {
			b |= bit
		}
	}
	return b
}

func readMessage(id mail.ArrivalID, b []byte) (Message, error) {
	r := kv.ReadValue(b)
	r.Version()
	flags := r.Byte()
	m := Message{
		ID: id, HeadersOnly: flags&bitHeadersOnly != 0, UTF8: flags&bitUTF8 != 0,
		EightBit: flags&bitEightBit != 0, RequireTLS: flags&bitRequireTLS != 0, Quoted: flags&bitQuoted != 0,
	}
	m.At = r.Time()
	copy(m.Blob[:], r.Fixed(len(m.Blob)))
	m.Size = int64(r.Uint())
	m.Account = mail.AccountID(r.Uint())
	m.From = r.Address()
	m.EnvID = r.Text()
	m.Prefix = []byte(r.Text())
	return m, fault.As(fault.Corrupt, "queue", r.Err())
}

func encodeDelivery(d Delivery) []byte {
	flags := byte(0)
	if d.Warned {
		flags = bitWarned
	}
	if d.Quoted {
		flags |= bitQuotedTo
	}
	return kv.Value{}.Byte(rowVersion).Byte(byte(d.State)).Byte(byte(d.Notify)).Byte(flags).Byte(d.place.lane).Uint(d.place.pos).
		Time(d.Due).Time(d.First).Time(d.Last).Uint(uint64(d.Attempts)).
		Address(d.To).Text(d.Original).Text(d.LastReply).Text(d.LastHost)
}

func readDelivery(ref Ref, b []byte) (Delivery, error) {
	r := kv.ReadValue(b)
	r.Version()
	d := Delivery{Message: ref.Message, N: ref.N, State: State(r.Byte()), Notify: mail.Notify(r.Byte())}
	flags := r.Byte()
	d.Warned, d.Quoted = flags&bitWarned != 0, flags&bitQuotedTo != 0
	d.place = place{lane: r.Byte(), pos: r.Uint()}
	d.Due, d.First, d.Last = r.Time(), r.Time(), r.Time()
	d.Attempts = int(min(r.Uint(), 1<<31-1))
	d.To = r.Address()
	d.Original, d.LastReply, d.LastHost = r.Text(), r.Text(), r.Text()
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
