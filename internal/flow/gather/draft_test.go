package gather

import (
	"io"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/filter"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

func store(t *testing.T) *blob.Store {
	t.Helper()
	db := memkv.New(memkv.Options{})
	s, err := blob.Open(blob.Options{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = s.Close(), db.Close() })
	return s
}

// draft makes a draft of a text, with a prefix of ours.
func draft(t *testing.T, s *blob.Store, prefix, text string) (*Draft, *mail.Arrival) {
	t.Helper()
	h, err := s.Put(t.Context(), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	a := &mail.Arrival{Prefix: []byte(prefix), Content: h.ID(), Size: h.Size(), Envelope: mail.Envelope{
		From: mail.Address{Local: "s", Domain: "x.test"}, To: []mail.Recipient{{Address: mail.Address{Local: "a", Domain: "y.test"}, Original: "rfc822;A"}},
	}}
	d, err := newDraft(t.Context(), s, a, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d, a
}

// finished is the prefix and the content that came of a draft.
func finished(t *testing.T, s *blob.Store, d *Draft, a *mail.Arrival) (prefix, content string) {
	t.Helper()
	h, err := d.Finish(t.Context(), a, blob.Handle{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.OpenHandle(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(r)
	if err != nil || a.Content != h.ID() || a.Size != int64(len(b)) {
		t.Fatalf("%v, %d octets of %d", err, len(b), a.Size)
	}
	return string(a.Prefix), string(b)
}

// TestEdits has each change to a header, alone and with others.
func TestEdits(t *testing.T) {
	const text = "Subject: one\r\nX-A: 1\r\nx-a: 2\r\n\tand more\r\n\r\nbody\r\n"
	const prefix = "Date: now\r\n"
	add := func(name, value string) filter.Edit {
		return filter.Edit{Change: filter.AddField, Name: name, Value: value}
	}
	insert := func(i int, name, value string) filter.Edit {
		return filter.Edit{Change: filter.InsertField, Index: i, Name: name, Value: value}
	}
	change := func(i int, name, value string) filter.Edit {
		return filter.Edit{Change: filter.ChangeField, Index: i, Name: name, Value: value}
	}
	remove := func(name string) filter.Edit { return filter.Edit{Change: filter.RemoveFields, Name: name} }
	for _, c := range []struct {
		name            string
		edits           []filter.Edit
		prefix, content string // content "" is the one that came
	}{
		{"nothing", nil, prefix, ""},
		{"add", []filter.Edit{add("X-B", " b"), add("X-C", " c\r\n d")}, prefix + "X-B: b\r\nX-C: c\r\n d\r\n", ""},
		{"insert on top", []filter.Edit{insert(1, "X-B", " b"), insert(0, "X-C", " c")}, "X-C: c\r\nX-B: b\r\n" + prefix, ""},
		{"insert behind ours", []filter.Edit{insert(2, "X-B", " b")}, prefix + "X-B: b\r\n", ""},
		{"insert among the content's", []filter.Edit{insert(3, "X-B", " b")}, "", prefix + "Subject: one\r\nX-B: b\r\n" + text[len("Subject: one\r\n"):]},
		{"insert far below", []filter.Edit{insert(1<<32-1, "X-B", " b")}, "", prefix + strings.Replace(text, "more\r\n", "more\r\nX-B: b\r\n", 1)},
		{"change ours", []filter.Edit{change(1, "date", " then")}, "date: then\r\n", ""},
		{"change the content's", []filter.Edit{change(2, "X-A", " 3")}, "", prefix + "Subject: one\r\nX-A: 1\r\nX-A: 3\r\n\r\nbody\r\n"},
		{"remove the second", []filter.Edit{change(2, "X-A", "")}, "", prefix + "Subject: one\r\nX-A: 1\r\n\r\nbody\r\n"},
		{"remove the last", []filter.Edit{change(-1, "X-A", "")}, "", prefix + "Subject: one\r\nX-A: 1\r\n\r\nbody\r\n"},
		{"remove what is not there", []filter.Edit{change(3, "X-A", ""), change(-3, "X-A", ""), remove("X-B")}, prefix, ""},
		{"change what is not there", []filter.Edit{change(3, "X-A", " 3")}, prefix + "X-A: 3\r\n", ""},
		{"remove all", []filter.Edit{remove("x-A")}, "", prefix + "Subject: one\r\n\r\nbody\r\n"},
		{"remove all of ours", []filter.Edit{remove("Date")}, "", ""},
		{"remove everything", []filter.Edit{remove("Date"), remove("Subject"), remove("X-A")}, "", "\r\nbody\r\n"},
		{"add what was removed", []filter.Edit{add("X-B", " b"), remove("X-B"), add("X-B", " c")}, prefix + "X-B: c\r\n", ""},
		{"more than a prefix holds", []filter.Edit{add("X-B", " "+strings.Repeat("b", maxPrefix))}, "", prefix + "X-B: " + strings.Repeat("b", maxPrefix) + "\r\n" + text},
	} {
		s := store(t)
		d, a := draft(t, s, prefix, text)
		if _, err := d.apply(t.Context(), c.edits, nil); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.content == "" {
			c.content = text
		}
		m := d.message(filter.Message{Envelope: &a.Envelope})
		r, _ := m.Open()
		whole, _ := io.ReadAll(r)
		if want := c.prefix + c.content; string(whole) != want || m.Size != int64(len(want)) {
			t.Errorf("%s: the next filter sees %d octets\n%.300s\nwant\n%.300s", c.name, m.Size, whole, want)
		}
		if p, content := finished(t, s, d, a); p != c.prefix || content != c.content {
			t.Errorf("%s: %.300q %.300q, want %.300q %.300q", c.name, p, content, c.prefix, c.content)
		}
	}
}

// TestOddContents has contents that are no proper messages, added to and changed.
func TestOddContents(t *testing.T) {
	for text, rewritten := range map[string]string{
		"":                                "X-B: b\r\n\r\n",
		"no header at all\r\n":            "X-B: b\r\n\r\nno header at all\r\n",
		"\r\nbody\r\n":                    "X-B: b\r\n\r\nbody\r\n",
		"Subject: no body":                "Subject: no body\r\nX-B: b\r\n\r\n",
		"Subject: x\r\nno empty line\r\n": "Subject: x\r\nX-B: b\r\n\r\nno empty line\r\n",
	} {
		s := store(t)
		d, a := draft(t, s, "", text)
		e := []filter.Edit{{Change: filter.AddField, Name: "X-B", Value: " b"}}
		if _, err := d.apply(t.Context(), e, nil); err != nil {
			t.Fatal(err)
		}
		if prefix, content := finished(t, s, d, a); prefix != "X-B: b\r\n" || content != text {
			t.Errorf("%q: %q %q", text, prefix, content)
		}
		d, a = draft(t, s, "", text)
		d.rewritten = true
		if _, err := d.apply(t.Context(), []filter.Edit{{Change: filter.InsertField, Index: 100, Name: "X-B", Value: " b"}}, nil); err != nil {
			t.Fatal(err)
		}
		if prefix, content := finished(t, s, d, a); prefix != "" || content != rewritten {
			t.Errorf("%q: %q %q", text, prefix, content)
		}
	}
}

func TestEnvelopeEdits(t *testing.T) {
	s := store(t)
	d, a := draft(t, s, "", "Subject: x\r\n\r\nbody\r\n")
	b := mail.Address{Local: "b", Domain: "y.test"}
	before := a.Envelope.To
	edits := []filter.Edit{
		{Change: filter.AddRecipient, Address: b}, {Change: filter.AddRecipient, Address: b}, {Change: filter.AddRecipient, Address: before[0].Address},
		{Change: filter.RemoveRecipient, Address: mail.Address{Local: "z", Domain: "y.test"}},
		{Change: filter.RemoveRecipient, Address: mail.Address{Local: "A", Domain: "y.test"}}, {Change: filter.ChangeSender},
	}
	if _, err := d.apply(t.Context(), edits, nil); err != nil {
		t.Fatal(err)
	}
	if len(a.Envelope.To) != 1 || a.Envelope.From.IsNull() {
		t.Error("the arrival was changed before the end")
	}
	finished(t, s, d, a)
	if len(a.Envelope.To) != 1 || a.Envelope.To[0].Address != b || !a.Envelope.From.IsNull() || before[0].Address == b {
		t.Errorf("%+v", a.Envelope)
	}
}

// TestNewBody has bodies that filters put in place of the old one.
func TestNewBody(t *testing.T) {
	for _, c := range []struct{ pieces, want []string }{
		{[]string{"new\r\n"}, []string{"new\r\n"}},
		{[]string{"a\nb\rc\x00\r", "\nd\r", "\re"}, []string{"a\r\nb\r\nc\r\nd\r\n\r\ne\r\n"}},
		{[]string{"caf\xc3\xa9\n"}, []string{"caf\xc3\xa9\r\n"}},
		{[]string{"\r"}, []string{"\r\n"}},
		{nil, []string{""}},
	} {
		s := store(t)
		d, a := draft(t, s, "Date: now\r\n", "Subject: x\r\n\r\nbody\r\n")
		w, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p := newSpool(w, 100)
		for _, piece := range c.pieces {
			if _, err := io.WriteString(p, piece); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := d.apply(t.Context(), []filter.Edit{{Change: filter.ReplaceBody}, {Change: filter.AddField, Name: "X-B", Value: " b"}}, p); err != nil {
			t.Fatal(err)
		}
		want := "Date: now\r\nX-B: b\r\nSubject: x\r\n\r\n" + c.want[0]
		if prefix, content := finished(t, s, d, a); prefix != "" || content != want {
			t.Errorf("%q: %q %q", c.pieces, prefix, content)
		}
		if a.Envelope.EightBit != strings.Contains(c.want[0], "\xc3") {
			t.Errorf("%q: eight bit %v", c.pieces, a.Envelope.EightBit)
		}
		if _, err := p.Write(make([]byte, 101)); err == nil {
			t.Errorf("%q: takes a body without end", c.pieces)
		}
	}
}

func TestHeaderTooLong(t *testing.T) {
	s := store(t)
	h, err := s.Put(t.Context(), []byte(strings.Repeat("X: "+strings.Repeat("x", 900)+"\r\n", 1300)+"\r\nbody\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newDraft(t.Context(), s, &mail.Arrival{}, h); err == nil {
		t.Error("a header of over 1 MiB was taken")
	}
}
