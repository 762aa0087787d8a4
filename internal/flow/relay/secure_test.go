package relay

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/policies"
	"github.com/ekiden-mail/ekiden/internal/trust/mtasts"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

// key names the key of a host's certificate as a TLSA record does.
func key(t *testing.T, c *tls.Config) string {
	t.Helper()
	return fmt.Sprintf("030101%x", sha256.Sum256(parsed(t, c).RawSubjectPublicKeyInfo))
}

func parsed(t *testing.T, c *tls.Config) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(c.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestSecure: who gets a message by what its domain demands, and what is counted
// for the domain. mx1 is preferred to mx2.
func TestSecure(t *testing.T) {
	good, pool := certificate(t, "mx1.y.test", "mx2.y.test")
	bad, _ := certificate(t, "mx1.y.test", "mx2.y.test")
	other, _ := certificate(t, "evil.test")
	pool.AddCert(parsed(t, other))
	const enforce, trial = mtasts.Enforce, mtasts.Testing
	for _, c := range []struct {
		name       string
		mode       mtasts.Mode // None: no policy
		mx         string      // of the policy
		dane       *tls.Config // both hosts are to have its key
		mx1, mx2   *tls.Config // nil: no STARTTLS
		lax, bound bool        // TLS-Required: No; REQUIRETLS
		want       string      // who got it, or the status that it waits with
		counted    string
	}{
		{"nothing, in clear", 0, "", nil, nil, nil, false, false, "mx1", "no-policy-found starttls-not-supported"},
		{"nothing, any certificate", 0, "", nil, bad, nil, false, false, "mx1", "no-policy-found ok"},
		{"STS", enforce, "*.y.test", nil, good, good, false, false, "mx1", "sts ok"},
		{"STS, the second host is better", enforce, "*.y.test", nil, bad, good, false, false, "mx2", "sts certificate-not-trusted, sts ok"},
		{"STS, another's certificate", enforce, "*.y.test", nil, other, other, false, false, "4.7.5", "sts certificate-host-mismatch, sts certificate-host-mismatch"},
		{"STS, in clear", enforce, "*.y.test", nil, nil, nil, false, false, "4.7.5", "sts starttls-not-supported, sts starttls-not-supported"},
		{"STS, for the second host alone", enforce, "mx2.y.test", nil, good, good, false, false, "mx2", "sts validation-failure, sts ok"},
		{"STS, testing", trial, "*.y.test", nil, bad, good, false, false, "mx1", "sts certificate-not-trusted"},
		{"STS, testing, in clear", trial, "*.y.test", nil, nil, good, false, false, "mx1", "sts starttls-not-supported"},
		{"STS, waived", enforce, "mx2.y.test", nil, bad, good, true, false, "mx1", "sts validation-failure"},
		{"STS vouches for REQUIRETLS", enforce, "*.y.test", nil, good, good, false, true, "mx1", "sts ok"},
		{"testing does not", trial, "*.y.test", nil, good, good, false, true, "returned", ""},
		{"DANE", 0, "", bad, bad, bad, false, false, "mx1", "tlsa ok"},
		{"DANE, the second host is better", 0, "", bad, good, bad, false, false, "mx2", "tlsa validation-failure, tlsa ok"},
		{"DANE, in clear", 0, "", bad, nil, nil, false, false, "4.7.5", "tlsa starttls-not-supported, tlsa starttls-not-supported"},
		{"DANE before STS", enforce, "mx3.y.test", bad, bad, bad, false, false, "mx1", "tlsa ok"},
		{"STS does not make good what DANE finds", enforce, "*.y.test", bad, good, good, false, false, "4.7.5", "tlsa validation-failure, tlsa validation-failure"},
		{"DANE, waived", 0, "", bad, nil, nil, true, false, "mx1", ""},
		{"DANE, REQUIRETLS", 0, "", bad, bad, bad, false, true, "mx1", "tlsa ok"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t)
			b.o.RootCAs = pool
			counted := b.counts()
			records := zone
			if c.dane != nil {
				records += fmt.Sprintf("_25._tcp.mx1.y.test TLSA %[1]s\n_25._tcp.mx2.y.test TLSA %[1]s\n", key(t, c.dane))
			}
			dns := dnstest.New(records)
			if c.dane != nil {
				dns.Secure()
			}
			b.o.Router = route.New(route.Options{Resolver: dns, AllowPrivate: true, Hostname: "me.test", Policy: func(context.Context, mail.Domain) policies.Known {
				if c.mode == mtasts.None {
					return policies.Known{}
				}
				return policies.Known{Policy: mtasts.Policy{Mode: c.mode, MX: []string{c.mx}, MaxAge: time.Hour}, Fetched: time.Now()}
			}})
			var hosts []*host
			for i, config := range []*tls.Config{c.mx1, c.mx2} {
				h := &host{tls: config, clear: config == nil, ext: []string{"REQUIRETLS"}}
				b.net.add(fmt.Sprintf("192.0.2.%d:25", i+1), h)
				hosts = append(hosts, h)
			}
			stop := b.run()
			b.demand(1, mail.Demands{TLSOptional: c.lax}, c.bound, "alice@home.test", "b@y.test")
			eventually(t, "settled", func() bool { return b.waiting() != "b@y.test 0 attempts" })
			stop()
			got := b.outcome()
			for i, h := range hosts {
				if h.said() != "" && b.waiting() == "" {
					got = fmt.Sprintf("mx%d", i+1)
				}
			}
			if s := strings.Join(*counted, ", "); got != c.want || s != c.counted {
				t.Errorf("%s, counted %s", got, s)
			}
		})
	}
}

// counts gives a list of what is counted.
func (b *bed) counts() *[]string {
	var mu sync.Mutex
	counted := &[]string{}
	b.o.Observe = func(s route.Session) {
		mu.Lock()
		defer mu.Unlock()
		*counted = append(*counted, string(s.Policy.Type)+" "+or(string(s.Failure.Result), "ok"))
	}
	return counted
}

// outcome is the status with which a message waits, or that it came back.
func (b *bed) outcome() string {
	for line := range strings.Lines(b.events.take()) {
		if words := strings.Fields(line); slices.Contains(words, "deferred:") {
			return words[5]
		}
	}
	return "returned"
}

// TestWaives: a message that need not go over TLS is not held up by one that must.
func TestWaives(t *testing.T) {
	play(t, func(b *bed) {
		for _, a := range []string{"192.0.2.1:25", "192.0.2.2:25"} {
			b.net.add(a, &host{clear: true})
		}
		dns := dnstest.New(zone)
		b.o.Router = route.New(route.Options{Resolver: dns, AllowPrivate: true, Hostname: "me.test", Policy: func(context.Context, mail.Domain) policies.Known {
			return policies.Known{Policy: mtasts.Policy{Mode: mtasts.Enforce, MX: []string{"*.y.test"}, MaxAge: time.Hour}, Fetched: time.Now()}
		}})
		defer b.run()()
		b.demand(1, mail.Demands{}, false, "alice@home.test", "strict@y.test")
		synctest.Wait()
		b.demand(2, mail.Demands{TLSOptional: true}, false, "alice@home.test", "lax@y.test")
		synctest.Wait()
		b.demand(3, mail.Demands{}, false, "alice@home.test", "strict2@y.test") // not over the line that stands open
		synctest.Wait()
		b.want("queue", b.waiting(), "strict@y.test 1 attempts; strict2@y.test 1 attempts")
	})
}
