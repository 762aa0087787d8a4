package mbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// got is a message as a test sees it.
type got struct {
	content string
	facts   string // date, flags, keywords
}

// readAll reads a file, and counts what was no message.
func readAll(t testing.TB, file string, d Dialect) (all []got, junk int64) {
	t.Helper()
	r := NewReader(strings.NewReader(file), int64(len(file)), d)
	for {
		m, err := r.Next()
		var j *Junk
		switch {
		case errors.Is(err, io.EOF):
			return all, junk
		case errors.As(err, &j):
			junk += j.Length
			continue
		case err != nil:
			t.Fatal(err)
		}
		b, err := io.ReadAll(m.Open())
		if err != nil {
			t.Fatal(err)
		}
		date := "-"
		if !m.Date.IsZero() {
			date = m.Date.Format(time.RFC3339)
		}
		all = append(all, got{string(b), strings.TrimSpace(date + " " + strings.Join(m.Flags.Names(), "") + " " + strings.Join(m.Keywords, ","))})
	}
}

const at = " Tue Jan  5 12:00:00 2021\n"

func TestRead(t *testing.T) {
	on := "2021-01-05T12:00:00Z"
	cl := func(body string) string { return fmt.Sprintf("Subject: x\nContent-Length: %d\n\n%s", len(body), body) }
	for name, c := range map[string]struct {
		file    string
		dialect Dialect
		want    []got
		junk    int64
	}{
		"nothing":           {},
		"blank lines":       {file: "\n\n"},
		"one":               {file: "From a" + at + "Subject: x\n\nHello\n\n", want: []got{{"Subject: x\n\nHello\n", on}}},
		"no end":            {file: "From a" + at + "Subject: x\n\nHello", want: []got{{"Subject: x\n\nHello", on}}},
		"header only":       {file: "From a" + at + "Subject: x\n\nFrom b" + at + "Subject: y\n", want: []got{{"Subject: x\n\n", on}, {"Subject: y\n", on}}},
		"no blank line":     {file: "From a" + at + "A: x\n\nHello\nFrom b" + at + "B: y\n\n\n", want: []got{{"A: x\n\nHello\n", on}, {"B: y\n\n", on}}},
		"a sentence":        {file: "From a" + at + "A: x\n\nHello\nFrom here we go\n\nFrom there too\n", want: []got{{"A: x\n\nHello\nFrom here we go\n\nFrom there too\n", on}}},
		"no date":           {file: "From a" + at + "A: x\n\nHello\n\nFrom b\nB: y\n\nZ\n", want: []got{{"A: x\n\nHello\n", on}, {"B: y\n\nZ\n", "-"}}},
		"CRLF":              {file: "From a Tue Jan  5 12:00:00 2021\r\nA: x\r\n\r\nHello\r\n\r\nFrom b Tue Jan  5 12:00:00 2021\r\nB: y\r\n\r\n", want: []got{{"A: x\r\n\r\nHello\r\n", on}, {"B: y\r\n\r\n", on}}},
		"quoted":            {file: "From a" + at + "A: x\n\n>From b\n>>From c\n> From d\n", want: []got{{"A: x\n\nFrom b\n>From c\n> From d\n", on}}},
		"quoted mboxo":      {file: "From a" + at + "A: x\n\n>From b\n>>From c\n", dialect: MboxO, want: []got{{"A: x\n\nFrom b\n>>From c\n", on}}},
		"length":            {file: "From a" + at + cl("Hi\n\nFrom b"+at+"C: d\n>From e\n") + "\nFrom b" + at + "B: y\n\n", want: []got{{"Subject: x\n\nHi\n\nFrom b" + at + "C: d\n>From e\n", on}, {"B: y\n\n", on}}},
		"length that lies":  {file: "From a" + at + "A: x\nContent-Length: 3\n\nHello\n>From b\n", want: []got{{"A: x\n\nHello\nFrom b\n", on}}},
		"length of a thief": {file: "From a" + at + "A: x\n\nHi\n\nFrom b" + at + cl("Hi\n\nFrom c"+at+"C: d\n\nstolen\n") + "\nFrom d" + at + "D: y\n", want: []got{{"A: x\n\nHi\n", on}, {"Subject: x\n\nHi\n", on}, {"C: d\n\nstolen\n", on}, {"D: y\n", on}}},
		"flags":             {file: "From a" + at + "Status: RO\nA: x\nX-Status: AFDT\nX-Keywords: $Label1 work\n  more   \nX-UID: 7\n\nb\n", want: []got{{"A: x\n\nb\n", on + ` \Seen\Answered\Flagged\Deleted\Draft $Label1,work,more`}}},
		"Thunderbird":       {file: "From - Tue Jan 05 12:00:00 2021\nX-Mozilla-Status: 1005\nX-Mozilla-Status2: 00000000\nX-Mozilla-Keys: $label2          \nA: x\n\nb\n", want: []got{{"A: x\n\nb\n", on + ` \Seen\Flagged $Forwarded,$label2`}}},
		"takeout":           {file: "From 16@xxx Tue Jan 05 12:00:00 +0000 2021\nX-Gmail-Labels: =?UTF-8?Q?=E6=9C=AA=E8=AA=AD,Starred?=\n\nb\n", want: []got{{"X-Gmail-Labels: =?UTF-8?Q?=E6=9C=AA=E8=AA=AD,Starred?=\n\nb\n", on + ` \Flagged`}}},
		"records":           {file: "From MAILER-DAEMON" + at + "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2 work\nStatus: RO\n\nThis text is part of the internal format.\n\nFrom a" + at + "A: x\n\nb\n", want: []got{{"A: x\n\nb\n", on}}},
		"no mbox":           {file: "PK\x03\x04 whatever\n", junk: 14},
		"junk in front":     {file: "junk\n\nFrom a" + at + "A: x\n\nb\n", junk: 6, want: []got{{"A: x\n\nb\n", on}}},
		"nothing but From":  {file: "From a" + at, want: []got{{"", on}}},
	} {
		all, junk := readAll(t, c.file, c.dialect)
		if fmt.Sprint(all) != fmt.Sprint(c.want) || junk != c.junk {
			t.Errorf("%s:\n%q, junk %d; want\n%q, %d", name, all, junk, c.want, c.junk)
		}
	}
}

func TestDates(t *testing.T) {
	for line, want := range map[string]string{
		"a@b Tue Jan  5 12:00:00 2021": "2021-01-05T12:00:00Z", "a b c Tue Jan 5 12:00 2021": "2021-01-05T12:00:00Z",
		"a Tue Jan  5 12:00:00 JST 2021": "2021-01-05T12:00:00Z", "a Tue Jan  5 12:00:00 2021 +0900": "2021-01-05T03:00:00Z",
		"a Tue Jan 05 12:00:00 +0900 2021": "2021-01-05T03:00:00Z", "a Tue, 5 Jan 2021 12:00:00 +0900": "2021-01-05T03:00:00Z",
		"a": "", "Tue": "", "a Tue Jan": "", "a Tue Foo 5 12:00:00 2021": "", "": "",
	} {
		_, d, ok := fromDate(line)
		if ok != (want != "") || ok && d.Format(time.RFC3339) != want {
			t.Errorf("%q is %v, not %s", line, d, want)
		}
	}
}

// TestLong has lines and headers longer than what is kept in memory.
func TestLong(t *testing.T) {
	long := strings.Repeat("x", 3*window)
	file := "From a" + at + "A: " + long + "\nB: y\n\n>From " + long + "\n" + long + "\n\nFrom b" + at + "C: z\n\n"
	all, junk := readAll(t, file, Auto)
	want := "A: " + long + "\nB: y\n\nFrom " + long + "\n" + long + "\n"
	if len(all) != 2 || all[0].content != want || junk != 0 {
		t.Errorf("%d messages, junk %d", len(all), junk)
	}
}

func TestWrite(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	f := Facts{Date: time.Date(2021, 1, 5, 12, 0, 0, 0, time.UTC), Flags: mail.FlagSeen | mail.FlagFlagged, Keywords: []string{"work"}}
	content := "Return-Path: <a@b.example>\r\nStatus: RO\r\n folded\r\nContent-Length: 99\r\nFrom me\r\n\r\nFrom you\r\n>From\r\n>>From them\r\nrest"
	if err := errors.Join(w.Add(f, strings.NewReader(content)), w.Add(Facts{Date: f.Date}, strings.NewReader("A: x\r\n")), w.Flush()); err != nil {
		t.Fatal(err)
	}
	want := "From a@b.example" + at + "Return-Path: <a@b.example>\n>From me\nStatus: RO\nX-Status: F\nX-Keywords: work\n\n>From you\n>From\n>>>From them\nrest\n\n" +
		"From MAILER-DAEMON" + at + "A: x\nStatus: O\n\n\n"
	if b.String() != want {
		t.Errorf("%q\nwant\n%q", b.String(), want)
	}
}

// FuzzReader reads anything: it ends, and what it gives lies within the file.
func FuzzReader(f *testing.F) {
	f.Add("From a"+at+"Subject: x\nContent-Length: 2\n\nHi\n\nFrom b"+at+"Status: RO\n\n>From c\n", uint8(0))
	f.Add("From \n\nFrom \nX: y\n", uint8(4))
	f.Fuzz(func(t *testing.T, file string, d uint8) {
		all, junk := readAll(t, file, Dialect(d%5))
		total := junk
		for _, m := range all {
			total += int64(len(m.content))
		}
		if total > int64(len(file)) {
			t.Errorf("%d octets of %d", total, len(file))
		}
	})
}

// FuzzRoundTrip writes two messages and reads them again.
func FuzzRoundTrip(f *testing.F) {
	f.Add("Subject: x\r\n\r\nFrom me\r\n>From you\r\n", "A: b\r\n\r\n\r\n", uint8(5))
	f.Fuzz(func(t *testing.T, one, two string, flags uint8) {
		facts := Facts{Date: time.Date(2021, 1, 5, 12, 0, 0, 0, time.UTC), Flags: mail.Flags(flags & 31), Keywords: []string{"k"}}
		var b bytes.Buffer
		w := NewWriter(&b)
		var want []string
		for _, s := range []string{one, two} {
			s = "Message-ID: <x>\n\n" + strings.ReplaceAll(s, "\r", "") // a header that holds no facts
			if err := w.Add(facts, strings.NewReader(strings.ReplaceAll(s, "\n", "\r\n"))); err != nil {
				t.Fatal(err)
			}
			want = append(want, strings.TrimSuffix(s, "\n")+"\n")
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		all, junk := readAll(t, b.String(), MboxRD)
		if len(all) != 2 || junk != 0 {
			t.Fatalf("%d messages, junk %d, of %q", len(all), junk, b.String())
		}
		for i, m := range all {
			if m.content != want[i] {
				t.Errorf("%q became %q", want[i], m.content)
			}
			if facts.Flags != 0 && !strings.Contains(m.facts, facts.Flags.Names()[0]) || !strings.HasSuffix(m.facts, " k") {
				t.Errorf("the facts are %q", m.facts)
			}
		}
	})
}
