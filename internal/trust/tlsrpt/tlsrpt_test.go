package tlsrpt

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

func TestParseRecord(t *testing.T) {
	for _, c := range []struct {
		texts []string
		want  string
	}{
		{[]string{"v=TLSRPTv1; rua=mailto:reports@example.com"}, "mailto:reports@example.com"},
		{[]string{"v=TLSRPTv1;rua=mailto:a@b.test , https://c.test/v1;"}, "mailto:a@b.test https://c.test/v1"},
		{[]string{"v=TLSRPTv1; later=x; rua=https://c.test/v1"}, "https://c.test/v1"},
		{[]string{"v=TLSRPTv1; rua=mailto:a@b.test", "v=TLSRPTv1; rua=mailto:c@b.test"}, ""}, // RFC 8460 §3
		{[]string{"other", "v=TLSRPTv1; rua=mailto:a@b.test"}, "mailto:a@b.test"},
		{[]string{"v=TLSRPTv1"}, ""},
		{[]string{"v=TLSRPTv12; rua=mailto:a@b.test"}, ""},
		{[]string{"v=TLSRPTv1; rua=http://c.test/, ftp://x.test, mailto:nobody"}, ""},
		{[]string{"v=TLSRPTv1; rua=https://user:pw@c.test/"}, ""},
		{nil, ""},
	} {
		var got []string
		for _, u := range ParseRecord(c.texts) {
			got = append(got, u.String())
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%q: %q, want %q", c.texts, s, c.want)
		}
	}
}

// example is RFC 8460's own, from appendix B, in the main.
const example = `{"organization-name":"Company-X","date-range":{"start-datetime":"2016-04-01T00:00:00Z","end-datetime":"2016-04-01T23:59:59Z"},
"contact-info":"sts-reporting@company-x.example","report-id":"5065427c-23d3-47ca-b6e0-946ea0e8c4be",
"policies":[{"policy":{"policy-type":"sts","policy-string":["version: STSv1","mode: testing","mx: *.mail.company-y.example","max_age: 86400"],
"policy-domain":"company-y.example","mx-host":"*.mail.company-y.example"},
"summary":{"total-successful-session-count":5326,"total-failure-session-count":303},
"failure-details":[{"result-type":"certificate-expired","sending-mta-ip":"2001:db8:abcd:0012::1","receiving-mx-hostname":"mx1.mail.company-y.example","failed-session-count":100},
{"result-type":"starttls-not-supported","sending-mta-ip":"2001:db8:abcd:0013::1","receiving-mx-hostname":"mx2.mail.company-y.example","receiving-ip":"203.0.113.56","failed-session-count":200,
"additional-information":"https://reports.company-x.example/report_info?id=5065427c-23d3#StarttlsNotSupported"}]}]}`

func TestReport(t *testing.T) {
	r, err := Parse([]byte(example))
	if err != nil || len(r.Policies) != 1 {
		t.Fatal(r, err)
	}
	p := r.Policies[0]
	if p.Policy.Type != STS || p.Successful != 5326 || p.Failed != 303 || len(p.Failures) != 2 || p.Policy.MX[0] != "*.mail.company-y.example" ||
		p.Failures[0].Result != Expired || p.Failures[1].Receiving != netip.MustParseAddr("203.0.113.56") {
		t.Errorf("%+v", p)
	}
	b, err := r.Marshal()
	if err != nil || !strings.Contains(string(b), `"mx-host":["*.mail.company-y.example"]`) {
		t.Errorf("%s, %v", b, err)
	}
	if again, err := Parse(b); err != nil || !reflect.DeepEqual(again, r) {
		t.Errorf("%+v, %v", again, err)
	}
	for _, bad := range []string{"", "[]", "{}", `{"report-id":"x","policies":[{"policy":{"policy-domain":"a b"}}]}`, `{"report-id":"x","date-range":{"start-datetime":"yesterday"}}`} {
		if _, err := Parse([]byte(bad)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestSummary(t *testing.T) {
	var a, b Summary
	f := Failure{Result: Expired, Host: "mx.test"}
	a.Add(Failure{}, 3)
	a.Add(f, 1)
	a.Add(f, 1)
	b.Add(f, 2)
	b.Add(Failure{Result: NoSTARTTLS}, 1)
	b.Failed += 5 // more kinds than are told apart
	a.Merge(b)
	if a.Successful != 3 || a.Failed != 10 || len(a.Failures) != 2 || a.Failures[0].Sessions != 4 {
		t.Errorf("%+v", a)
	}
	for i := range 2 * maxKinds {
		a.Add(Failure{Result: Validation, Reason: fmt.Sprint(i)}, 1)
	}
	if len(a.Failures) != maxKinds || a.Failed != 10+2*maxKinds {
		t.Errorf("%d kinds, %d failures", len(a.Failures), a.Failed)
	}
	a.Policy = Policy{Type: TLSA, Domain: "a.test", Text: []string{"3 1 1 00"}}
	text, err := a.MarshalJSON()
	var again Summary
	if err != nil || again.UnmarshalJSON(text) != nil || !reflect.DeepEqual(again, a) {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestClassify(t *testing.T) {
	c := &x509.Certificate{}
	for want, err := range map[Result]error{
		HostMismatch: fmt.Errorf("x: %w", &tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: c, Host: "a"}}),
		Expired:      x509.CertificateInvalidError{Cert: c, Reason: x509.Expired},
		NotTrusted:   &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{Cert: c}},
		Validation:   errors.New("no TLSA record matches"),
	} {
		if got, why := Classify(err); got != want || why == "" {
			t.Errorf("%v: %s, %s", err, got, why)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("v=TLSRPTv1; rua=mailto:a@b.test,https://c.test"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, u := range ParseRecord([]string{string(b)}) {
			if u.Scheme != "https" && u.Scheme != "mailto" {
				t.Errorf("%s", u)
			}
		}
		r, err := Parse(b)
		if err != nil {
			return
		}
		if y := r.From.Year(); y < 0 || y > 9999 || r.Until.Year() > 9999 || r.Until.Before(time.Time{}) {
			return
		}
		text, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	})
}
