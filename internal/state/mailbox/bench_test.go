package mailbox

import (
	"fmt"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv/pebblekv"
)

// sizes are the mailboxes that costs are compared in: none may depend on them.
var sizes = []int{10, 10_000, 100_000}

// filled is a store whose INBOX has n messages of one blob.
func filled(b *testing.B, n int) (*bench, BoxID) {
	b.Helper()
	s := newBench(b)
	id := s.box("INBOX").ID
	h := s.put("hello")
	for done := 0; done < n; {
		k := min(n-done, 400)
		s.update(func(t *Tx) error {
			for range k {
				if _, err := t.Add(id, NewMessage{Content: h, Received: when}); err != nil {
					return err
				}
			}
			return nil
		})
		done += k
	}
	return s, id
}

func BenchmarkAdd(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint("in=", n), func(b *testing.B) {
			s, id := filled(b, n)
			m := s.letter("Subject: hello|From: a@example.org|Message-ID: <a@x>|References: <b@x> <c@x>", "body\r\n")
			b.ReportAllocs()
			for b.Loop() {
				m.Arrival = mail.NewArrivalID()
				s.update(func(t *Tx) error { _, err := t.Add(id, m); return err })
			}
		})
	}
}

func BenchmarkSetFlags(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint("in=", n), func(b *testing.B) {
			s, id := filled(b, n)
			f := mail.Flags(0)
			b.ReportAllocs()
			for b.Loop() {
				f ^= mail.FlagSeen
				ch, _, err := s.SetFlags(b.Context(), alice, alice, id, []UID{UID(n / 2)}, FlagChange{Flags: f}, 0)
				if err != nil || len(ch) != 1 {
					b.Fatal(len(ch), err)
				}
			}
		})
	}
}

// BenchmarkSetFlagsMany changes 1,000 messages in one transaction.
func BenchmarkSetFlagsMany(b *testing.B) {
	s, id := filled(b, 10_000)
	uids := make([]UID, 1_000)
	for i := range uids {
		uids[i] = UID(5*i + 1)
	}
	f := mail.Flags(0)
	for b.Loop() {
		f ^= mail.FlagSeen
		if _, _, err := s.SetFlags(b.Context(), alice, alice, id, uids, FlagChange{Flags: f}, 0); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1_000, "ns/message")
}

func BenchmarkPlacements10k(b *testing.B) {
	s, id := filled(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		s.view(func(t *Tx) error {
			n := 0
			for _, err := range t.Placements(id, 1, 10_000) {
				if err != nil {
					return err
				}
				n++
			}
			equal(b, "placements", n, 10_000)
			return nil
		})
	}
}

// BenchmarkSelect is what SELECT reads of 100,000 messages.
func BenchmarkSelect100k(b *testing.B) {
	s, id := filled(b, 100_000)
	all := make([]UID, 99_900)
	for i := range all {
		all[i] = UID(i + 1)
	}
	if _, _, err := s.SetFlags(b.Context(), alice, alice, id, all, FlagChange{Flags: mail.FlagSeen}, 0); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.view(func(t *Tx) error {
			box, err := t.Box(id)
			if err != nil {
				return err
			}
			uids, err := t.UIDs(id)
			if err != nil {
				return err
			}
			u, n, err := t.FirstUnseen(id)
			equal(b, "uids", uint32(len(uids)), box.Messages)
			equal(b, "first unseen", [2]uint32{u, n}, [2]uint32{99_901, 99_901})
			return err
		})
	}
}

func BenchmarkUIDs100k(b *testing.B) {
	s, id := filled(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		s.view(func(t *Tx) error {
			uids, err := t.UIDs(id)
			equal(b, "uids", len(uids), 100_000)
			return err
		})
	}
}

// BenchmarkAddOnDisk is a durable Add, one after the other and many at once.
func BenchmarkAddOnDisk(b *testing.B) {
	dir := b.TempDir()
	db, err := pebblekv.Open(dir, pebblekv.Options{Reserve: -1})
	if err != nil {
		b.Fatal(err)
	}
	s := openBench(b, db)
	b.Cleanup(func() { s.blobs.Close(); db.Close() })
	s.update(func(t *Tx) error { return t.Provision() })
	id := s.box("INBOX").ID
	m := s.letter("Subject: hello|From: a@example.org|Message-ID: <a@x>", "body\r\n")
	add := func() error {
		return s.Update(b.Context(), alice, alice, func(t *Tx) error { _, err := t.Add(id, m); return err })
	}
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			s.must(add())
		}
	})
	b.Run("16", func(b *testing.B) {
		b.SetParallelism(8)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if err := add(); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
