package message

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestView holds what is read without a look at the rest against the whole.
func TestView(t *testing.T) {
	names := slices.Concat(envelopeFields, listFields, moreFields)
	texts := 0
	for name, msg := range vectorFiles(t) {
		i := ParseBytes(msg)
		v, ok := OpenView(i.Marshal())
		if !ok {
			continue
		}
		texts++
		env := i.Envelope()
		if want := env.AppendIMAP(nil); !bytes.Equal(v.Envelope(), want) {
			t.Errorf("%s: envelope %s, want %s", name, v.Envelope(), want)
		}
		if want := i.Root.AppendIMAP(nil, true); !bytes.Equal(v.Structure(), want) {
			t.Errorf("%s: structure %s, want %s", name, v.Structure(), want)
		}
		if v.Preview() != i.Preview {
			t.Errorf("%s: preview %q, want %q", name, v.Preview(), i.Preview)
		}
		for _, some := range [][]string{names, {"SUBJECT", "from"}, {"X-Nobody"}} {
			got, ok := v.AppendFields(nil, some)
			want := fieldText(i, some)
			if !ok || string(got) != want {
				t.Errorf("%s: fields %q, want %q", name, got, want)
			}
		}
	}
	if !ViewKeeps(names) || ViewKeeps([]string{"From", "Received"}) {
		t.Error("what is kept is not known")
	}
	if texts < 50 {
		t.Errorf("only %d views have texts", texts)
	}
}

func fieldText(i *Index, names []string) string {
	var b strings.Builder
	for _, f := range i.Header.Fields() {
		if hasFold(names, f.Name) {
			b.WriteString(f.Raw)
			if !strings.HasSuffix(f.Raw, "\n") {
				b.WriteString("\r\n")
			}
		}
	}
	return b.String()
}

// TestFirstForm reads a view that an earlier program wrote.
func TestFirstForm(t *testing.T) {
	old, err := os.ReadFile(filepath.Join("testdata", "view-form1.bin"))
	if err != nil {
		t.Fatal(err)
	}
	msg := vectorFiles(t)["delivery-status.txt"]
	i, err := Unmarshal(old)
	if err != nil {
		t.Fatal(err)
	}
	now := ParseBytes(msg)
	a, b := i.Envelope(), now.Envelope()
	if !bytes.Equal(a.AppendIMAP(nil), b.AppendIMAP(nil)) || !bytes.Equal(i.Root.AppendIMAP(nil, true), now.Root.AppendIMAP(nil, true)) {
		t.Errorf("%s\n%s", a.AppendIMAP(nil), i.Root.AppendIMAP(nil, true))
	}
	if !i.Keeps("List-ID") || i.Keeps("X-Label") {
		t.Errorf("keeps %v, %v", i.Keeps("List-ID"), i.Keeps("X-Label"))
	}
	if _, ok := OpenView(old); ok {
		t.Error("it has texts")
	}
	if !bytes.Equal(i.Marshal(), old) {
		t.Error("written again it differs")
	}
}

// TestTextsGo gives a message whose view has no room for its texts.
func TestTextsGo(t *testing.T) {
	to := strings.Repeat("somebody <somebody@example.org>,\r\n ", 900)
	i := ParseBytes([]byte("Subject: many\r\nTo: " + to + "\r\nX-Label: kept\r\n\r\nx"))
	b := i.Marshal()
	if _, ok := OpenView(b); ok || len(b) > MaxView {
		t.Errorf("a view of %d octets with texts", len(b))
	}
	back, err := Unmarshal(b)
	if err != nil || back.Partial || !back.Keeps("X-Label") || len(back.Envelope().To) != 900 {
		t.Errorf("%v, %d addresses", err, len(back.Envelope().To))
	}
}

func FuzzOpenView(f *testing.F) {
	for _, msg := range vectorFiles(f) {
		f.Add(ParseBytes(msg).Marshal())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, ok := OpenView(b)
		if !ok {
			return
		}
		got, sound := v.AppendFields(nil, envelopeFields)
		_ = v.Preview()
		i, err := Unmarshal(b)
		if err != nil {
			return
		}
		if want := fieldText(i, envelopeFields); !sound || string(got) != want {
			t.Fatalf("fields %q, want %q", got, want)
		}
		if v.Preview() != i.Preview {
			t.Fatalf("preview %q, want %q", v.Preview(), i.Preview)
		}
	})
}
