package message

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/testkit/golden"
)

const vectors = "../../../test/vectors/mime"

// vectorFiles are the messages of the two collections, with CRLF line ends as
// in our store.
func vectorFiles(t testing.TB) map[string][]byte {
	files := map[string][]byte{}
	for _, glob := range []string{"mimekit/messages/*", "python-test-email/msg_*"} {
		names, err := filepath.Glob(filepath.Join(vectors, glob))
		if err != nil || len(names) == 0 {
			t.Fatalf("no vectors: %v", err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files[filepath.Base(name)] = crlf(b)
		}
	}
	return files
}

func crlf(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}

// dump writes an index as a person can check it against the message.
func dump(msg []byte, i *Index) string {
	var b strings.Builder
	e := i.Envelope()
	fmt.Fprintf(&b, "size %d, fields %d, cut %v\ndate %q\nsubject %q\n", i.Size, len(i.Header.Fields()), i.Cut, e.Date, DecodeHeader(e.Subject))
	for _, l := range []struct {
		name string
		list []Addr
	}{{"from", e.From}, {"sender", e.Sender}, {"reply-to", e.ReplyTo}, {"to", e.To}, {"cc", e.Cc}, {"bcc", e.Bcc}} {
		for _, a := range l.list {
			fmt.Fprintf(&b, "%s %q route %q %q @ %q group %v\n", l.name, DecodeHeader(a.Name), a.Route, a.Mailbox, a.Host, a.IsGroup)
		}
	}
	fmt.Fprintf(&b, "in-reply-to %q\nmessage-id %q\npreview %q\n", e.InReplyTo, e.MessageID, i.Preview)
	i.Walk(func(path []int, p *Part) bool {
		dumpPart(&b, msg, path, p)
		return true
	})
	return b.String()
}

func dumpPart(b *strings.Builder, msg []byte, path []int, p *Part) {
	number := strings.Trim(strings.ReplaceAll(fmt.Sprint(path), " ", "."), "[]")
	fmt.Fprintf(b, "[%s] %s/%s %s %d..%d..%d size %d lines %d", number, p.Type, p.Subtype, p.Encoding, p.HeaderStart, p.BodyStart, p.End, p.Size(), p.Lines)
	for _, q := range p.Params {
		fmt.Fprintf(b, " %s=%q", q.Name, q.Value)
	}
	for _, f := range [...][2]string{{"id", p.ID}, {"description", p.Description}, {"md5", p.MD5}, {"location", p.Location}, {"disposition", p.Disposition}} {
		if f[1] != "" {
			fmt.Fprintf(b, " %s %q", f[0], f[1])
		}
	}
	for _, q := range p.DispParams {
		fmt.Fprintf(b, " %s=%q", q.Name, q.Value)
	}
	if len(p.Language) > 0 {
		fmt.Fprintf(b, " language %q", p.Language)
	}
	if name := p.Filename(); name != "" {
		fmt.Fprintf(b, " filename %q", name)
	}
	b.WriteByte('\n')
	body := msg[p.BodyStart:p.End]
	if len(p.Parts) == 0 && p.Message == nil {
		if len(body) > 60 {
			fmt.Fprintf(b, "  %q…%q\n", body[:30], body[len(body)-20:])
		} else {
			fmt.Fprintf(b, "  %q\n", body)
		}
	}
}

func TestVectors(t *testing.T) {
	for name, msg := range vectorFiles(t) {
		start := time.Now()
		i := ParseBytes(msg)
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%s took %v", name, d)
		}
		checkIndex(t, msg, i)
		golden.Check(t, filepath.Join("testdata", "golden", name+".txt"), dump(msg, i))
	}
}

// checkIndex holds for every index of every input.
func checkIndex(t testing.TB, msg []byte, i *Index) {
	t.Helper()
	parts := 0
	i.Walk(func(path []int, p *Part) bool {
		parts++
		if p.HeaderStart < 0 || p.HeaderStart > p.BodyStart || p.BodyStart > p.End || p.End > int64(len(msg)) {
			t.Fatalf("part %v lies at %d..%d..%d of %d", path, p.HeaderStart, p.BodyStart, p.End, len(msg))
		}
		if lines := int64(bytes.Count(msg[p.BodyStart:p.End], []byte("\n"))); lines != p.Lines {
			t.Fatalf("part %v has %d lines, not %d", path, lines, p.Lines)
		}
		if (p.Type == "multipart") != (len(p.Parts) > 0) {
			t.Fatalf("part %v is %s with %d parts", path, p.Type, len(p.Parts))
		}
		// The multipart of a message within the message has no number of its own.
		got := i.Part(path)
		inside := got != nil && got.Message != nil && got.Message.Root == p && len(p.Parts) > 0
		if len(path) > 0 && got != p && !inside {
			t.Fatalf("path %v leads elsewhere", path)
		}
		return true
	})
	if parts > 2*MaxParts {
		t.Fatalf("%d parts", parts)
	}
	view := i.Marshal()
	back, err := Unmarshal(view)
	if err != nil || len(view) > MaxView {
		t.Fatalf("view of %d octets: %v", len(view), err)
	}
	if !bytes.Equal(back.Marshal(), view) {
		t.Fatal("a view of a view differs")
	}
	if !back.Partial && dump(msg, back) != strings.Replace(dump(msg, i), fmt.Sprintf("fields %d", len(i.Header.Fields())), fmt.Sprintf("fields %d", len(back.Header.Fields())), 1) {
		t.Fatalf("a view lost something:\n%s\nnot\n%s", dump(msg, back), dump(msg, i))
	}
}
