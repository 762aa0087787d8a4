package webd

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestWellKnown: what programs ask for by fixed paths is there for our domains, at
// their hosts, and for no other's.
func TestWellKnown(t *testing.T) {
	s := New(Options{
		Hostname: "mx.example.test", TLS: &tls.Config{}, Doors: []Door{{"imaps", 993}, {"submissions", 465}, {"imap", 143}},
		Site: func(_ context.Context, domain string) (Site, bool) {
			switch domain {
			case "example.test":
				return Site{domain, "version: STSv1\r\n"}, true
			case "bare.test":
				return Site{Domain: domain}, true
			}
			return Site{}, false
		},
	})
	for _, c := range []struct {
		method, url, body string
		status            int
		want              string
	}{
		{"GET", "https://mta-sts.example.test/.well-known/mta-sts.txt", "", 200, "version: STSv1\r\n"},
		{"GET", "https://MTA-STS.Example.Test/.well-known/mta-sts.txt", "", 200, "version: STSv1\r\n"},
		{"GET", "https://mta-sts.bare.test/.well-known/mta-sts.txt", "", 404, "no policy"},
		{"GET", "https://mta-sts.other.test/.well-known/mta-sts.txt", "", 404, "nothing"},
		{"GET", "https://example.test/.well-known/mta-sts.txt", "", 404, "nothing"},
		{"GET", "https://autoconfig.example.test/mail/config-v1.1.xml?emailaddress=a@example.test", "", 200, "<port>993</port>"},
		{"GET", "https://example.test/.well-known/autoconfig/mail/config-v1.1.xml", "", 200, `<outgoingServer type="smtp">`},
		{"GET", "https://autoconfig.other.test/mail/config-v1.1.xml", "", 404, "nothing"},
		{"POST", "https://autodiscover.example.test/autodiscover/autodiscover.xml", "<Autodiscover><Request><EMailAddress>a&amp;b@example.test</EMailAddress></Request></Autodiscover>", 200, "<LoginName>a&amp;b@example.test</LoginName>"},
		{"POST", "https://autodiscover.example.test/Autodiscover/Autodiscover.xml", "<Autodiscover><Request><EMailAddress>a@other.test</EMailAddress></Request></Autodiscover>", 404, "nothing"},
		{"POST", "https://autodiscover.example.test/autodiscover/autodiscover.xml", strings.Repeat("x", maxAutodiscover+1), 400, "no question"},
	} {
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, httptest.NewRequest(c.method, c.url, strings.NewReader(c.body)))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.url, w.Code, w.Body)
		}
		if w.Code == http.StatusOK && strings.Contains(w.Header().Get("Content-Type"), "xml") {
			var any struct{}
			if err := xml.Unmarshal(w.Body.Bytes(), &any); err != nil {
				t.Errorf("%s: %v", c.url, err)
			}
		}
	}
}
