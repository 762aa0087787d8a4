package search

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// terms tokenizes s in pieces of n octets, but cut between characters.
func terms(s []byte, n int) (all []string) {
	t := tokenizer{long: func() { all = append(all, "long") }, emit: func(b []byte, _ bool) { all = append(all, string(b)) }}
	for len(s) > 0 {
		k := min(n, len(s))
		for k < len(s) && !utf8.RuneStart(s[k]) {
			k++
		}
		t.write(s[:k])
		s = s[k:]
	}
	t.end()
	return all
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
		whole := terms(folded, len(folded)+1)
		if pieces := terms(folded, int(n)+1); !slices.Equal(whole, pieces) {
			t.Fatalf("%q in pieces: %q, whole: %q", folded, pieces, whole)
		}
		for _, w := range whole {
			if len(w) > maxTerm || w != "long" && !bytes.Contains(folded, []byte(w)) {
				t.Fatalf("%q has no %q", folded, w)
			}
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
	s := segment{from: 1, to: 10, pieces: []piece{{[]byte{1}, 0}, {[]byte{8, 'x'}, 100}}}
	f.Add(s.encode())
	f.Add(cursor{5, 6}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := decodeSegment(1, b); err == nil && !bytes.Equal(s.encode(), b) {
			if again, err := decodeSegment(1, s.encode()); err != nil || len(again.pieces) != len(s.pieces) {
				t.Fatal(err)
			}
		}
		_, _ = decodeCursor(b)
		_, _ = lists(b, 0, nil)
	})
}
