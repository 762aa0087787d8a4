package search

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// cut is a term as the tokenizer gives it.
type cut struct {
	term string
	kind byte
	gap  uint32
}

// cuts tokenizes s in pieces of n octets, but cut between characters.
func cuts(s []byte, n int) (all []cut, long bool) {
	t := tokenizer{long: func() { long = true }, emit: func(b []byte, kind byte, gap uint32) { all = append(all, cut{string(b), kind, gap}) }}
	for len(s) > 0 {
		k := min(n, len(s))
		for k < len(s) && !utf8.RuneStart(s[k]) {
			k++
		}
		t.write(s[:k])
		s = s[k:]
	}
	t.end()
	return all, long
}

// joined is the text that was cut, but for a space behind.
func joined(all []cut) string {
	var b strings.Builder
	odd := false
	for _, c := range all {
		if c.term == oddSpace {
			odd = true
			continue
		}
		if odd != (c.kind == inWord) {
			b.WriteByte(' ')
		}
		b.WriteString(c.term)
		odd = false
	}
	return b.String()
}

func FuzzTokenizer(f *testing.F) {
	for _, s := range []string{"Hello, wörld", "東京タワー is high", "a東b", strings.Repeat("x", 300), "ｶﾞー", "\xff\xfe", "e\u0301", "한국어"} {
		f.Add(s, uint8(3))
	}
	f.Fuzz(func(t *testing.T, s string, n uint8) {
		folded := fold(s)
		if !utf8.Valid(folded) {
			t.Fatalf("%q folds to %q", s, folded)
		}
		whole, long := cuts(folded, len(folded)+1)
		if pieces, _ := cuts(folded, int(n)+1); !slices.Equal(whole, pieces) {
			t.Fatalf("%q in pieces: %v, whole: %v", folded, pieces, whole)
		}
		for _, c := range whole {
			if len(c.term) > maxTerm || c.term != oddSpace && !bytes.Contains(folded, []byte(c.term)) {
				t.Fatalf("%q has no %q", folded, c.term)
			}
		}
		// Terms and gaps say all that the text says.
		if got := joined(whole); !long && got != strings.TrimSuffix(string(folded), " ") {
			t.Fatalf("%q of %q", got, folded)
		}
		var sc Scratch
		if hit, err := NewNeedle(s).InReader(strings.NewReader(s), &sc); !hit || err != nil {
			t.Fatal(hit, err)
		}
	})
}

func FuzzHTML(f *testing.F) {
	for _, s := range []string{"<p>a</p>", "a &amp; b", "<!-- x --> y", "<style>a</style>b", "<a href=\"x>y\">z</a>", "a < b", "&#x6771;", "<", "&", "<script"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		one, err := io.ReadAll(newHTML(strings.NewReader(s)))
		if err != nil {
			t.Fatal(err)
		}
		two, err := io.ReadAll(newHTML(io.LimitReader(&slow{s}, 1<<20)))
		if err != nil || !bytes.Equal(one, two) {
			t.Fatalf("%q: %q, slowly %q, %v", s, one, two, err)
		}
	})
}

// slow gives one octet at a time.
type slow struct{ s string }

func (r *slow) Read(p []byte) (int, error) {
	if r.s == "" {
		return 0, io.EOF
	}
	n := copy(p[:1], r.s)
	r.s = r.s[n:]
	return n, nil
}

func TestHTML(t *testing.T) {
	for in, want := range map[string]string{
		"<p>Hello <b>W</b>orld</p>":                       "\nHello World\n",
		"a&nbsp;b &lt;c&gt; &#26481;&#x4eac; &bogus; R&D": "a\u00a0b <c> 東京 &bogus; R&D",
		"<STYLE type=x>p{}</STYLE>a<script>b</script>c":   "ac",
		"<img alt='a > b'>x<!-- y > -- z -->w":            "\nxw",
		"1 < 2":                                           "1 < 2",
		"<a href=it's>x</a>":                              "x",
	} {
		if got, _ := io.ReadAll(newHTML(strings.NewReader(in))); string(got) != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzPostings(f *testing.F) {
	f.Add([]byte{2, 1, 0, 4}, uint16(100))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, uint16(1))
	f.Fuzz(func(t *testing.T, b []byte, n uint16) {
		s, last := newSet(uint32(n)), uint32(0)
		var again postings
		err := runs(b, uint32(n), func(from, to uint32) {
			if from >= to || to > uint32(n) || from < last {
				t.Fatal(from, to, last)
			}
			last = to
			s.addRun(from, to)
			again.addRun(from, to)
		})
		again.flush()
		if err != nil {
			return
		}
		back := newSet(uint32(n))
		if err := runs(again.b, uint32(n), back.addRun); err != nil || !slices.Equal(s.words, back.words) {
			t.Fatalf("%x: %x, %v", b, again.b, err)
		}
	})
}

func FuzzRows(f *testing.F) {
	s := segment{from: 1, to: 10, pieces: []piece{{[]byte{1}, 0, 0}, {[]byte{8, 'x'}, 100, 50}}}
	f.Add(s.encode())
	f.Add(cursor{upTo: 5, last: 6}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := decodeSegment(1, b); err == nil && !bytes.Equal(s.encode(), b) {
			if again, err := decodeSegment(1, s.encode()); err != nil || len(again.pieces) != len(s.pieces) {
				t.Fatal(err)
			}
		}
		_, _ = decodeCursor(b)
		_, _ = lists(b, piece{}, nil)
	})
}
