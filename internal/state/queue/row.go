package queue

import (
	"encoding/binary"
	"errors"
	"time"

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

var errRow = errors.New("malformed row")

// Bits of a message row.
const (
	bitHeadersOnly = 1 << iota
	bitUTF8
	bitEightBit
	bitRequireTLS
)

func appendMessage(b []byte, m Message) []byte {
	b = append(b, rowVersion, bits(m))
	b = appendTime(b, m.At)
	b = append(b, m.Blob[:]...)
	b = binary.AppendUvarint(b, uint64(m.Size))
	b = binary.AppendUvarint(b, uint64(m.Account))
	b = appendAddress(b, m.From)
	b = appendText(b, m.EnvID)
	return appendText(b, string(m.Prefix))
}

func bits(m Message) (b byte) {
	for bit, set := range map[byte]bool{
		bitHeadersOnly: m.HeadersOnly, bitUTF8: m.UTF8, bitEightBit: m.EightBit, bitRequireTLS: m.RequireTLS,
	} {
		if set {
			b |= bit
		}
	}
	return b
}

func readMessage(id mail.ArrivalID, b []byte) (Message, error) {
	r := row{rest: b}
	r.version()
	flags := r.byte()
	m := Message{
		ID: id, HeadersOnly: flags&bitHeadersOnly != 0, UTF8: flags&bitUTF8 != 0,
		EightBit: flags&bitEightBit != 0, RequireTLS: flags&bitRequireTLS != 0,
	}
	m.At = r.time()
	copy(m.Blob[:], r.fixed(len(m.Blob)))
	m.Size = int64(r.uint())
	m.Account = mail.AccountID(r.uint())
	m.From = r.address()
	m.EnvID = r.text()
	m.Prefix = []byte(r.text())
	return m, r.err()
}

func appendDelivery(b []byte, d Delivery) []byte {
	warned := byte(0)
	if d.Warned {
		warned = 1
	}
	b = append(b, rowVersion, byte(d.State), byte(d.Notify), warned, d.place.lane)
	b = binary.AppendUvarint(b, d.place.pos)
	b = appendTime(b, d.Due)
	b = appendTime(b, d.First)
	b = appendTime(b, d.Last)
	b = binary.AppendUvarint(b, uint64(d.Attempts))
	b = appendAddress(b, d.To)
	b = appendText(b, d.Original)
	b = appendText(b, d.LastReply)
	return appendText(b, d.LastHost)
}

func readDelivery(ref Ref, b []byte) (Delivery, error) {
	r := row{rest: b}
	r.version()
	d := Delivery{Message: ref.Message, N: ref.N, State: State(r.byte()), Notify: mail.Notify(r.byte())}
	d.Warned = r.byte() != 0
	d.place = place{lane: r.byte(), pos: r.uint()}
	d.Due, d.First, d.Last = r.time(), r.time(), r.time()
	d.Attempts = int(min(r.uint(), 1<<31-1))
	d.To = r.address()
	d.Original, d.LastReply, d.LastHost = r.text(), r.text(), r.text()
	return d, r.err()
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendAddress(b []byte, a mail.Address) []byte {
	return appendText(appendText(b, a.Local), string(a.Domain))
}

// appendTime writes nanoseconds since 1970, the zero time as 0.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(b, 0)
	}
	return binary.AppendVarint(b, t.UnixNano())
}

// row takes a value apart. After a failure everything is zero, and err says so.
type row struct {
	rest []byte
	bad  bool
}

func (r *row) version() {
	if r.byte() == 0 {
		r.bad = true
	}
}

func (r *row) fixed(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *row) byte() byte {
	if b := r.fixed(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *row) uint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *row) time() time.Time {
	v, n := binary.Varint(r.rest)
	if r.bad || n <= 0 {
		r.bad = true
		return time.Time{}
	}
	r.rest = r.rest[n:]
	if v == 0 {
		return time.Time{}
	}
	return time.Unix(0, v).UTC()
}

func (r *row) text() string {
	n := r.uint()
	if n > uint64(len(r.rest)) {
		r.bad = true
		return ""
	}
	return string(r.fixed(int(n)))
}

func (r *row) address() mail.Address {
	return mail.Address{Local: r.text(), Domain: mail.Domain(r.text())}
}

// err lets bytes be left over: a later version may have added fields.
func (r *row) err() error {
	if r.bad {
		return fault.As(fault.Corrupt, "queue", errRow)
	}
	return nil
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
