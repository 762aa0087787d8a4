package crash

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/record"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// sent is a message whose 250 was read.
type sent struct {
	id      string
	content []byte
}

// TestSyncBeforeReply runs the real program on the real disk under strace, and
// wants for each 250 that its rows, its body and the names of the files they lie
// in were synced, and the sync had ended, before the reply was written.
func TestSyncBeforeReply(t *testing.T) {
	if _, err := blackbox.Try(t, t.TempDir(), "", "strace", "-o", "/dev/null", "true"); err != nil {
		blackbox.Missing(t, "strace that may trace")
	}
	path := filepath.Join(t.TempDir(), "trace")
	s := blackbox.Start(t, blackbox.Options{
		Args: []string{"--no-limits", "--plaintext-auth", "--resolver", blackbox.FreeAddress(t) + ":5353", "--retry-first", "1h"},
		Under: []string{"strace", "-D", "-f", "-q", "-qq", "-y", "-xx", "-s", "2000000", "-o", path, "-e", "signal=none",
			"-e", "trace=write,pwrite64,writev,pwritev,sendto,sendmsg,fdatasync,fsync,openat,rename,renameat,renameat2"},
	})
	var all sync.WaitGroup
	var mu sync.Mutex
	var done []sent
	for n := range 6 {
		all.Go(func() {
			more, err := bring(s, n)
			mu.Lock()
			defer mu.Unlock()
			done = append(done, more...)
			if err != nil {
				t.Errorf("connection %d: %v", n, err)
			}
		})
	}
	all.Wait()
	s.Stop()
	calls, err := readTrace(path)
	if err != nil {
		t.Fatal(err)
	}
	fail(t, judge(sortTrace(calls), done))
	large := 0
	for _, m := range done {
		if len(m.content) > inline {
			large++
		}
	}
	t.Logf("%d replies, %d of them for bodies in segments, over %d system calls", len(done), large, len(calls))
	// It can fail: without the syncs of the log nothing is safe, without those of
	// the segments the large bodies are not, nor without their names'.
	for suffix, want := range map[string]int{".log": len(done), ".seg": large, "/blobs": large, "/store": len(done)} {
		if errs := judge(sortTrace(without(calls, suffix)), done); len(errs) < want {
			t.Errorf("without the syncs of %s, %d of %d replies are found to be early", suffix, len(errs), want)
		}
	}
}

// inline is up to which size bodies become rows (docs/store.md).
const inline = 32 << 10

// bring sends a few messages over one connection, small ones and large ones,
// as strangers do or as alice does, to bob and elsewhere.
func bring(s *blackbox.Server, n int) ([]sent, error) {
	door, from, to := "smtp", "stranger@elsewhere.example", []string{s.Address("bob")}
	if n == 0 {
		door, from, to = "submission", s.Address("alice"), append(to, "far@away.example")
	}
	c, err := blackbox.DialSMTP(s.Addr(door), nil)
	if err != nil {
		return nil, err
	}
	defer c.Quit()
	if n == 0 {
		if err := c.Login(s.Address("alice"), blackbox.Password); err != nil {
			return nil, err
		}
	}
	var all []sent
	for i := range 8 {
		size := []int{200, 3_000, 50_000, 200, 200_000, 200, 600_000, 5_000}[i]
		if n > 1 {
			size = min(size, 50_000)
		}
		m := sent{content: content(from, size, uint64(n*100+i))}
		commands := "MAIL FROM:<" + from + ">\r\n"
		for _, r := range to {
			commands += "RCPT TO:<" + r + ">\r\n"
		}
		if err := c.Send(commands + "DATA\r\n"); err != nil {
			return all, err
		}
		for range len(to) + 1 {
			if code, text, err := c.Reply(); err != nil || code != 250 {
				return all, errors.Join(err, errors.New(text))
			}
		}
		if code, text, err := c.Reply(); err != nil || code != 354 {
			return all, errors.Join(err, errors.New(text))
		}
		if err := c.Send(string(blackbox.Stuff(m.content)) + ".\r\n"); err != nil {
			return all, err
		}
		code, text, err := c.Reply()
		id, ok := strings.CutPrefix(text, "250 2.0.0 accepted ")
		if err != nil || code != 250 || !ok {
			return all, errors.Join(err, errors.New(text))
		}
		m.id = id
		all = append(all, m)
	}
	return all, nil
}

// content does not compress, so that it is found as it is.
func content(from string, size int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: <%s>\r\nTo: <bob@example.test>\r\nDate: Tue, 24 Nov 2026 09:00:00 +0000\r\nMessage-ID: <%d@trace.example>\r\nSubject: trace\r\n\r\n", from, seed)
	for i := 1; i < size; i++ {
		switch c := byte(r.Uint32()); {
		case i%500 == 0:
			b.WriteString("\r\n")
		case c == 0 || c == '\r' || c == '\n' || c == '.':
			b.WriteByte('x')
		default:
			b.WriteByte(c)
		}
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// judge says which replies came too early.
func judge(t *traced, done []sent) (errs []error) {
	batches := t.batches()
	for _, m := range done {
		if err := judgeOne(t, m, batches); err != nil {
			errs = append(errs, fmt.Errorf("message %s: %w", m.id, err))
		}
	}
	return errs
}

func judgeOne(t *traced, m sent, batches []batch) error {
	reply := t.replies[m.id]
	if reply == nil {
		return errors.New("its reply is not in the trace")
	}
	id, err := hex.DecodeString(m.id)
	if err != nil {
		return err
	}
	// The first batch with the id is the delivery: its rows, and a small body's.
	var rows *batch
	for i := range batches {
		if bytes.Contains(batches[i].data, id) {
			rows = &batches[i]
			break
		}
	}
	if rows == nil {
		return errors.New("no batch in the log has its rows")
	}
	if err := t.safe(rows.path, rows.from, rows.to, reply.begin); err != nil {
		return err
	}
	sum := sha256.Sum256(m.content)
	if !bytes.Contains(rows.data, sum[:]) {
		return nil // submit has mended the header: another body
	}
	if len(m.content) <= inline {
		if !bytes.Contains(rows.data, m.content) {
			return errors.New("the batch does not have its body")
		}
		return nil
	}
	at, ok := t.record(sum)
	if !ok {
		return errors.New("no segment has its body")
	}
	return t.safe(at.path, at.from, at.to, reply.begin)
}

// batch is one record of Pebble's log.
type batch struct {
	place
	data []byte
}

// batches reads the logs as they were written.
func (t *traced) batches() []batch {
	var all []batch
	for path := range t.writes {
		if !strings.HasSuffix(path, ".log") || filepath.Base(filepath.Dir(path)) != "store" {
			continue
		}
		var number uint64
		_, _ = fmt.Sscanf(filepath.Base(path), "%d.log", &number)
		r := logReader(record.NewReader, bytes.NewReader(t.file(path)), number)
		for {
			from := r.Offset()
			one, err := r.Next()
			if err != nil {
				break
			}
			data, err := io.ReadAll(one)
			if err != nil {
				break
			}
			all = append(all, batch{place{path, from, r.Offset()}, data})
		}
	}
	return all
}

// logReader calls Pebble's reader, whose type for a log's number has no name
// outside.
func logReader[N ~uint64](open func(io.Reader, N) *record.Reader, r io.Reader, number uint64) *record.Reader {
	return open(r, N(number))
}
