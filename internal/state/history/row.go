package history

import (
	"errors"
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

// seq is the place of a row of entries: the version of its commit, what comes
// first within a commit, and a hash that tells rows of one rank apart.
type seq struct {
	version uint64
	rank    uint8
	hash    uint64
}

// ranks is the order of what one commit tells together.
var ranks = [...]string{Accepted, Judged, Refused, Discarded, Delivered, Queued, Expanded, Rerouted, Retried, Released, Held, Relayed, Deferred, Bounced, Reported, Untold, Dropped, Returned}

func rankOf(e Entry) uint8 {
	if rank := slices.Index(ranks[:], e.What); rank >= 0 {
		return uint8(rank)
	}
	return math.MaxUint8
}

func seqOf(version uint64, rank uint8, row []byte) seq {
	h := fnv.New64a()
	_, _ = h.Write(row)
	return seq{version, rank, h.Sum64()}
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

// Entries begin with the version of their form; later versions only add fields at
// the end. A row is one entry, or several behind packVersion, each with its length.
const (
	rowVersion     = 1
	reasonVersion  = 2
	subjectVersion = 3
	packVersion    = 0x80
)

// maxRow bounds the octets of a row that has several entries.
const maxRow = 32 << 10

var errNumber = errors.New("an entry that is not there")

// pack writes the first entries into a row, as many as one has room for. The same
// entry twice is one.
func pack(entries []Entry) (row []byte, n int) {
	first := encodeEntry(entries[0])
	if len(entries) == 1 {
		return first, 1
	}
	v := kv.Value{}.Byte(packVersion)
	for n = 0; n < len(entries); n++ {
		e := encodeEntry(entries[n])
		if n > 0 && len(v)+len(e) > maxRow {
			break
		}
		v = v.Text(string(e))
	}
	return v, n
}

// unpack reads a row. None is a row without entries: it was trimmed meanwhile.
func unpack(row []byte) ([]Entry, error) {
	if len(row) == 0 {
		return nil, nil
	}
	if row[0] != packVersion {
		e, err := readEntry(row)
		return []Entry{e}, err
	}
	var all []Entry
	for r := kv.ReadValue(row[1:]); r.More(); {
		e, err := readEntry([]byte(r.Text()))
		if err != nil || r.Err() != nil {
			return nil, corrupt(errors.Join(r.Err(), err))
		}
		all = append(all, e)
	}
	return all, nil
}

// encodeNumber is an entry's number in its row; that of the first is not written.
func encodeNumber(n int) []byte {
	if n == 0 {
		return nil
	}
	return kv.Value{}.Uint(uint64(n))
}

func readNumber(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	return int(min(kv.ReadValue(b).Uint(), math.MaxInt32))
}

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
	switch {
	case e.Subject != "":
		version = subjectVersion
	case e.Reason != bounce.None:
		version = reasonVersion
	}
	v := kv.Value{}.Byte(version).Byte(tls).Time(e.At).Time(e.Next).Uint(uint64(e.Account)).Uint(uint64(e.Size)).Fixed(e.Report[:]).
		Text(e.What).Address(e.From).Address(e.To).Text(e.Host).Text(e.Reply[:min(len(e.Reply), maxReply)]).Text(e.Peer).Text(e.Action)
	if version >= reasonVersion {
		v = v.Text(string(e.Reason))
	}
	if version >= subjectVersion {
		v = v.Text(Subject(e.Subject))
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
	if version >= subjectVersion {
		e.Subject = r.Text()
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
