package history

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/wire/bounce"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func address(s string) mail.Address {
	a, err := mail.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

var full = Entry{
	At: t0, What: Deferred, From: address("a@x.test"), To: address("b@y.test"), Host: "mx.y.test", Reply: "451 later", Account: 3, Size: 99,
	Peer: "192.0.2.1:25", TLS: true, Report: mail.ArrivalID{5}, Action: "delayed", Next: t0.Add(time.Hour), Reason: bounce.Greylisted,
}

// bed is a history that is written to, an entry or more a commit.
type bed struct {
	*testing.T
	db *memkv.DB
	*Store
}

func newBed(t *testing.T) *bed {
	db := memkv.New(memkv.Options{Rerun: true})
	t.Cleanup(func() { _ = db.Close() })
	return &bed{t, db, New(db)}
}

func (b *bed) write(id mail.ArrivalID, es ...Entry) {
	b.Helper()
	err := b.db.Update(b.Context(), []kv.Shard{kv.PartitionShard(id)}, func(tx kv.Tx) error {
		Write(tx, id, es...)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bed) arrival(id mail.ArrivalID) string {
	b.Helper()
	es, err := b.ByArrival(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	var all []string
	for _, e := range es {
		all = append(all, strings.TrimSpace(e.What+" "+e.To.String()))
	}
	return strings.Join(all, "; ")
}

func (b *bed) address(a string, limit int) string {
	b.Helper()
	found, err := b.ByAddress(b.Context(), address(a), limit)
	if err != nil {
		b.Fatal(err)
	}
	var all []string
	for _, f := range found {
		all = append(all, fmt.Sprintf("%d %s %s", f.ID[0], f.What, f.At.Sub(t0)))
	}
	return strings.Join(all, "; ")
}

// tell writes a usual story of an arrival, minutes after t0.
func (b *bed) tell(n byte, minutes int, from, to string) mail.ArrivalID {
	id := mail.ArrivalID{n, 7}
	at := t0.Add(time.Duration(minutes) * time.Minute)
	b.write(id,
		Entry{At: at, What: Queued, From: address(from), To: address(to)},
		Entry{At: at, What: Accepted, From: address(from)})
	b.write(id, Entry{At: at.Add(time.Second), What: Relayed, From: address(from), To: address(to)})
	return id
}

func TestStory(t *testing.T) {
	b := newBed(t)
	id := b.tell(1, 0, "a@x.test", "B@y.test")
	if got := b.arrival(id); got != "accepted; queued B@y.test; relayed B@y.test" {
		t.Errorf("%s", got)
	}
	if got := b.arrival(mail.ArrivalID{1, 8}); got != "" {
		t.Errorf("of an arrival that is not: %s", got)
	}
	// Several entries of one kind in one commit.
	one, two := Entry{At: t0, What: Relayed, To: address("c@y.test")}, Entry{At: t0, What: Relayed, To: address("d@y.test")}
	b.write(mail.ArrivalID{2}, one, two)
	if es, _ := b.ByArrival(t.Context(), mail.ArrivalID{2}); len(es) != 2 {
		t.Errorf("%d entries, want 2", len(es))
	}
}

func TestByAddress(t *testing.T) {
	b := newBed(t)
	b.tell(1, 2, "a@x.test", "b@y.test")
	b.tell(2, 1, "b@Y.test", "A@x.test")
	b.tell(3, 3, "a@x.test", "c@y.test")
	for _, c := range []struct {
		a     string
		limit int
		want  string
	}{
		{"a@x.test", 100, "3 accepted 3m0s; 1 accepted 2m0s; 2 queued 1m0s"},
		{"A@X.TEST", 2, "3 accepted 3m0s; 1 accepted 2m0s"},
		{"b@y.test", 100, "1 queued 2m0s; 2 accepted 1m0s"},
		{"c@y.test", 1, "3 queued 3m0s"},
		{"n@y.test", 100, ""},
	} {
		if got := b.address(c.a, c.limit); got != c.want {
			t.Errorf("%s: %s, want %s", c.a, got, c.want)
		}
	}
}

func TestTrim(t *testing.T) {
	b := newBed(t)
	old := b.tell(1, 0, "a@x.test", "b@y.test")
	young := b.tell(65, 60, "a@x.test", "b@y.test")
	n, err := b.Trim(t.Context(), t0.Add(time.Hour))
	if err != nil || n != 2 {
		t.Fatalf("%d, %v", n, err)
	}
	if got := b.arrival(old) + "|" + b.arrival(young); got != "|accepted; queued b@y.test; relayed b@y.test" {
		t.Errorf("%s", got)
	}
	if got := b.address("a@x.test", 9); got != "65 accepted 1h0m0s" {
		t.Errorf("%s", got)
	}
	// More rows than one piece, and more addresses than one transaction may write.
	var many []Entry
	for i := range 3 * trimWrites / 2 {
		many = append(many, Entry{At: t0, What: Queued, From: address("a@x.test"), To: address(fmt.Sprintf("r%d@y.test", i))})
	}
	for es := range slices.Chunk(many, 1000) {
		b.write(mail.ArrivalID{9}, es...)
	}
	if es, err := b.ByArrival(t.Context(), mail.ArrivalID{9}); err != nil || len(es) != len(many) {
		t.Fatalf("%d entries, %v", len(es), err)
	}
	if got := b.address("r999@y.test", 9) + "|" + b.address("r5000@y.test", 9); got != "9 queued 0s|9 queued 0s" {
		t.Errorf("%s", got)
	}
	for range trimPage + 10 {
		b.write(mail.ArrivalID{9}, Entry{At: t0, What: Relayed, To: address("r1@y.test")})
	}
	if _, err := b.Trim(t.Context(), t0.Add(48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for part := range uint8(kv.Partitions) {
		_ = b.db.View(t.Context(), kv.Partition(part), func(r kv.Reader) error {
			for p := range r.Scan(kv.Prefix(kv.Partition(part))) {
				t.Errorf("left: %q", p.Key)
			}
			return nil
		})
	}
}

func TestEntriesReadBack(t *testing.T) {
	named := full
	named.Reason, named.What, named.Subject = bounce.None, Accepted, "Größe"
	for _, e := range []Entry{full, named, {}} {
		got, err := readEntry(encodeEntry(e))
		if err != nil || got != e {
			t.Errorf("%+v, %v; want %+v", got, err, e)
		}
	}
	for reply, want := range map[string]bounce.Reason{
		"451 later": bounce.Busy, "delivery time expired; 452 4.2.2 over quota": bounce.MailboxFull, "delivery time expired; ": bounce.Other,
	} {
		if got, err := readEntry(encodeEntry(Entry{What: Bounced, Reply: reply})); err != nil || got.Reason != want {
			t.Errorf("%q: %s, %v; want %s", reply, got.Reason, err, want)
		}
	}
	b := encodeEntry(full)
	if _, err := readEntry(append(bytes.Clone(b), 1, 2)); err != nil {
		t.Errorf("a longer row: %v", err)
	}
	for n := range b {
		if _, err := readEntry(b[:n]); !fault.Is(err, fault.Corrupt) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	long, err := readEntry(encodeEntry(Entry{Reply: strings.Repeat("x", 100_000)}))
	if err != nil || len(long.Reply) != maxReply {
		t.Errorf("a long reply is kept with %d octets, %v", len(long.Reply), err)
	}
	// An address longer than SMTP's makes no key that is refused.
	newBed(t).write(mail.ArrivalID{1}, Entry{At: t0, What: Queued, To: mail.Address{Local: strings.Repeat("\x00", 2000), Domain: "x"}})
}

func FuzzRows(f *testing.F) {
	f.Add(encodeEntry(full))
	f.Add(encodeOrder(mail.ArrivalID{1}, t0))
	several, _ := pack([]Entry{full, {}, full})
	f.Add([]byte(several))
	f.Fuzz(func(t *testing.T, b []byte) {
		kept := func(e Entry) bool { return len(e.Reply) <= maxReply && Subject(e.Subject) == e.Subject } // else it is cut
		if e, err := readEntry(b); err == nil && kept(e) {
			again, err := readEntry(encodeEntry(e))
			if err != nil || !reflect.DeepEqual(again, e) {
				t.Errorf("%+v reads back as %+v, %v", e, again, err)
			}
		}
		if es, err := unpack(b); err == nil && len(es) > 1 && len(b) < maxReply && !slices.ContainsFunc(es, func(e Entry) bool { return !kept(e) }) {
			row, n := pack(es)
			if again, err := unpack(row); err != nil || !reflect.DeepEqual(again, es[:n]) {
				t.Errorf("%+v reads back as %+v, %v", es[:n], again, err)
			}
		}
		_, _, _ = readOrder(b)
		_, _ = readOrderKey(b, kv.Partition(0))
		_, _, _ = readAddressKey(b, nil)
	})
}
