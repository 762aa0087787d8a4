package history

import (
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/wire/bounce"
)

// seq is an entry's place: the version of its commit, what comes first within
// a commit, and a hash that tells entries of one kind apart.
type seq struct {
	version uint64
	rank    uint8
	hash    uint64
}

// ranks is the order of what one commit tells together.
var ranks = [...]string{Accepted, Judged, Refused, Discarded, Delivered, Queued, Retried, Released, Held, Relayed, Deferred, Bounced, Reported, Untold, Dropped, Returned}

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

func encodeOrder(id mail.ArrivalID, at time.Time) []byte { return kv.Value{}.Fixed(id[:]).Time(at) }

func readOrder(b []byte) (id mail.ArrivalID, at time.Time, err error) {
	r := kv.ReadValue(b)
	copy(id[:], r.Fixed(len(id)))
	at = r.Time()
	return id, at, corrupt(r.Err())
}

// Values begin with the version of their form; later versions only add fields
// at the end.
const (
	rowVersion    = 1
	reasonVersion = 2
)

// maxAddress bounds the octets of an address in a key, of which SMTP allows
// 320; two that agree so far are found under each other's name.
const maxAddress = 400

// maxReply bounds the octets of a reply that are kept.
const maxReply = 2000

func encodeEntry(e Entry) []byte {
	tls := byte(0)
	if e.TLS {
		tls = 1
	}
	version := byte(rowVersion)
	if e.Reason != bounce.None {
		version = reasonVersion
	}
	v := kv.Value{}.Byte(version).Byte(tls).Time(e.At).Time(e.Next).Uint(uint64(e.Account)).Uint(uint64(e.Size)).Fixed(e.Report[:]).
		Text(e.What).Address(e.From).Address(e.To).Text(e.Host).Text(e.Reply[:min(len(e.Reply), maxReply)]).Text(e.Peer).Text(e.Action)
	if version == reasonVersion {
		v = v.Text(string(e.Reason))
	}
	return v
}

func readEntry(b []byte) (Entry, error) {
	r := kv.ReadValue(b)
	version := r.Version()
	e := Entry{TLS: r.Byte() != 0}
	e.At, e.Next = r.Time(), r.Time()
	e.Account = mail.AccountID(r.Uint())
	e.Size = int64(r.Uint())
	copy(e.Report[:], r.Fixed(len(e.Report)))
	e.What, e.From, e.To = r.Text(), r.Address(), r.Address()
	e.Host, e.Reply, e.Peer, e.Action = r.Text(), r.Text(), r.Text(), r.Text()
	if version >= reasonVersion {
		e.Reason = bounce.Reason(r.Text())
	}
	if e.Reason == bounce.None && (e.What == Deferred || e.What == Bounced) {
		e.Reason = reasonOf(e.Reply)
	}
	return e, corrupt(r.Err())
}

// reasonOf is why an attempt failed, by what was said. Where the queue gave up
// because of a delivery's age, it is what the last attempt failed of.
func reasonOf(reply string) bounce.Reason {
	if _, last, ok := strings.Cut(reply, "; "); ok && strings.HasPrefix(reply, "delivery time expired") {
		reply = last
	}
	return bounce.Classify("", reply)
}
