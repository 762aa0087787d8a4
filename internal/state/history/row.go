package history

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// seq is an entry's place: the version of its commit, what comes first within
// a commit, and a hash that tells entries of one kind apart.
type seq struct {
	version uint64
	rank    uint8
	hash    uint64
}

// ranks is the order of what one commit tells together.
var ranks = [...]string{Accepted, Delivered, Queued, Retried, Released, Held, Relayed, Deferred, Bounced, Reported, Untold, Dropped}

func seqOf(version uint64, e Entry, value []byte) seq {
	h := fnv.New64a()
	_, _ = h.Write(value)
	rank := slices.Index(ranks[:], e.What)
	if rank < 0 {
		rank = math.MaxUint8
	}
	return seq{version, uint8(rank), h.Sum64()}
}

func (q seq) appendTo(k kv.Key) kv.Key { return k.Uint64(q.version).Uint8(q.rank).Uint64(q.hash) }

func readSeq(k *kv.KeyReader) seq { return seq{k.Uint64(), k.Uint8(), k.Uint64()} }

func rows(shard kv.Shard, kind byte) kv.Key { return kv.NewKey(shard).Uint8('h').Uint8(kind) }

func entriesKey(id mail.ArrivalID) kv.Key {
	return rows(kv.PartitionShard(id), 'i').Fixed(id[:])
}

func entryKey(id mail.ArrivalID, q seq) kv.Key { return q.appendTo(entriesKey(id)) }
func ordersKey(shard kv.Shard) kv.Key          { return rows(shard, 's') }
func orderKey(shard kv.Shard, q seq) kv.Key    { return q.appendTo(ordersKey(shard)) }
func readOrderKey(key []byte, s kv.Shard) (seq, error) {
	k := kv.ReadKey(key, ordersKey(s))
	q := readSeq(k)
	return q, corrupt(k.Err())
}

func addressesKey(shard kv.Shard, a mail.Address) kv.Key {
	text := strings.ToLower(a.String())
	return rows(shard, 'a').Text(text[:min(len(text), maxAddress)])
}

func addressKey(shard kv.Shard, a mail.Address, at time.Time, id mail.ArrivalID, q seq) kv.Key {
	return q.appendTo(addressesKey(shard, a).Uint64(uint64(max(at.UnixNano(), 0))).Fixed(id[:]))
}

func readAddressKey(key, prefix []byte) (id mail.ArrivalID, q seq, err error) {
	k := kv.ReadKey(key, prefix)
	k.Uint64()
	copy(id[:], k.Fixed(len(id)))
	q = readSeq(k)
	return id, q, corrupt(k.Err())
}

func corrupt(err error) error { return fault.As(fault.Corrupt, "history", err) }

func appendOrder(b []byte, id mail.ArrivalID, at time.Time) []byte {
	return appendTime(append(b, id[:]...), at)
}

func readOrder(b []byte) (id mail.ArrivalID, at time.Time, err error) {
	r := row{rest: b}
	copy(id[:], r.fixed(len(id)))
	at = r.time()
	return id, at, r.err()
}

// Values begin with the version of their form; later versions only add fields
// at the end.
const rowVersion = 1

// maxAddress bounds the octets of an address in a key, of which SMTP allows
// 320; two that agree so far are found under each other's name.
const maxAddress = 400

// maxReply bounds the octets of a reply that are kept.
const maxReply = 2000

func appendEntry(b []byte, e Entry) []byte {
	tls := byte(0)
	if e.TLS {
		tls = 1
	}
	b = append(b, rowVersion, tls)
	b = appendTime(b, e.At)
	b = appendTime(b, e.Next)
	b = binary.AppendUvarint(b, uint64(e.Account))
	b = binary.AppendUvarint(b, uint64(e.Size))
	b = append(b, e.Report[:]...)
	for _, s := range []string{
		e.What, e.From.Local, string(e.From.Domain), e.To.Local, string(e.To.Domain), e.Host,
		e.Reply[:min(len(e.Reply), maxReply)], e.Peer, e.Action,
	} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return b
}

func readEntry(b []byte) (Entry, error) {
	r := row{rest: b}
	if v := r.fixed(1); v == nil || v[0] == 0 {
		r.bad = true
	}
	var e Entry
	if v := r.fixed(1); v != nil {
		e.TLS = v[0] != 0
	}
	e.At, e.Next = r.time(), r.time()
	e.Account = mail.AccountID(r.uint())
	e.Size = int64(r.uint())
	copy(e.Report[:], r.fixed(len(e.Report)))
	e.What = r.text()
	e.From = mail.Address{Local: r.text(), Domain: mail.Domain(r.text())}
	e.To = mail.Address{Local: r.text(), Domain: mail.Domain(r.text())}
	e.Host, e.Reply, e.Peer, e.Action = r.text(), r.text(), r.text(), r.text()
	return e, r.err()
}

// appendTime writes nanoseconds since 1970, the zero time as 0.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(b, 0)
	}
	return binary.AppendVarint(b, t.UnixNano())
}

var errRow = errors.New("malformed row")

// row takes a value apart. After a failure everything is zero, and err says so.
// What is left over was added by a later version.
type row struct {
	rest []byte
	bad  bool
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

func (r *row) err() error {
	if r.bad {
		return corrupt(errRow)
	}
	return nil
}
