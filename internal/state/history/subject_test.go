package history

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

func TestSubject(t *testing.T) {
	for in, want := range map[string]string{
		"": "", " plain\r\n\tfolded ": "plain   folded", "a\x00\x7fb": "a  b", "\xff bad": "\uFFFD bad",
		strings.Repeat("x", 199) + "語": strings.Repeat("x", 199), strings.Repeat("日", 70): strings.Repeat("日", 66),
	} {
		if got := Subject(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzSubject(f *testing.F) {
	f.Add("日本語\xe3\x81")
	f.Fuzz(func(t *testing.T, s string) {
		if got := Subject(s); len(got) > maxSubject || Subject(got) != got || strings.ContainsAny(got, "\r\n") {
			t.Errorf("%q: %q, then %q", s, got, Subject(got))
		}
	})
}

func TestBySubject(t *testing.T) {
	b := newBed(t)
	at := func(minutes int) time.Time { return t0.Add(time.Duration(minutes) * time.Minute) }
	for i := range 2*subjectPage + 10 { // in one partition, over several pages
		id := mail.ArrivalID{3, byte(i), byte(i >> 8)}
		b.write(id, Entry{At: at(i), What: Accepted, From: address("a@x.test"), Subject: fmt.Sprintf("Letter %d", i)},
			Entry{At: at(i), What: Queued, From: address("a@x.test"), To: address("b@y.test")})
		b.write(id, Entry{At: at(i), What: Relayed, To: address("b@y.test")})
	}
	b.write(mail.ArrivalID{4}, Entry{At: at(5), What: Judged, Action: "discard"}, Entry{At: at(5), What: Discarded, Subject: "LETTER 7 and more"})
	b.write(mail.ArrivalID{5}, Entry{At: at(6), What: Accepted})
	for _, c := range []struct {
		text  string
		since int
		limit int
		want  string
	}{
		{"letter 7", 0, 3, "3 Letter 799; 3 Letter 798; 3 Letter 797"},
		{"LETTER 7 a", 0, 3, "4 LETTER 7 and more"},
		{"letter 1009", 0, 3, "3 Letter 1009"},
		{"letter 3", 0, 1000, ""},
		{"letter 100", 1005, 9, "3 Letter 1009; 3 Letter 1008; 3 Letter 1007; 3 Letter 1006; 3 Letter 1005"},
		{"no such", 0, 3, ""},
	} {
		found, err := b.BySubject(t.Context(), c.text, at(c.since), c.limit)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, f := range found {
			all = append(all, fmt.Sprint(f.ID[0], " ", f.Subject))
		}
		got := strings.Join(all, "; ")
		if c.limit == 1000 && len(all) == 111 { // 3, 30 to 39, 300 to 399
			got = ""
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.text, got, c.want)
		}
	}
}
