package zone

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/testkit/golden"
)

var server = Server{
	Hostname:    "mx.example.test",
	Addresses:   []netip.Addr{netip.MustParseAddr("192.0.2.70"), netip.MustParseAddr("2001:db8::25")},
	NameServers: []mail.Domain{"ns1.example.test", "ns2.example.net"},
	Ports:       map[string]int{"submissions": 465, "imaps": 993, "pop3s": 995, "https": 443},
	TLSA:        []Digest{{3, 1, 1, strings.Repeat("ab", 32)}},
	Issuers:     []Issuer{{Name: "letsencrypt.org", AccountURI: "https://acme.example/1"}},
}

func lines(rrs []dns.RR) string {
	var all []string
	for _, rr := range rrs {
		all = append(all, rr.String()+"\n")
	}
	slices.Sort(all)
	return strings.Join(all, "")
}

func TestDraw(t *testing.T) {
	facts := Facts{
		Domain: "example.test", Keys: []DKIMKey{{"a", "v=DKIM1; k=rsa; p=" + strings.Repeat("M", 392)}},
		STSID: "20261124", TLSRPT: mail.Address{Local: "tls", Domain: "example.test"}, Reports: mail.Address{Local: "dmarc", Domain: "example.test"}, WebRoots: true,
	}
	var b strings.Builder
	b.WriteString("; the domain of the server itself\n" + lines(append(Draw(server, facts), Apex("example.test", "example.test", server, 7)...)))
	facts.Domain = "customer.example"
	b.WriteString("; another domain\n" + lines(Draw(server, facts)))
	b.WriteString("; a domain without mail\n" + lines(Draw(server, Facts{Domain: "parked.example", NoMail: true})))
	for _, zone := range []string{"2.0.192.in-addr.arpa", "64/26.2.0.192.in-addr.arpa", "128-191.2.0.192.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa"} {
		b.WriteString("; " + zone + "\n" + lines(Reverse(zone, server)))
	}
	golden.Check(t, "testdata/drawn.zone", b.String())
}

func TestMerge(t *testing.T) {
	drawn := parse(t, "@ TXT \"v=spf1 mx -all\"\n@ MX 10 mx\nmta-sts CNAME mx\n_dmarc TXT \"v=DMARC1; p=quarantine\"\n@ CAA 0 issue \"a.example\"\n")
	own := parse(t, "@ TXT \"v=spf1 include:other.example -all\"\n@ TXT \"site-verification=1\"\n@ MX 20 backup\nmta-sts A 192.0.2.1\nwww A 192.0.2.1\n")
	got := lines(Merge(drawn, own))
	for _, want := range []string{"include:other.example", "site-verification", "20 backup", "mta-sts.example.test.\t3600\tIN\tA", "p=quarantine", "a.example", "www"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
	for _, not := range []string{"v=spf1 mx", "10 mx", "CNAME"} {
		if strings.Contains(got, not) {
			t.Errorf("%s is still in\n%s", not, got)
		}
	}
}
