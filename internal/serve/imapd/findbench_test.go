package imapd_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/state/kv/pebblekv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/testkit/letters"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// BenchmarkFind measures SEARCH, SORT and THREAD in a mailbox on disk. How many
// messages it has, and of what size in octets, the environment says.
func BenchmarkFind(b *testing.B) {
	n, size := setting("EKIDEN_BENCH_MESSAGES", 5_000), setting("EKIDEN_BENCH_SIZE", 4<<10)
	dir, err := os.MkdirTemp(os.Getenv("EKIDEN_BENCH_DIR"), "ekiden-find")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := pebblekv.Open(filepath.Join(dir, "store"), pebblekv.Options{Reserve: -1})
	if err != nil {
		b.Fatal(err)
	}
	w := newWorldOn(b, db, filepath.Join(dir, "blobs"), nil)
	defer w.close()
	w.fill(letters.New(1), n, size)
	for more := true; more; {
		if more, err = w.boxes.IndexMessages(b.Context(), w.alice); err != nil {
			b.Fatal(err)
		}
	}
	words := letters.New(1).Words
	for _, c := range []struct{ name, command string }{
		{"all", "SEARCH ALL"},
		{"unseen", "SEARCH UNSEEN"},
		{"flagged", "SEARCH FLAGGED"},
		{"since", "SEARCH SINCE 1-Jan-2026"},
		{"uid", "UID SEARCH UID 1:100 UNSEEN"},
		{"word-rare", "SEARCH BODY zanzibar"},
		{"word", "SEARCH BODY agenda"},
		{"word-common", "SEARCH BODY " + words[3]},
		{"text", "SEARCH TEXT agenda"},
		{"text-common", "SEARCH TEXT " + words[3]},
		{"subject", "SEARCH SUBJECT " + words[30]},
		{"subject-common", "SEARCH SUBJECT " + words[3]},
		{"from", "SEARCH FROM sender17@"},
		{"prefix", "SEARCH BODY \" zanzib\""},
		{"infix", "SEARCH BODY anziba"},
		{"phrase", "SEARCH TEXT \"agenda of the meeting\""},
		{"cjk-2", "SEARCH BODY \"東京\""},
		{"cjk-6", "SEARCH BODY \"会議室の予約\""},
		{"cjk-common", "SEARCH BODY \"会議\""},
		{"nothing", "SEARCH TEXT qxzzyqx"},
		{"unseen-word", "SEARCH UNSEEN BODY agenda"},
		{"sort-arrival", "SORT (REVERSE ARRIVAL) UTF-8 ALL"},
		{"sort-date", "SORT (REVERSE DATE) UTF-8 ALL"},
		{"sort-subject", "SORT (SUBJECT) UTF-8 ALL"},
		{"sort-from", "SORT (FROM) UTF-8 ALL"},
		{"sort-displayfrom", "SORT (DISPLAYFROM) UTF-8 ALL"},
		{"thread-references", "THREAD REFERENCES UTF-8 ALL"},
		{"thread-refs", "THREAD REFS UTF-8 ALL"},
		{"thread-subject", "THREAD ORDEREDSUBJECT UTF-8 ALL"},
	} {
		b.Run(c.name, func(b *testing.B) {
			before := cpu()
			benchCommand(b, w, c.command)
			b.ReportMetric(float64((cpu()-before).Microseconds())/1000/float64(b.N), "CPU-ms")
		})
	}
}

// setting is a number that the environment may set.
func setting(name string, n int) int {
	if v, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return v
	}
	return n
}

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// fill puts n letters into alice's INBOX, many in one transaction.
func (w *world) fill(c *letters.Corpus, n, size int) {
	ctx := context.Background()
	for i := 0; i < n; {
		var page []mailbox.NewMessage
		for ; len(page) < 200 && i < n; i++ {
			raw := c.Letter(i, size)
			h, err := w.blobs.Put(ctx, []byte(raw))
			if err != nil {
				w.t.Fatal(err)
			}
			ix, err := message.Parse(strings.NewReader(raw), int64(len(raw)))
			if err != nil {
				w.t.Fatal(err)
			}
			page = append(page, mailbox.NewMessage{Content: h, Index: ix, Received: time.Now()})
		}
		err := w.boxes.Update(ctx, 0, w.alice, func(tx *mailbox.Tx) error {
			box, err := tx.BoxByName("INBOX")
			for _, m := range page {
				if err != nil {
					return err
				}
				_, err = tx.Add(box.ID, m)
			}
			return err
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}
