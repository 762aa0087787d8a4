package search

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"pgregory.net/rapid"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// letter is a message whose texts are known in plain.
type letter struct {
	subject, from, list, body, name string
	raw                             []byte
}

// syllables are what texts are made of: parts of words, of both kinds of script,
// and what stands between.
func syllables() []string {
	return []string{
		"zan", "zib", "ar", "ABC", "x", "Hello", "wörld", "ö", "ß", "9", "42", " ", " ", " ", "\r\n", "-", ", ", "@", ".",
		"東", "京", "タ", "ワ", "ー", "た", "わ", "の", "。", "ガ", "カ", "ｶﾞ", "Ａ",
	}
}

func drawText(t *rapid.T, label string, n int) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(syllables()), 1, n).Draw(t, label), "")
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// charsets are those that letters are written in.
func charsets() map[string]encoding.Encoding {
	return map[string]encoding.Encoding{
		"utf-8": encoding.Nop, "iso-2022-jp": japanese.ISO2022JP, "shift_jis": japanese.ShiftJIS, "euc-jp": japanese.EUCJP,
		"iso-8859-1": charmap.ISO8859_1,
	}
}

func drawLetter(t *rapid.T) letter {
	l := letter{
		subject: oneLine(drawText(t, "subject", 6)), from: oneLine(drawText(t, "from", 3)), list: oneLine(drawText(t, "list", 3)),
		body: drawText(t, "body", 30), name: oneLine(drawText(t, "name", 3)),
	}
	all := charsets()
	cs := rapid.SampledFrom([]string{"utf-8", "iso-2022-jp", "shift_jis", "euc-jp", "iso-8859-1"}).Draw(t, "charset")
	body, err := all[cs].NewEncoder().String(l.body)
	if err != nil { // what this one cannot say
		cs, body = "utf-8", l.body
	}
	text, subtype := l.body, "plain"
	if cs == "utf-8" && rapid.Bool().Draw(t, "html") {
		subtype = "html"
		body = "<style>zanzibar</style><p title='zanzibar'>" + strings.NewReplacer("<", "&lt;", "ö", "&ouml;", "東", "<b>東</b>").Replace(text) + "</p>"
		l.body = "\n" + text + "\n"
	}
	enc := rapid.SampledFrom([]string{"base64", "quoted-printable", "8bit"}).Draw(t, "encoding")
	switch enc {
	case "base64":
		body = base64.StdEncoding.EncodeToString([]byte(body))
	case "quoted-printable":
		var b bytes.Buffer
		w := quotedprintable.NewWriter(&b)
		_, _ = w.Write([]byte(body))
		_ = w.Close()
		body = b.String()
	}
	var b []byte
	b = message.AppendText(b, "Subject", l.subject)
	b = message.AppendText(b, "From", l.from)
	b = message.AppendText(b, "List-Name", l.list)
	b = append(b, "Content-Type: multipart/mixed; boundary=frontier\r\n\r\n--frontier\r\n"...)
	b = fmt.Appendf(b, "Content-Type: text/%s; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n%s\r\n--frontier\r\n", subtype, cs, enc, body)
	b = fmt.Appendf(b, "Content-Type: application/pdf\r\nContent-Disposition: attachment; filename*=utf-8''%s\r\n\r\nzanzibar\r\n--frontier--\r\n", percent(l.name))
	l.raw = b
	return l
}

func percent(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// has is the naive search: the plain texts, as they are.
func (l *letter) has(q Query) bool {
	needle := string(fold(q.Text))
	in := func(texts ...string) bool {
		return slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(string(fold(s)), needle) })
	}
	switch q.In {
	case Subject:
		return in(l.subject)
	case From:
		return in(l.from)
	case Others:
		return in(l.list)
	case Body:
		return in(l.body, l.name)
	}
	return in("subject: "+l.subject, "from: "+l.from, "list-name: "+l.list, l.body, l.name, "content-type: multipart/mixed; boundary=frontier")
}

// scan is what a door does with a message that it has to look at.
func (l *letter) scan(q Query) (hit bool) {
	ix, n := message.ParseBytes(l.raw), NewNeedle(q.Text)
	Fields(ix.Header, func(name, value string) bool {
		switch {
		case q.In == Text:
			hit = n.In(name + ": " + value)
		case q.In == Others:
			hit = strings.EqualFold(name, q.Field) && n.In(value)
		case q.In == RegionOf(name):
			hit = n.In(value)
		}
		return !hit
	})
	if q.In&Body != 0 && !hit {
		var s Scratch
		_ = Texts(ix, bytes.NewReader(l.raw), func(r io.Reader) bool { hit, _ = n.InReader(r, &s); return !hit })
	}
	return hit
}

func drawQuery(t *rapid.T, letters []letter) Query {
	q := Query{In: rapid.SampledFrom([]Regions{Subject, From, Others, Body, Text}).Draw(t, "in")}
	if q.In == Others {
		q.Field = "List-Name"
	}
	if q.Text = drawText(t, "needle", 4); rapid.Bool().Draw(t, "from a letter") && len(letters) > 0 {
		l := letters[rapid.IntRange(0, len(letters)-1).Draw(t, "which")]
		text := []rune(rapid.SampledFrom([]string{l.subject, l.from, l.list, l.body, l.name}).Draw(t, "text"))
		from := rapid.IntRange(0, len(text)).Draw(t, "at")
		if part := string(text[from:min(len(text), from+rapid.IntRange(1, 8).Draw(t, "length"))]); part != "" {
			q.Text = part
		}
	}
	return q
}

// Whatever is asked of the index, in whatever pieces it was built and merged: no
// message that has the text is missing, and none that is sure has it not.
func TestSameAsScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		s := New(memkv.New(memkv.Options{Rerun: true}))
		if rapid.Bool().Draw(t, "never look") {
			s.few = 0
		}
		var letters []letter
		gone, unsure := map[uint64]bool{}, map[uint64]bool{}
		b := NewBatch(0)
		commit := func() {
			if err := s.Commit(ctx, 1, b, 0); err != nil {
				t.Fatal(err)
			}
			b = NewBatch(uint64(len(letters)))
		}
		live := func(from, to uint64, keep func(uint64)) error {
			for id := from; id < to; id++ {
				if !gone[id] {
					keep(id)
				}
			}
			return nil
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				letters = append(letters, drawLetter(t))
				l, id := &letters[len(letters)-1], uint64(len(letters))
				if rapid.IntRange(0, 20).Draw(t, "unsure") == 0 {
					b.Unsure(id)
					unsure[id] = true
				} else if err := b.Add(id, message.ParseBytes(l.raw), bytes.NewReader(l.raw)); err != nil {
					t.Fatal(err)
				}
				if rapid.Bool().Draw(t, "commit") {
					commit()
				}
			},
			"remove": func(t *rapid.T) {
				if len(letters) > 0 {
					gone[uint64(rapid.IntRange(1, len(letters)).Draw(t, "gone"))] = true
				}
			},
			"merge": func(t *rapid.T) {
				if _, err := s.Merge(ctx, 1, live); err != nil {
					t.Fatal(err)
				}
			},
			"search": func(t *rapid.T) { compare(t, s, letters, gone, unsure, drawQuery(t, letters)) },
		})
	})
}

func compare(t *rapid.T, s *Store, letters []letter, gone, unsure map[uint64]bool, q Query) {
	r, err := s.Search(context.Background(), 1, q)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(r.Sure) || !slices.IsSorted(r.Maybe) {
		t.Fatal("not in order")
	}
	folded := string(fold(q.Text))
	tight := s.few == 0 && q.In != Others && q.In != Text && folded != "" && !strings.HasSuffix(folded, " ")
	for id := uint64(1); id <= r.UpTo; id++ {
		_, sure := slices.BinarySearch(r.Sure, id)
		_, maybe := slices.BinarySearch(r.Maybe, id)
		l := &letters[id-1]
		want := l.has(q)
		if got := l.scan(q); got != want {
			t.Fatalf("%+v: the scan says %v\n%s", q, got, l.raw)
		}
		if maybe && !gone[id] && id%2 == 0 { // the next one who asks is told
			s.Learn(1, q, map[uint64]bool{id: want})
		}
		switch {
		case gone[id]:
		case maybe && tight && !unsure[id]:
			t.Fatalf("%+v: %d must be looked at\n%s", q, id, l.raw)
		case sure && maybe:
			t.Fatalf("%d is in both lists", id)
		case want && !sure && !maybe && !r.Blind:
			t.Fatalf("%+v: %d is missing\n%s", q, id, l.raw)
		case !want && sure:
			t.Fatalf("%+v: %d has it not\n%s", q, id, l.raw)
		}
	}
}

// What was found out is not found out again, within bounds.
func TestVerdicts(t *testing.T) {
	ctx := context.Background()
	s := New(memkv.New(memkv.Options{}))
	b := NewBatch(0)
	for id := uint64(1); id <= 3; id++ {
		raw := []byte("Subject: one two three\r\n\r\n")
		if err := b.Add(id, message.ParseBytes(raw), bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Commit(ctx, 1, b, 3); err != nil {
		t.Fatal(err)
	}
	q := Query{In: Subject, Text: "ONE two "} // of a space at the end no position tells
	s.Learn(1, q, map[uint64]bool{1: true, 2: false})
	r, err := s.Search(ctx, 1, q)
	if err != nil || !slices.Equal(r.Sure, []uint64{1}) || !slices.Equal(r.Maybe, []uint64{3}) {
		t.Fatal(r, err)
	}
	for i := range maxQueries {
		s.Learn(2, Query{In: Subject, Text: fmt.Sprint(i)}, map[uint64]bool{1: true})
	}
	if r, err = s.Search(ctx, 1, q); err != nil || len(r.Maybe) != 3 || len(s.verdicts.by) != maxQueries || s.verdicts.n != maxQueries {
		t.Fatal(r, err, len(s.verdicts.by), s.verdicts.n)
	}
	many := map[uint64]bool{}
	for id := range uint64(maxVerdicts) {
		many[id] = true
	}
	s.Learn(3, q, many)
	if s.verdicts.n > maxVerdicts {
		t.Fatal(s.verdicts.n)
	}
}

func TestConflictAndRemove(t *testing.T) {
	ctx := context.Background()
	s := New(memkv.New(memkv.Options{}))
	raw := []byte("Subject: hello\r\n\r\nbody\r\n")
	one, two := NewBatch(0), NewBatch(0)
	for _, b := range []*Batch{one, two} {
		if err := b.Add(3, message.ParseBytes(raw), bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Commit(ctx, 1, one, 5); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(ctx, 1, two, 5); !fault.Is(err, fault.Conflict) {
		t.Fatal(err)
	}
	want := func(upTo uint64, sure ...uint64) {
		t.Helper()
		r, err := s.Search(ctx, 1, Query{In: Text, Text: "HELL"})
		if err != nil || r.UpTo != upTo || !slices.Equal(r.Sure, sure) {
			t.Fatal(r, err)
		}
	}
	want(5, 3)
	if err := s.Remove(ctx, 1); err != nil {
		t.Fatal(err)
	}
	want(0)
}

// failing fails the nth transaction, before or after it is made true.
type failing struct {
	kv.DB
	left  int
	after bool
}

var errDisk = errors.New("disk")

func (f *failing) Update(ctx context.Context, s []kv.Shard, fn func(kv.Tx) error) error {
	f.left--
	if f.left == 0 && !f.after {
		return errDisk
	}
	err := f.DB.Update(ctx, s, fn)
	if f.left == 0 && err == nil {
		return errDisk
	}
	return err
}

// A writer that does not get to its end leaves nothing that counts, and whoever
// comes next removes what it left.
func TestInterrupted(t *testing.T) {
	ctx := context.Background()
	for n := 1; n <= 4; n++ {
		for _, after := range []bool{false, true} {
			db := &failing{DB: memkv.New(memkv.Options{})}
			s := New(db)
			b := NewBatch(0)
			for id := uint64(1); id <= 300; id++ { // more than one transaction
				var raw bytes.Buffer
				fmt.Fprintf(&raw, "Subject: letter%d\r\n\r\n", id)
				for i := range 600 {
					fmt.Fprintf(&raw, "word%xx%x\r\n", id*7919, i*104729)
				}
				if err := b.Add(id, message.ParseBytes(raw.Bytes()), bytes.NewReader(raw.Bytes())); err != nil {
					t.Fatal(err)
				}
			}
			db.left, db.after = n, after
			err := s.Commit(ctx, 1, b, 300)
			if _, err := s.Merge(ctx, 1, nil); err != nil {
				t.Fatal(err)
			}
			r, err2 := s.Search(ctx, 1, Query{In: Subject, Text: "letter7"})
			if err2 != nil || r.UpTo != uint64(len(r.Sure))*300/11 || err == nil && r.UpTo != 300 {
				t.Fatalf("transaction %d: %v, %v, %+v", n, err, err2, r)
			}
			left := 0
			shard := kv.SearchShard(1)
			_ = db.View(ctx, shard, func(v kv.Reader) error {
				for p := range v.Scan(kv.Prefix(shelf{shard, v}.key(tagData))) {
					_ = p
					left++
				}
				return nil
			})
			if (left > 0) != (r.UpTo > 0) {
				t.Fatalf("transaction %d: %d rows are left", n, left)
			}
		}
	}
}
