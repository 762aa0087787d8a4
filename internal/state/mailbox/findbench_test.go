package mailbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/pebblekv"
	"github.com/ekiden-mail/ekiden/internal/state/search"
	"github.com/ekiden-mail/ekiden/internal/testkit/letters"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// setting is a number that the environment may set.
func setting(name string, n int) int {
	if v, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return v
	}
	return n
}

// BenchmarkFind measures the search index on disk: it builds one, asks it this
// and that, and then again and again for one rare word. The environment says how
// many messages and of what size, in octets.
func BenchmarkFind(b *testing.B) {
	n, size := setting("EKIDEN_BENCH_MESSAGES", 20_000), setting("EKIDEN_BENCH_SIZE", 4<<10)
	dir, err := os.MkdirTemp(os.Getenv("EKIDEN_BENCH_DIR"), "ekiden-find")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := pebblekv.Open(filepath.Join(dir, "store"), pebblekv.Options{Reserve: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	blobs, err := blob.Open(blob.Options{DB: db, Dir: filepath.Join(dir, "blobs")})
	if err != nil {
		b.Fatal(err)
	}
	defer blobs.Close()
	s := &bench{t: b, db: db, blobs: blobs, Store: New(Options{DB: db, Blobs: blobs})}
	s.update(func(t *Tx) error { return t.Provision() })
	text := fillCorpus(b, s, n, size)
	start, ran := time.Now(), cpu()
	for more := true; more; {
		if more, err = s.IndexMessages(b.Context(), alice); err != nil {
			b.Fatal(err)
		}
	}
	took, busy := time.Since(start), cpu()-ran
	index := indexSize(b, db)
	b.Logf("%d messages, text %d MB, indexed at %.0f messages/s, %.3f ms CPU each, index %d MB, %.1f %% of the text",
		n, text>>20, float64(n)/took.Seconds(), ms(busy)/float64(n), index>>20, 100*float64(index)/float64(text))
	for _, q := range []search.Query{
		{In: search.Body, Text: "zanzibar"}, {In: search.Text, Text: "zanzibar"}, {In: search.Body, Text: "anziba"}, {In: search.Body, Text: " zanzib"},
		{In: search.Body, Text: "for zanzibar by"}, {In: search.Body, Text: "東京"}, {In: search.Body, Text: "東京タワー"}, {In: search.Body, Text: "京"},
		{In: search.Text, Text: "qxzzyqx"}, {In: search.Subject, Text: letters.New(1).Words[30_000]}, {In: search.Body, Text: letters.New(1).Words[3]},
		{In: search.Body, Text: "e"}, {In: search.From, Text: "sender17@"}, {In: search.Others, Field: "Message-ID", Text: "<0123"},
		{In: search.Body, Text: "night train zanzibar", Mode: search.Words}, {In: search.Body, Text: "会議室の予約"}, {In: search.Body, Text: "会議"},
		{In: search.Text, Text: "the agenda of the meeting"}, {In: search.Body, Text: "agenda"},
	} {
		timeQuery(b, s, q)
	}
	for b.Loop() {
		if _, err := s.Search(b.Context(), alice, search.Query{In: search.Body, Text: "zanzibar"}); err != nil {
			b.Fatal(err)
		}
	}
}

func fillCorpus(b *testing.B, s *bench, n, size int) (text int64) {
	box, c := s.box("INBOX").ID, letters.New(1)
	for i := 0; i < n; {
		var page []NewMessage
		for ; len(page) < 200 && i < n; i++ {
			raw := c.Letter(i, size)
			text += int64(len(raw))
			h, err := s.blobs.Put(b.Context(), []byte(raw))
			if err != nil {
				b.Fatal(err)
			}
			ix, err := s.Store.Index(b.Context(), nil, h)
			if err != nil {
				b.Fatal(err)
			}
			page = append(page, NewMessage{Content: h, Index: ix, Received: when})
		}
		s.update(func(t *Tx) error {
			for _, m := range page {
				if _, err := t.Add(box, m); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return text
}

func indexSize(b *testing.B, db kv.DB) (size int64) {
	shard := kv.SearchShard(alice)
	err := db.View(b.Context(), shard, func(r kv.Reader) error {
		for p, err := range r.Scan(kv.Prefix(shard)) {
			if err != nil {
				return err
			}
			size += int64(len(p.Key) + len(p.Value))
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return size
}

// timeQuery asks the index, and reads the rows of what it is sure of as the doors
// do. Others wait for the same processors: its own time of them says more.
func timeQuery(b *testing.B, s *bench, q search.Query) {
	var times []time.Duration
	var r search.Result
	before := cpu()
	for range 7 {
		start := time.Now()
		var err error
		if r, err = s.Search(context.Background(), alice, q); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(start))
		if len(times) == 1 {
			before = cpu()
		}
	}
	busy := (cpu() - before) / 6
	ids := make([]MessageID, len(r.Sure))
	for i, id := range r.Sure {
		ids[i] = MessageID(id)
	}
	for range 2 { // the second time warm
		before = cpu()
		s.view(func(t *Tx) error {
			for page := range slices.Chunk(ids, 1_000) {
				if _, err := t.Messages(page); err != nil {
					return err
				}
			}
			return nil
		})
	}
	rows, first := cpu()-before, times[0]
	slices.Sort(times)
	b.Logf("%-40s first %7.2f ms, warm %7.2f ms, CPU %7.2f ms; %d sure, whose rows take %.2f ms CPU; %d to look at",
		fmt.Sprintf("%d %q", q.In, q.Text), ms(first), ms(times[len(times)/2]), ms(busy), len(r.Sure), ms(rows), len(r.Maybe))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// BenchmarkBatch is what it costs to take letters into a batch, in memory.
func BenchmarkBatch(b *testing.B) {
	const n = 1_000
	c := letters.New(1)
	var raws [][]byte
	for i := range n {
		raws = append(raws, []byte(c.Letter(i, 4<<10)))
	}
	batch, before := search.NewBatch(0), cpu()
	for b.Loop() {
		batch.Reset(0)
		for i, raw := range raws {
			if err := batch.Add(uint64(i+1), message.ParseParts(raw), bytesAt(raw)); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N)/n, "CPU-µs/letter")
}
