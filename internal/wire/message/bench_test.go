package message

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// nest is a message of depth multiparts within one another.
func nest(depth int) []byte {
	var b bytes.Buffer
	for n := range depth {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", n, n)
	}
	b.WriteString("\r\nhello\r\n")
	return b.Bytes()
}

func TestDeepNest(t *testing.T) {
	start := time.Now()
	i := ParseBytes(nest(24))
	if d := time.Since(start); d > 100*time.Millisecond {
		t.Errorf("24 deep took %v", d)
	}
	depth := 0
	for p := i.Root; len(p.Parts) > 0; p = p.Parts[0] {
		depth++
	}
	if depth != 24 || i.Cut {
		t.Errorf("depth %d, cut %v", depth, i.Cut)
	}
	msg := nest(10_000)
	start = time.Now()
	if i = ParseBytes(msg); !i.Cut {
		t.Error("10,000 deep is not cut")
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("10,000 deep took %v", d)
	}
	checkIndex(t, msg, i)
	msg = bytes.Repeat([]byte("Content-Type: message/rfc822\r\n\r\n"), 10_000)
	if i = ParseBytes(msg); !i.Cut {
		t.Error("10,000 messages deep are not cut")
	}
	checkIndex(t, msg, i)
}

func TestManyParts(t *testing.T) {
	msg := []byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 50_000) + "--b--\r\n")
	i := ParseBytes(msg)
	if !i.Cut || len(i.Root.Parts) != MaxParts-1 {
		t.Errorf("%d parts, cut %v", len(i.Root.Parts), i.Cut)
	}
	view := i.Marshal()
	back, err := Unmarshal(view)
	if err != nil || !back.Partial || back.Root != nil || len(view) > MaxView {
		t.Errorf("view of %d octets, partial %v: %v", len(view), back.Partial, err)
	}
}

// TestLinear holds each parser to time in proportion to a hostile input.
func TestLinear(t *testing.T) {
	const size = 256 << 10
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	for _, s := range []string{
		"<@", "a@", `"a"`, `"a""b`, "(", "((", "a:", "a. ", "<a@b>,", "[", "<", "=?a?q?x ", "=?utf-8?B?", "=?", "[a]", "re:", "a;", "a=b;",
		"a*0*=''%;", `a="`, "<a<", "[fwd:", "(fwd)", "\x1b$B", "+", "=", " ", "= ", "--b\n", "a ", "\\", "@", ";", ",",
	} {
		in := fill(s)
		start := time.Now()
		ParseAddressList(in)
		DecodeHeader(in)
		ParseDate(in)
		MessageIDs(in)
		BaseSubject(in)
		decodeParam(parseParams(in), "a")
		_, _ = io.Copy(io.Discard, DecodeText(strings.NewReader(in), "quoted-printable", "utf-7"))
		ParseBytes([]byte("Content-Type: multipart/mixed; boundary=b\r\nSubject: " + in + "\r\n\r\n" + in)).Marshal()
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("%q: %v for %d octets", s, d, len(in))
		}
	}
}

// big is a message with an attachment of n octets in base64.
func big(n int) []byte {
	line := strings.Repeat("QUJD", 19) + "\r\n"
	return []byte("From: a@example.org\r\nTo: b@example.org\r\nSubject: big\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		strings.Repeat(line, n/len(line)) + "--b--\r\n")
}

func benchmarkParse(b *testing.B, msg []byte) {
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		ParseBytes(msg)
	}
}

func BenchmarkParseSmall(b *testing.B)  { benchmarkParse(b, vectorFiles(b)["delivery-status.txt"]) }
func BenchmarkParse1MiB(b *testing.B)   { benchmarkParse(b, big(1<<20)) }
func BenchmarkParse32MiB(b *testing.B)  { benchmarkParse(b, big(32<<20)) }
func BenchmarkParseNest24(b *testing.B) { benchmarkParse(b, nest(24)) }
func BenchmarkParseProse(b *testing.B) {
	benchmarkParse(b, []byte("Subject: x\r\n\r\n"+strings.Repeat("-- A line of ordinary prose, neither short nor very long.\r\n", 20_000)))
}

func BenchmarkDecodeBase64(b *testing.B) {
	msg := big(1 << 20)
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		_, _ = io.Copy(io.Discard, DecodeBody(bytes.NewReader(msg), "base64"))
	}
}

func BenchmarkMarshal(b *testing.B) {
	i := ParseBytes(vectorFiles(b)["delivery-status.txt"])
	b.SetBytes(int64(len(i.Marshal())))
	b.ReportAllocs()
	for b.Loop() {
		i.Marshal()
	}
}
func BenchmarkUnmarshal(b *testing.B) {
	v := ParseBytes(vectorFiles(b)["delivery-status.txt"]).Marshal()
	b.SetBytes(int64(len(v)))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = Unmarshal(v)
	}
}
