// Package history keeps what became of each message, written in the very
// transaction that made it so.
//
// The rows lie in the partition of the arrival, behind the shard's prefix; SEQ
// is the version of the commit and the entries' place within it:
//
//	h i ID SEQ              the entries that one commit told together
//	h s SEQ                 the arrival and the time: the order of commits
//	h a ADDRESS AT ID SEQ   which of them brings an address into the story
package history

import (
	"context"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/wire/bounce"
)

// What happened, as Entry.What says it.
const (
	Accepted  = "accepted"
	Judged    = "judged"    // Action is the verdict, Reply what each said who was asked
	Refused   = "refused"   // the whole message, or one command: Action
	Discarded = "discarded" // taken and thrown away
	Delivered = "delivered" // into an account
	Queued    = "queued"    // for one recipient elsewhere
	Expanded  = "expanded"  // to the members of a mailing list; Report is the id of what goes to them
	Relayed   = "relayed"   // a next hop has taken it
	Deferred  = "deferred"  // an attempt failed for the time being
	Bounced   = "bounced"   // given up
	Reported  = "reported"  // the sender was told; Report is the report's own id
	Untold    = "untold"    // there was nobody to be told
	Returned  = "returned"  // another server's report of it came in: Action, Report, Host and Reason
	Held      = "held"
	Released  = "released"
	Retried   = "retried"  // made due by an operator
	Rerouted  = "rerouted" // sent another way by an operator: Host
	Dropped   = "dropped"  // taken away by an operator
)

// FoundOut stands in the Reply of a Judged entry between the verdict's reasons, with
// "; " between them, and what was found out. Without it there are no reasons.
const FoundOut = " | "

// Entry is one thing that happened to a message.
type Entry struct {
	At      time.Time
	What    string
	From    mail.Address // the reverse-path
	To      mail.Address // the recipient concerned; null if all are
	Host    string       // the next hop
	Reply   string       // its words, or ours
	Account mail.AccountID
	Size    int64          // octets
	Peer    string         // where it came from
	TLS     bool           // the line was encrypted
	Report  mail.ArrivalID // of What == Reported, Returned and Expanded
	Action  string         // of What == Reported: "failed", "delayed", "relayed"; of Returned also "complaint"; of Judged: the verdict; of Refused: the command
	Next    time.Time      // of What == Deferred: when it is tried again
	Subject string         // of What == Accepted, Refused and Discarded, as Subject cuts it
	Reason  bounce.Reason  // of What == Deferred, Bounced and Returned; where it was not written, what Reply says
}

// Found is an entry and the arrival it belongs to.
type Found struct {
	ID mail.ArrivalID
	Entry
}

// Store reads the history.
type Store struct{ db kv.DB }

// New makes a history over db.
func New(db kv.DB) *Store { return &Store{db: db} }

// Write adds entries to the history of an arrival, in the transaction that
// makes them true, which has named kv.PartitionShard(id). Those of one call lie
// in one row, or a few. Repeating it within the transaction's reruns is harmless.
func Write(tx kv.Tx, id mail.ArrivalID, entries ...Entry) {
	slices.SortStableFunc(entries, func(a, b Entry) int { return int(rankOf(a)) - int(rankOf(b)) })
	shard := kv.PartitionShard(id)
	for len(entries) > 0 {
		row, n := pack(entries)
		q := seqOf(uint64(tx.Next(shard)), rankOf(entries[0]), row)
		tx.Set(entryKey(id, q), row)
		tx.Set(orderKey(shard, q), encodeOrder(id, entries[0].At))
		for i, e := range entries[:n] {
			for _, a := range e.addresses() {
				tx.Set(addressKey(shard, a, e.At, id, q), encodeNumber(i))
			}
		}
		entries = entries[n:]
	}
}

// addresses are those under which e is found: the recipient it concerns, and
// the reverse-path where the entry is about the message as a whole. What happens
// to a delivery later is found by what began its story.
func (e Entry) addresses() []mail.Address {
	switch e.What {
	case Judged:
		if e.Action != "defer" && e.Action != "reject" {
			return nil // else it is all that there is
		}
	case Relayed, Deferred, Bounced, Reported, Untold, Released, Retried, Rerouted, Dropped:
		return nil
	}
	var all []mail.Address
	if !e.To.IsNull() {
		all = append(all, e.To)
	}
	if !e.From.IsNull() && (e.To.IsNull() || e.What == Accepted) {
		all = append(all, e.From)
	}
	return all
}

// ByArrival gives all that is known of one arrival, in the order of commits; an
// empty list if nothing is.
func (s *Store) ByArrival(ctx context.Context, id mail.ArrivalID) ([]Entry, error) {
	var all []Entry
	err := s.db.View(ctx, kv.PartitionShard(id), func(tx kv.Reader) error {
		var err error
		all, err = byArrival(tx, id)
		return err
	})
	return all, fault.Wrap("history.ByArrival", err)
}

func byArrival(tx kv.Reader, id mail.ArrivalID) ([]Entry, error) {
	var all []Entry
	for p, err := range tx.Scan(kv.Prefix(entriesKey(id))) {
		if err != nil {
			return nil, err
		}
		es, err := unpack(p.Value)
		if err != nil {
			return nil, err
		}
		all = append(all, es...)
	}
	return all, nil
}

// ByAddress gives the latest entries that bring an address into a message's
// story, as recipient or as reverse-path, latest first, at most limit. Case is
// ignored.
func (s *Store) ByAddress(ctx context.Context, a mail.Address, limit int) ([]Found, error) {
	var all []Found
	for part := range uint8(kv.Partitions) {
		err := s.db.View(ctx, kv.Partition(part), func(tx kv.Reader) error {
			found, err := byAddress(tx, kv.Partition(part), a, limit)
			all = append(all, found...)
			return err
		})
		if err != nil {
			return nil, fault.Wrap("history.ByAddress", err)
		}
		all = newest(all, limit)
	}
	return all, nil
}

// newest sorts latest first and cuts at limit.
func newest(all []Found, limit int) []Found {
	slices.SortStableFunc(all, func(a, b Found) int { return b.At.Compare(a.At) })
	return all[:min(limit, len(all))]
}

func byAddress(tx kv.Reader, shard kv.Shard, a mail.Address, limit int) ([]Found, error) {
	r := kv.Prefix(addressesKey(shard, a))
	r.Reverse, r.Limit = true, limit
	var keys [][]byte
	var numbers []int
	var found []Found
	for p, err := range tx.Scan(r) {
		if err != nil {
			return nil, err
		}
		id, q, err := readAddressKey(p.Key, addressesKey(shard, a))
		if err != nil {
			return nil, err
		}
		keys, numbers = append(keys, entryKey(id, q)), append(numbers, readNumber(p.Value))
		found = append(found, Found{ID: id})
	}
	values, err := tx.GetMany(keys)
	if err != nil {
		return nil, err
	}
	for i, v := range values {
		es, err := unpack(v)
		if err != nil {
			return nil, err
		}
		if numbers[i] >= len(es) {
			return nil, corrupt(errNumber)
		}
		found[i].Entry = es[numbers[i]]
	}
	return found, nil
}

// What one transaction of Trim takes away at most.
const (
	trimPage   = 500  // rows of entries
	trimWrites = 4000 // rows of all kinds; one of entries has a few hundred addresses at most
)

// Trim takes away what happened before a time, in pieces, and gives the number
// of rows of entries. A partition's entries are looked at in the order of commits;
// it stops at the first that is not older.
func (s *Store) Trim(ctx context.Context, before time.Time) (int, error) {
	ctx = kv.Freeing(ctx)
	total := 0
	for part := range uint8(kv.Partitions) {
		for more := true; more; {
			n := 0
			err := s.db.Update(ctx, []kv.Shard{kv.Partition(part)}, func(tx kv.Tx) (err error) {
				n, more, err = trim(tx, kv.Partition(part), before)
				return err
			})
			total += n
			if err != nil {
				return total, fault.Wrap("history.Trim", err)
			}
		}
	}
	return total, nil
}

// trim takes away one piece, and says whether there may be more.
func trim(tx kv.Tx, shard kv.Shard, before time.Time) (n int, more bool, err error) {
	r := kv.Prefix(ordersKey(shard))
	r.Limit = trimPage
	var rows []kv.Pair
	for p, err := range tx.Scan(r) {
		if err != nil {
			return 0, false, err
		}
		rows = append(rows, p)
	}
	writes := 0
	for i, p := range rows {
		q, err := readOrderKey(p.Key, shard)
		if err != nil {
			return 0, false, err
		}
		id, at, err := readOrder(p.Value)
		switch {
		case err != nil:
			return 0, false, err
		case !at.Before(before):
			return i, false, nil
		case writes > trimWrites:
			return i, true, nil
		}
		value, _, err := tx.Get(entryKey(id, q))
		if err != nil {
			return 0, false, err
		}
		es, err := unpack(value)
		if err != nil {
			return 0, false, err
		}
		for _, e := range es {
			for _, a := range e.addresses() {
				tx.Delete(addressKey(shard, a, e.At, id, q))
				writes++
			}
		}
		tx.Delete(entryKey(id, q))
		tx.Delete(p.Key)
		writes += 2
	}
	return len(rows), len(rows) == trimPage, nil
}
