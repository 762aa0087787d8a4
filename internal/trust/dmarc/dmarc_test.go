package dmarc

import (
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

// TestOrganizational is the examples of RFC 9989 §4.10 and §B.4.
func TestOrganizational(t *testing.T) {
	const deep = "a.b.c.d.e.f.g.h.i.j.k.example.com"
	for _, c := range []struct{ zone, domain, want, asked string }{
		{"_dmarc.mail.example.com TXT v=DMARC1; p=none\n_dmarc.example.com TXT v=DMARC1; p=none", "a.mail.example.com", "example.com",
			"_dmarc.a.mail.example.com _dmarc.mail.example.com _dmarc.example.com _dmarc.com"},
		{"_dmarc.mail.example.com TXT v=DMARC1; p=none; psd=n\n_dmarc.example.com TXT v=DMARC1; p=none", "a.mail.example.com", "mail.example.com",
			"_dmarc.a.mail.example.com _dmarc.mail.example.com"},
		{"_dmarc.com TXT v=DMARC1; p=none; psd=y", "a.mail.example.com", "example.com",
			"_dmarc.a.mail.example.com _dmarc.mail.example.com _dmarc.example.com _dmarc.com"},
		{"_dmarc.example.com TXT v=DMARC1; p=none\n_dmarc.signing.example.com TXT v=DMARC1; p=none", "signing.example.com", "example.com",
			"_dmarc.signing.example.com _dmarc.example.com _dmarc.com"},
		{"_dmarc.example.com TXT v=DMARC1; p=none", deep, "example.com", "_dmarc." + deep + " _dmarc.g.h.i.j.k.example.com _dmarc.h.i.j.k.example.com " +
			"_dmarc.i.j.k.example.com _dmarc.j.k.example.com _dmarc.k.example.com _dmarc.example.com _dmarc.com"},
		{"_dmarc.bank.example TXT v=DMARC1; p=reject; psd=y", "mail.mega.bank.example", "mega.bank.example",
			"_dmarc.mail.mega.bank.example _dmarc.mega.bank.example _dmarc.bank.example"},
		{"_dmarc.bank.example TXT v=DMARC1; p=reject; psd=y", "bank.example", "bank.example", "_dmarc.bank.example"},
		{"", "a.b.test", "a.b.test", "_dmarc.a.b.test _dmarc.b.test _dmarc.test"},
	} {
		r := dnstest.New(c.zone)
		w := &walker{ctx: t.Context(), r: r, known: map[string]*Record{}}
		got, err := w.organizational(c.domain)
		asked := strings.ReplaceAll(strings.Join(r.Asked(), " "), " TXT", "")
		if got != c.want || err != nil || asked != c.asked {
			t.Errorf("%s: %s, %v, asked %s", c.domain, got, err, asked)
		}
	}
}

// TestCheck is tables drawn from RFC 9989, and what it leaves to us.
func TestCheck(t *testing.T) {
	const zone = `
		_dmarc.example.com         TXT v=DMARC1; p=reject; sp=quarantine; np=reject; rua=mailto:d@example.com
		sub.example.com            A   192.0.2.1
		_dmarc.signing.example.com TXT v=DMARC1; p=none
		_dmarc.strict.test         TXT v=DMARC1; p=reject; adkim=s; aspf=s
		_dmarc.trying.test         TXT v=DMARC1; p=reject; t=y
		_dmarc.trying2.test        TXT v=DMARC1; p=quarantine; t=y
		_dmarc.bank.example        TXT v=DMARC1; p=quarantine; psd=y; np=reject
		_dmarc.giant.bank.example  TXT v=DMARC1; p=reject
		x.mega.bank.example        A   192.0.2.1
		_dmarc.two.test            TXT v=DMARC1; p=reject
		_dmarc.two.test            TXT v=DMARC1; p=none
		_dmarc.odd.test            TXT v=DMARC1; p=perhaps; rua=mailto:d@odd.test
		_dmarc.odder.test          TXT v=DMARC1; p=perhaps
		_dmarc.bare.test           TXT v=DMARC1
		_dmarc.late.test           SERVFAIL
		_dmarc.top.late2.test      TXT v=DMARC1; p=reject
		_dmarc.late2.test          SERVFAIL
		_dmarc.other.test          TXT p=reject; v=DMARC1`
	pass := func(d string) Identifier { return Identifier{Domain: d} }
	maybe := func(d string) Identifier { return Identifier{Domain: d, Unsure: true} }
	for _, c := range []struct {
		name   string
		q      Query
		code   Code
		domain string
		policy Policy
	}{
		{"SPF alone", Query{Authors: []string{"example.com"}, SPF: pass("example.com")}, Pass, "example.com", Reject},
		{"DKIM of a subdomain with a policy (B.4.1)", Query{Authors: []string{"example.com"}, DKIM: []Identifier{pass("signing.example.com")}}, Pass, "example.com", Reject},
		{"nothing", Query{Authors: []string{"example.com"}}, Fail, "example.com", Reject},
		{"others only", Query{Authors: []string{"example.com"}, SPF: pass("evil.test"), DKIM: []Identifier{pass("example.org")}}, Fail, "example.com", Reject},
		{"a subdomain that is there", Query{Authors: []string{"sub.example.com"}}, Fail, "example.com", Quarantine},
		{"a subdomain that is not", Query{Authors: []string{"gone.example.com"}}, Fail, "example.com", Reject},
		{"a subdomain's own policy", Query{Authors: []string{"signing.example.com"}}, Fail, "signing.example.com", None},
		{"a deep author (B.4.2)", Query{Authors: []string{"a.b.c.d.e.f.g.h.i.j.k.example.com"}, SPF: pass("example.com")}, Pass, "example.com", Reject},
		{"strict, and the same", Query{Authors: []string{"strict.test"}, DKIM: []Identifier{pass("strict.test")}}, Pass, "strict.test", Reject},
		{"strict, and below", Query{Authors: []string{"strict.test"}, SPF: pass("m.strict.test"), DKIM: []Identifier{pass("m.strict.test")}}, Fail, "strict.test", Reject},
		{"reject, on trial", Query{Authors: []string{"trying.test"}}, Fail, "trying.test", Quarantine},
		{"quarantine, on trial", Query{Authors: []string{"trying2.test"}}, Fail, "trying2.test", None},
		{"below a public suffix (B.4.3)", Query{Authors: []string{"giant.bank.example"}, SPF: pass("mail.giant.bank.example"), DKIM: []Identifier{pass("mail.mega.bank.example")}}, Pass, "giant.bank.example", Reject},
		{"a sibling below a public suffix (B.4.3)", Query{Authors: []string{"giant.bank.example"}, DKIM: []Identifier{pass("mail.mega.bank.example")}}, Fail, "giant.bank.example", Reject},
		{"the policy of the public suffix", Query{Authors: []string{"mega.bank.example"}}, Fail, "bank.example", Quarantine},
		{"nobody below the public suffix", Query{Authors: []string{"tiny.bank.example"}}, Fail, "bank.example", Reject},
		{"no policy", Query{Authors: []string{"none.test"}, SPF: pass("none.test")}, Absent, "", ""},
		{"two policies", Query{Authors: []string{"two.test"}}, Absent, "", ""},
		{"a policy that is none", Query{Authors: []string{"odd.test"}}, Fail, "odd.test", None},
		{"and no reports", Query{Authors: []string{"odder.test"}}, Absent, "odder.test", ""},
		{"a version and nothing more", Query{Authors: []string{"bare.test"}}, Absent, "bare.test", ""},
		{"the version is not first", Query{Authors: []string{"other.test"}}, Absent, "", ""},
		{"no answer", Query{Authors: []string{"late.test"}, SPF: pass("late.test")}, TempError, "", ""},
		{"its own policy, and no answer above", Query{Authors: []string{"top.late2.test"}}, Fail, "top.late2.test", Reject},
		{"nor for who is aligned", Query{Authors: []string{"top.late2.test"}, SPF: pass("m.top.late2.test")}, TempError, "top.late2.test", Reject},
		{"SPF not known", Query{Authors: []string{"example.com"}, SPF: maybe("example.com")}, TempError, "example.com", Reject},
		{"SPF not known, of another", Query{Authors: []string{"example.com"}, SPF: maybe("evil.test")}, Fail, "example.com", Reject},
		{"SPF not known, DKIM passes", Query{Authors: []string{"example.com"}, SPF: maybe("example.com"), DKIM: []Identifier{pass("example.com")}}, Pass, "example.com", Reject},
		{"a key not known", Query{Authors: []string{"example.com"}, DKIM: []Identifier{maybe("m.example.com")}}, TempError, "example.com", Reject},
		{"no author", Query{}, PermError, "", ""},
		{"many authors", Query{Authors: []string{"a.test", "b.test", "c.test", "d.test"}}, PermError, "", ""},
		{"two authors, one forged", Query{Authors: []string{"evil.test", "example.com"}, SPF: pass("evil.test")}, Fail, "example.com", Reject},
		{"two authors, one without policy", Query{Authors: []string{"example.com", "evil.test"}, SPF: pass("example.com")}, Absent, "", ""},
		{"a literal", Query{Authors: []string{"[192.0.2.1]"}}, PermError, "", ""},
		{"upper case and U-labels", Query{Authors: []string{"EXAMPLE.com"}, SPF: pass("Example.COM")}, Pass, "example.com", Reject},
	} {
		got := Check(t.Context(), dnstest.New(zone), c.q)
		if got.Code != c.code || got.Domain != c.domain || got.Policy != c.policy {
			t.Errorf("%s: %s %q %q (%s)", c.name, got.Code, got.Domain, got.Policy, got.Problem)
		}
	}
}

// TestRecord reads what is written in the field.
func TestRecord(t *testing.T) {
	r := Parse("v = DMARC1 ;P=Reject; sp=none;np=quarantine; adkim=s; aspf=r; fo=1:d; pct=50; rua=mailto:a@x.test!10m, https://x.test/d,,nonsense; ruf=mailto:f@x.test; psd=n; t=y; p=none;")
	if r == nil || r.P != Reject || r.SP != None || r.NP != Quarantine || !r.StrictDKIM || r.StrictSPF || r.Failure != "1:d" || r.PSD != 'n' || !r.Testing ||
		strings.Join(r.Aggregate, " ") != "mailto:a@x.test https://x.test/d" || strings.Join(r.Failures, " ") != "mailto:f@x.test" {
		t.Errorf("%+v", r)
	}
	for _, text := range []string{"", "v=spf1 -all", "v=dmarc1; p=none", "v=DMARC2; p=none", "p=none; v=DMARC1", "DMARC1"} {
		if Parse(text) != nil {
			t.Errorf("%q is a record", text)
		}
	}
}

// FuzzParse sees that nothing breaks the reader, and that a policy is one of three.
func FuzzParse(f *testing.F) {
	f.Add("v=DMARC1; p=reject; rua=mailto:a@b.test!10m", "a.b.c.test")
	f.Fuzz(func(t *testing.T, text, domain string) {
		r := Parse(text)
		if r == nil {
			return
		}
		for _, own := range []bool{true, false} {
			if p := r.policyFor(own, own); r.applies() && p.weight() == 0 && p != None {
				t.Errorf("%q: policy %q", text, p)
			}
		}
		Check(t.Context(), dnstest.New("_dmarc.test TXT v=DMARC1; p=none; psd=y"), Query{Authors: []string{domain}, SPF: Identifier{Domain: "a." + domain}})
	})
}
