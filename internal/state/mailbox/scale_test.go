package mailbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
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
// deliveries make, but for the bodies. The last hundredth is unseen. In the
// directory EKIDEN_BENCH_STORES it is kept for the next run, with what the run adds.
func onDisk(b *testing.B, n int) (*bench, BoxID) {
	b.Helper()
	s := &bench{t: b}
	dir := b.TempDir()
	if kept := os.Getenv("EKIDEN_BENCH_STORES"); kept != "" {
		dir = filepath.Join(kept, fmt.Sprint(n))
	}
	s.reopen(b, dir)
	b.Cleanup(func() { s.blobs.Close(); s.db.Close() })
	if used, _ := s.usage(); used.Messages >= int64(n) {
		return s, s.box("INBOX").ID
	}
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
	s.reopen(b, dir)
	return s, id
}

// reopen opens the store with nothing in memory, and waits until the engine has
// put in order what was written before.
func (b *bench) reopen(t testing.TB, dir string) {
	t.Helper()
	if b.db != nil {
		b.must(errors.Join(b.blobs.Close(), b.db.Close()))
	}
	db, err := pebblekv.Open(dir, pebblekv.Options{Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	*b = *openBench(t, db)
	for busy := true; busy; {
		before := cpu()
		time.Sleep(200 * time.Millisecond)
		busy = cpu()-before > 20*time.Millisecond
	}
}

// cpu is the time that this process has computed.
func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// delivery is the n-th of a stream of letters.
func (b *bench) delivery(n int) NewMessage {
	return b.letter(fmt.Sprintf("Subject: hello %d|From: a@example.org|To: b@example.com|Date: Tue, 3 Feb 2026 04:05:06 +0000|Message-ID: <%d@x>|References: <b%d@x> <c%d@x>", n, n, n, n), "body\r\n")
}

// selects reads what SELECT tells of.
func (b *bench) selects(id BoxID) {
	b.view(func(t *Tx) error {
		if _, err := t.Runs(id); err != nil {
			return err
		}
		_, _, err := t.FirstUnseen(id)
		return err
	})
}

// BenchmarkScale is what the hot operations cost in mailboxes of different sizes.
func BenchmarkScale(b *testing.B) {
	for _, n := range scales() {
		b.Run(fmt.Sprint("in=", n), func(b *testing.B) {
			s, id := onDisk(b, n)
			at := time.Now()
			s.selects(id)
			cold := time.Since(at)
			b.Run("add", func(b *testing.B) {
				b.ReportAllocs()
				before := cpu()
				for i := 0; b.Loop(); i++ {
					m := s.delivery(n + i)
					m.Arrival = mail.NewArrivalID()
					m.Prepare()
					s.update(func(t *Tx) error { _, err := t.Deliver(RoleInbox, m); return err })
				}
				b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
			})
			b.Run("select", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s.selects(id)
				}
				b.ReportMetric(float64(cold.Nanoseconds()), "ns-cold")
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
