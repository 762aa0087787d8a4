package dmarc

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

// suffixes is the Public Suffix List, by which RFC 7489 §3.2 found organizational
// domains. It is here to compare with.
type suffixes map[string]bool

func readSuffixes(t *testing.T) suffixes {
	t.Helper()
	text, err := os.ReadFile("../../../test/vectors/psl/public_suffix_list.dat")
	if err != nil {
		t.Fatal(err)
	}
	s := suffixes{}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			s[inASCII(line)] = true
		}
	}
	return s
}

// inASCII is a rule or a name in A-labels.
func inASCII(rule string) string {
	mark := ""
	for _, m := range []string{"!", "*."} {
		if strings.HasPrefix(rule, m) {
			mark, rule = m, rule[len(m):]
		}
	}
	if d, err := mail.ParseDomain(rule); err == nil {
		rule = string(d)
	}
	return mark + rule
}

// organizational is the registrable domain of a name; "" if it is a suffix itself.
func (s suffixes) organizational(name string) string {
	labels := strings.Split(name, ".")
	n := 1 // labels of the suffix; the rule for names that no rule is about is *
	for i := range labels {
		rest := strings.Join(labels[i:], ".")
		_, parent, _ := strings.Cut(rest, ".")
		switch k := len(labels) - i; {
		case s["!"+rest]:
			n = k - 1
		case s[rest], s["*."+parent]:
			n = k
		default:
			continue
		}
		break
	}
	if n >= len(labels) {
		return ""
	}
	return strings.Join(labels[len(labels)-n-1:], ".")
}

// TestSuffixes runs the list's own cases.
func TestSuffixes(t *testing.T) {
	s := readSuffixes(t)
	text, err := os.ReadFile("../../../test/vectors/psl/tests.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 2 || strings.HasPrefix(line, "//") || f[0] == "null" || strings.HasPrefix(f[0], ".") {
			continue
		}
		n++
		want := inASCII(f[1])
		if f[1] == "null" {
			want = ""
		}
		if got := s.organizational(inASCII(f[0])); got != want {
			t.Errorf("%s: %q, want %q", f[0], got, want)
		}
	}
	if n < 70 {
		t.Errorf("only %d cases", n)
	}
}

// TestAgainstSuffixes sees where the tree walk comes to what the list said before:
// for whoever has a policy at the registered domain, and only there.
func TestAgainstSuffixes(t *testing.T) {
	s := readSuffixes(t)
	for _, name := range []string{"a.example.com", "a.b.example.co.uk", "mail.city.kawasaki.jp", "www.example.kobe.jp", "x.y.example.co.jp", "example.org"} {
		org := s.organizational(name)
		w := &walker{ctx: t.Context(), r: dnstest.New("_dmarc." + org + " TXT v=DMARC1; p=none"), known: map[string]*Record{}}
		if got, err := w.organizational(name); got != org || err != nil {
			t.Errorf("%s: %s, %v; the list says %s", name, got, err, org)
		}
	}
	// Where they differ: a policy below the registered domain makes a domain of its own.
	r := dnstest.New("_dmarc.dept.example.ac.jp TXT v=DMARC1; p=none; psd=n")
	w := &walker{ctx: t.Context(), r: r, known: map[string]*Record{}}
	got, _ := w.organizational("a.dept.example.ac.jp")
	if before := s.organizational("a.dept.example.ac.jp"); got != "dept.example.ac.jp" || before != "example.ac.jp" || !slices.Contains(r.Asked(), "_dmarc.dept.example.ac.jp TXT") {
		t.Errorf("%s, and %s by the list", got, before)
	}
}
