package inspect

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

var errDown = errors.New("nobody is there")

// inspect looks at example.org in a zone; hosts are not reached.
func inspect(zone string, policy string, secure bool) Report {
	r := dnstest.New(zone)
	if secure {
		r.Secure()
	}
	return Domain(context.Background(), "example.org", Options{
		Resolver: r, Port: 25, Lists: Lists()[:1], Selector: []string{"mine"},
		Dial: func(context.Context, string, smtpc.Options) (*smtpc.Conn, error) { return nil, errDown },
		Fetch: func(context.Context, string, int64) ([]byte, string, error) {
			if policy == "" {
				return nil, "", errDown
			}
			return []byte(policy), "text/plain", nil
		},
	})
}

const whole = `
example.org MX 10 mx.example.org
mx.example.org A 192.0.2.25
mx.example.org AAAA 2001:db8::25
25.2.0.192.in-addr.arpa PTR mx.example.org
example.org TXT v=spf1 mx -all
_dmarc.example.org TXT v=DMARC1; p=reject; rua=mailto:a@example.org
_mta-sts.example.org TXT v=STSv1; id=1
_smtp._tls.example.org TXT v=TLSRPTv1; rua=mailto:a@example.org
`

const enforced = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 604800\n"

// TestFindings: what is wrong is found, and told with what to do.
func TestFindings(t *testing.T) {
	for _, c := range []struct {
		what, zone, policy string
		want               []string // "level topic: said"
	}{
		{"all well", whole, enforced, []string{
			"good MX: 10 mx.example.org", "warn DNSSEC: the zone is not signed", "good hosts: mx.example.org: 2001:db8::25, 192.0.2.25",
			"good SPF: strangers are refused", "good SPF: 1 of 10", "good DMARC: forgeries are to be refused", "good DMARC: reports go to mailto:a@example.org",
			"good MTA-STS: mail comes by verified TLS", "good TLSRPT: v=TLSRPTv1", "warn TLS: mx.example.org cannot be reached: nobody is there",
			"good reverse names: 192.0.2.25 is mx.example.org", "warn reverse names: 2001:db8::25: the address has no name", "good lists: 192.0.2.25 is not on 1 lists",
			"note DKIM: no key was found", "note CAA: there is no CAA record",
		}},
		{"nothing", "other.org A 192.0.2.1\n", "", []string{"bad MX: example.org does not exist"}},
		{"no mail", "example.org MX 0 .\n", "", []string{"good MX: the domain takes no mail"}},
		{"bare", "example.org A 192.0.2.1\n", "", []string{"warn MX: there is no MX record", "bad SPF: there is no SPF record", "bad DMARC: there is no DMARC record"}},
		{"bogus", "example.org BOGUS\n", "", []string{"bad MX: "}},
		{"two policies", whole + "example.org TXT v=spf1 -all\n", enforced, []string{"bad SPF: there are 2 SPF records"}},
		{"anybody", strings.Replace(whole, "mx -all", "+all", 1), enforced, []string{"bad SPF: any address passes"}},
		{"too many", strings.Replace(whole, "mx -all", "mx a:a a:b a:c a:d a:e a:f a:g a:h a:i a:j -all", 1), enforced, []string{"bad SPF: it cannot be evaluated"}},
		{"policy without host", whole, strings.Replace(enforced, "mx.example", "mail.example", 1), []string{"bad MTA-STS: the policy does not name the mail host mx.example.org"}},
		{"no policy file", whole, "", []string{"bad MTA-STS: the policy cannot be fetched"}},
		{"no address", "example.org MX 10 gone.example.org\n", "", []string{"bad hosts: gone.example.org has no address"}},
		{"private", "example.org MX 10 mx.example.org\nmx.example.org A 10.0.0.1\n", "", []string{"bad hosts: mx.example.org has the address 10.0.0.1"}},
		{"alias", "example.org MX 10 mx.example.org\nmx.example.org CNAME real.example.org\nreal.example.org A 192.0.2.1\n", "", []string{"warn MX: mx.example.org is an alias of real.example.org"}},
		{"listed", whole + "25.2.0.192.zen.spamhaus.org A 127.0.0.2\n25.2.0.192.zen.spamhaus.org TXT listed\n", enforced, []string{"bad lists: 192.0.2.25 is on zen.spamhaus.org: listed"}},
		{"weak key", whole + "mine._domainkey.example.org TXT v=DKIM1; p=" + weak + "\n", enforced, []string{"warn DKIM: mine: a key of 1024 bits is weak"}},
	} {
		r := inspect(c.zone, c.policy, false)
		var all []string
		for _, f := range r.Findings {
			all = append(all, f.Level.String()+" "+f.Topic+": "+f.Said)
			if f.Level >= Warn && f.Mend == "" {
				t.Errorf("%s: %q has no advice", c.what, f.Said)
			}
		}
		text := strings.Join(all, "\n")
		for _, want := range c.want {
			if !strings.Contains("\n"+text, "\n"+want) {
				t.Errorf("%s: %q is not among\n%s", c.what, want, text)
			}
		}
	}
	if r := inspect(whole, enforced, true); r.Worst() != Warn || r.Findings[1].Said != "the zone is signed, and its parent vouches for it" {
		t.Errorf("a signed zone: %v %+v", r.Worst(), r.Findings[1])
	}
}

// weak is an RSA key of 1024 bits.
const weak = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"

// TestSilent: a DNS that does not answer makes nothing bad.
func TestSilent(t *testing.T) {
	r := Domain(context.Background(), "example.org", Options{
		Resolver: silent{}, Port: 25, Lists: Lists(),
		Dial:  func(context.Context, string, smtpc.Options) (*smtpc.Conn, error) { return nil, errDown },
		Fetch: func(context.Context, string, int64) ([]byte, string, error) { return nil, "", errDown },
	})
	for _, f := range r.Findings {
		if f.Level > Note || !strings.Contains(f.Said, "it cannot be told") {
			t.Errorf("%s: %s", f.Topic, f.Said)
		}
	}
}

type silent struct{}

func (silent) Lookup(context.Context, string, dns.Type) (dns.Answer, error) {
	return dns.Answer{}, dns.ErrServer
}
