package mailbox

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv/pebblekv"
)

// scales are the mailboxes on disk that costs are compared in; the largest takes
// minutes to fill and is measured with EKIDEN_LONG=1.
func scales() []int {
	if os.Getenv("EKIDEN_LONG") == "" {
		return []int{1_000, 100_000}
	}
	return []int{1_000, 100_000, 1_000_000}
}

// onDisk is a store on Pebble whose INBOX has n messages with the rows that
// deliveries make, but for the bodies. The last hundredth is unseen.
func onDisk(b *testing.B, n int) (*bench, BoxID) {
	b.Helper()
	dir := b.TempDir()
	db, err := pebblekv.Open(dir, pebblekv.Options{Reserve: -1})
	if err != nil {
		b.Fatal(err)
	}
	s := openBench(b, db)
	b.Cleanup(func() { s.blobs.Close(); db.Close() })
	s.update(func(t *Tx) error { return t.Provision() })
	id := s.box("INBOX").ID
	m := s.delivery(0)
	m.Prepare()
	for done := 0; done < n; {
		k := min(n-done, 200)
		s.update(func(t *Tx) error {
			for i := range k {
				x := m
				x.Arrival = mail.NewArrivalID()
				x.threads = []uint64{mix([]uint64{uint64(done + i), 1}), mix([]uint64{uint64(done + i), 2}), mix([]uint64{uint64(done + i), 3})}
				if done+i < n-n/100 {
					x.Flags = mail.FlagSeen
				}
				if _, err := t.Add(id, x); err != nil {
					return err
				}
			}
			return nil
		})
		done += k
	}
	return s, id
}

// delivery is the n-th of a stream of letters.
func (b *bench) delivery(n int) NewMessage {
	return b.letter(fmt.Sprintf("Subject: hello %d|From: a@example.org|To: b@example.com|Date: Tue, 3 Feb 2026 04:05:06 +0000|Message-ID: <%d@x>|References: <b%d@x> <c%d@x>", n, n, n, n), "body\r\n")
}

// BenchmarkScale is what the hot operations cost in mailboxes of different sizes.
func BenchmarkScale(b *testing.B) {
	for _, n := range scales() {
		b.Run(fmt.Sprint("in=", n), func(b *testing.B) {
			s, id := onDisk(b, n)
			b.Run("add", func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					m := s.delivery(n + i)
					m.Arrival = mail.NewArrivalID()
					m.Prepare()
					s.update(func(t *Tx) error { _, err := t.Deliver(RoleInbox, m); return err })
				}
			})
			b.Run("select", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s.view(func(t *Tx) error {
						if _, err := t.UIDs(id); err != nil {
							return err
						}
						_, _, err := t.FirstUnseen(id)
						return err
					})
				}
			})
			b.Run("store", func(b *testing.B) {
				f := mail.Flags(0)
				for b.Loop() {
					f ^= mail.FlagFlagged
					_, _, err := s.SetFlags(b.Context(), alice, alice, id, []UID{UID(n / 2)}, FlagChange{Flags: f}, 0)
					s.must(err)
				}
			})
			b.Run("verify", func(b *testing.B) {
				for b.Loop() {
					found, err := s.Verify(b.Context(), alice)
					if err != nil || len(found) > 0 {
						b.Fatal(found, err)
					}
				}
			})
		})
	}
}

// BenchmarkCopyOnDisk is a COPY of all messages of a mailbox.
func BenchmarkCopyOnDisk(b *testing.B) {
	n := 20_000
	if os.Getenv("EKIDEN_LONG") != "" {
		n = 200_000
	}
	s, id := onDisk(b, n)
	uids := s.uids(id)
	var settle time.Duration
	for b.Loop() {
		st, src, _, _, err := s.copyStaged(b.Context(), alice, alice, id, uids, s.box("Archive").ID)
		s.must(err)
		equal(b, "copied", len(src), n)
		at := time.Now()
		s.must(s.settleStage(b.Context(), alice, st))
		settle += time.Since(at)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/message")
	b.ReportMetric(settle.Seconds()/float64(b.N), "s-settling/op")
}
