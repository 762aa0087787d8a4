package search

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// bodies indexes a message of each body, some in a batch, and merges.
func bodies(t *testing.T, s *Store, batch int, all []string) {
	t.Helper()
	ctx := context.Background()
	b := NewBatch(0)
	for i, body := range all {
		raw := []byte("Subject: a b c\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + body)
		if err := b.Add(uint64(i+1), message.ParseBytes(raw), bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
		if (i+1)%batch != 0 && i+1 != len(all) {
			continue
		}
		if err := s.Commit(ctx, 1, b, 0); err != nil {
			t.Fatal(err)
		}
		b = NewBatch(uint64(i + 1))
		for more := true; more; {
			var err error
			if more, err = s.Merge(ctx, 1, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestPhrases: what stands between two terms decides, to the octet.
func TestPhrases(t *testing.T) {
	texts := []string{
		"the night train leaves", "the night, train leaves", "the night\r\n   train leaves", "train night train", "the night-train", "nighttrain",
		"overnight trains", "night 東京タワー train", "東京 タワー", "東京\r\nタワー", "京東タワー", "東京タワ。ー", "a東b", "a 東b", "x@y.example", "x @y.example",
		"no", "night", "night train.", "?! ?!", "?!?!", "東東東", strings.Repeat("ab ", 200) + "ab", "\"night train\"",
	}
	s := New(memkv.New(memkv.Options{}))
	s.few = 0
	bodies(t, s, 5, texts)
	for _, text := range []string{
		"night train", "ght tra", "night, train", "train n", "night-", "-t", "東京タワー", "東京 タ", "京東", "東東", "東東東", "東東東東", "a東", "a 東", "東b", "x@", "@y", " @y", " train", " night", " tra", " 東", " タ", " 東京 タ", " the", " ab a", " ?", " n", "x @",
		"y.example", "?!", "!?", "! ?", "?!?!", "ab ab ab", "b a", "ab ab.", "night 東", "ー t", "train.", "e night train l", "\"n", "n\"", ". leaves", "night  \r\n train",
	} {
		var want []uint64
		for i, body := range texts {
			if strings.Contains(string(fold(body)), string(fold(text))) {
				want = append(want, uint64(i+1))
			}
		}
		r, err := s.Search(context.Background(), 1, Query{In: Body, Text: text})
		if err != nil || !slices.Equal(r.Sure, want) || len(r.Maybe) > 0 || r.Blind {
			t.Errorf("%q: %+v, %v, want %d", text, r, err, want)
		}
	}
}

// A needle is never found across two texts, though one stands behind the other.
func TestPhraseEndsWithText(t *testing.T) {
	raw := []byte("Subject: one\r\nSubject: two\r\nFrom: three\r\nTo: four\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nfive\r\n--x\r\n\r\nsix\r\n--x--\r\n")
	s := New(memkv.New(memkv.Options{}))
	s.few = 0
	b := NewBatch(0)
	if err := b.Add(1, message.ParseBytes(raw), bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(context.Background(), 1, b, 1); err != nil {
		t.Fatal(err)
	}
	for text, found := range map[string]bool{
		"one two": false, "two three": false, "three four": false, "four five": false, "five six": false, "to: fou": true, "from:": true, "t: t": true, "o: six": true, "z: six": false, " one": true, " three": true, ":": true,
	} {
		r, err := s.Search(context.Background(), 1, Query{In: Text, Text: text})
		if err != nil || len(r.Sure) > 0 || (len(r.Maybe) > 0 || r.Blind) != found {
			t.Errorf("%q: %+v, %v", text, r, err)
		}
	}
}

// TestManyMessages asks about lists of more than a block, in segments of all
// sizes, and compares with the plain texts.
func TestManyMessages(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	words := []string{"a", "b", "ab", "ba", "rare", "東", "京", "の", ".", "-", "c", "a", "b"}
	text := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(words[min(rnd.IntN(len(words)), rnd.IntN(len(words)))])
			b.WriteString([]string{" ", "", " ", ", "}[rnd.IntN(4)])
		}
		return b.String()
	}
	var texts []string
	for range 1500 {
		texts = append(texts, text(rnd.IntN(12)))
	}
	s := New(memkv.New(memkv.Options{}))
	bodies(t, s, 190, texts)
	for i := range 300 {
		s.few = i % 2 * 20
		needle := strings.TrimSpace(text(1 + rnd.IntN(4)))
		if part := []rune(texts[rnd.IntN(len(texts))]); i%3 > 0 && len(part) > 0 {
			from := rnd.IntN(len(part))
			needle = strings.TrimRight(string(part[from:min(len(part), from+1+rnd.IntN(9))]), " ")
		}
		if needle == "" {
			continue
		}
		var want []uint64
		for i, body := range texts {
			if strings.Contains(string(fold(body)), string(fold(needle))) {
				want = append(want, uint64(i+1))
			}
		}
		r, err := s.Search(context.Background(), 1, Query{In: Body, Text: needle})
		if err != nil || len(r.Maybe) > s.few {
			t.Fatalf("%q: %v, %d to look at", needle, err, len(r.Maybe))
		}
		for _, id := range r.Maybe {
			if slices.Contains(want, id) {
				r.Sure = append(r.Sure, id)
			}
		}
		if slices.Sort(r.Sure); !slices.Equal(r.Sure, want) {
			t.Fatalf("%q: %d, want %d", needle, r.Sure, want)
		}
	}
}

// TestWords: all words, in any order; what is written without spaces in one run.
func TestWords(t *testing.T) {
	s := New(memkv.New(memkv.Options{}))
	bodies(t, s, 10, []string{"night train to 東京タワー", "train, night", "nightly trains", "night train 東タワー京", "night train 京東京タワー"})
	for text, want := range map[string][]uint64{
		"train night": {1, 2, 4, 5}, "NIGHT": {1, 2, 4, 5}, "東京": {1, 5}, "night 東京タワー": {1, 5}, "tra": nil, "京東京": {5},
	} {
		r, err := s.Search(context.Background(), 1, Query{In: Body, Text: text, Mode: Words})
		if err != nil || !slices.Equal(r.Sure, want) || len(r.Maybe) > 0 {
			t.Errorf("%q: %+v, %v, want %d", text, r, err, want)
		}
	}
}

func FuzzPlaces(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3}, uint16(1), true)
	f.Add(bytes.Repeat([]byte{0x80}, 60), uint16(300), false)
	f.Fuzz(func(t *testing.T, b []byte, n uint16, body bool) {
		first := byte(inSubject)
		if body {
			first = inBody
		}
		docs := make([]uint32, n)
		for i := range docs {
			docs[i] = uint32(i)
		}
		// What is no list is an error, and nothing worse.
		_ = readPlaces(first, b, docs, nil, func(uint32, []uint32) {})
		// What is written is read, with and without what is not wanted.
		want, every := map[uint32]string{}, newSet(uint32(n))
		var p places
		rnd := rand.New(rand.NewPCG(uint64(n), uint64(len(b))))
		for i, doc := range docs {
			var at []uint32
			pos := rnd.Uint32N(3)
			for range 1 + rnd.IntN(9) {
				at = append(at, pos)
				pos += 1 + rnd.Uint32N(1<<rnd.IntN(15))
			}
			p.add(first, at)
			if i%100 == 7 {
				every.add(doc)
			}
			want[doc] = fmt.Sprint(at)
		}
		list := p.appendTo(nil)
		for _, some := range []*set{nil, every} {
			seen := 0
			err := readPlaces(first, list, docs, some, func(doc uint32, at []uint32) {
				if seen++; want[doc] != fmt.Sprint(at) {
					t.Fatalf("%d: %d, want %s", doc, at, want[doc])
				}
			})
			if err != nil || some == nil && seen != len(docs) || some != nil && seen != some.count() {
				t.Fatal(seen, err)
			}
		}
	})
}

// Terms that begin alike and are equally long are told apart, however many.
func TestAlike(t *testing.T) {
	const each, n = 500, 40
	var texts []string
	for i := range n {
		var b strings.Builder
		for j := range each {
			fmt.Fprintf(&b, "beginning%05d ", i*each+j)
		}
		texts = append(texts, b.String())
	}
	s := New(memkv.New(memkv.Options{}))
	bodies(t, s, n, texts)
	for i := 0; i < each*n; i += 97 {
		r, err := s.Search(context.Background(), 1, Query{In: Body, Text: fmt.Sprintf("beginning%05d", i), Mode: Words})
		if err != nil || !slices.Equal(r.Sure, []uint64{uint64(i/each + 1)}) {
			t.Fatal(i, r, err)
		}
	}
}
