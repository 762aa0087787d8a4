package relay

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

// demand puts a message into the queue that demands something of its way.
func (b *bed) demand(n int, d mail.Demands, requireTLS bool, from string, to ...string) mail.ArrivalID {
	b.Helper()
	h, err := b.o.Blobs.Put(context.Background(), []byte(or(b.demanded, "Subject: s\r\n\r\n.hello\r\n")))
	b.must(err)
	m := queue.Message{ID: mail.ArrivalID{byte(n), 1}, At: time.Now(), Size: h.Size(), From: address(from), Demands: d, RequireTLS: requireTLS}
	var ds []queue.Delivery
	for i, r := range to {
		ds = append(ds, queue.Delivery{N: uint32(i), To: address(r)})
	}
	b.must(b.db.Update(context.Background(), []kv.Shard{kv.PartitionShard(m.ID)}, func(tx kv.Tx) error { return b.o.Queue.Add(tx, m, h, ds) }))
	return m.ID
}

// said lists MAIL commands that a host heard.
func (h *host) said() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for _, c := range h.command {
		if strings.HasPrefix(c, "MAIL") {
			all = append(all, c)
		}
	}
	return strings.Join(all, "; ")
}

// TestDeliverBy is RFC 2852 §4.1: what cannot be there in time comes back, or its
// sender hears that it is late, and of each relay where it wants to.
func TestDeliverBy(t *testing.T) {
	const mx1 = "mx1.y.test"
	for _, c := range []struct {
		name   string
		by     mail.DeliverBy // At is set from after
		after  time.Duration
		host   *host // nil: cannot be reached
		wait   time.Duration
		events string // the last ones
		inbox  string
	}{
		{"R, taken", mail.DeliverBy{Return: true}, time.Hour, &host{ext: []string{"DELIVERBY 60", "DSN"}}, 0, "delivered: " + mx1 + " 250 2.0.0 taken", ""},
		{"R, not promised", mail.DeliverBy{Return: true}, time.Hour, &host{}, 0, "reported failed to alice@home.test", "failed, 5.3.3"},
		{"R, promised too late", mail.DeliverBy{Return: true}, time.Minute, &host{ext: []string{"DELIVERBY 120"}}, 0, "reported failed to alice@home.test", "failed, 5.4.7"},
		{"R, not in time", mail.DeliverBy{Return: true}, 20 * time.Minute, nil, 21 * time.Minute, "reported failed to alice@home.test", "failed, 5.4.7"},
		{"N, not in time", mail.DeliverBy{}, 20 * time.Minute, nil, 21 * time.Minute, "reported delayed to alice@home.test", "delayed, 4.4.7"},
		{"N, to who does not know it", mail.DeliverBy{}, time.Hour, &host{}, 0, "reported relayed to alice@home.test", "relayed, 2.0.0"},
		{"N, to who does not know it, late", mail.DeliverBy{}, -time.Hour, &host{}, 0, "delivered: " + mx1 + " 250 2.0.0 taken", ""},
		{"traced", mail.DeliverBy{Return: true, Trace: true}, time.Hour, &host{ext: []string{"DELIVERBY", "DSN"}}, 0, "reported relayed to alice@home.test", "relayed, 2.0.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(b *bed) {
				if c.host != nil {
					b.net.add("192.0.2.1:25", c.host)
				}
				defer b.run()()
				c.by.At = time.Now().Add(c.after)
				b.demand(1, mail.Demands{By: c.by}, false, "alice@home.test", "b@y.test")
				synctest.Wait()
				time.Sleep(c.wait)
				synctest.Wait()
				events := b.events.take()
				if !strings.HasSuffix(events, c.events) || strings.Count(events, "reported") != strings.Count(c.events, "reported") {
					b.Errorf("%s", events)
				}
				if inbox := strings.Join(b.inbox(), "; "); !strings.Contains(inbox, c.inbox) || c.inbox == "" && inbox != "" {
					b.Errorf("%s", inbox)
				}
			})
		})
	}
}

// TestRemainingBy: the next hop is told what is left of the time.
func TestRemainingBy(t *testing.T) {
	play(t, func(b *bed) {
		b.o.Policy.RetryFirst = 2 * time.Minute
		h := b.net.add("192.0.2.1:25", &host{ext: []string{"DELIVERBY"}, any: "450 4.2.0 later"})
		defer b.run()()
		b.demand(1, mail.Demands{By: mail.DeliverBy{At: time.Now().Add(4 * time.Minute), Return: true}}, false, "alice@home.test", "b@y.test")
		synctest.Wait()
		h.set(func(h *host) { h.any = "" })
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		words := h.said()
		var first, second int
		if _, err := fmt.Sscanf(words, "MAIL FROM:<alice@home.test> BY=%d;R; MAIL FROM:<alice@home.test> BY=%d;R", &first, &second); err != nil || first < 238 || second > 150 || second < 90 {
			b.Errorf("%s: %v", words, err)
		}
	})
}

// TestBinary: a binary message goes as base64 where the next hop knows nothing of
// it (RFC 3030 §3).
func TestBinary(t *testing.T) {
	play(t, func(b *bed) {
		h := b.net.add("192.0.2.1:25", &host{})
		defer b.run()()
		b.demanded = "Subject: s\r\n\r\n\n.\n"
		b.demand(1, mail.Demands{Binary: true}, false, "alice@home.test", "b@y.test")
		synctest.Wait()
		b.want("taken", strings.Join(h.contents, ""), "Content-Transfer-Encoding: base64\r\nSubject: s\r\n\r\nCi4K\r\n")
		b.want("said", h.said(), "MAIL FROM:<alice@home.test> BODY=8BITMIME")
	})
}

// TestPriorities: what is urgent goes before what came before it, over one line
// (RFC 6710 §5.1), and its priority goes along.
func TestPriorities(t *testing.T) {
	play(t, func(b *bed) {
		b.o.Limits.Batches = 1
		h := b.net.add("192.0.2.1:25", &host{ext: []string{"MT-PRIORITY"}})
		for n, p := range []int8{0, -4, 6, 0, 9} {
			b.demand(n+3, mail.Demands{Priority: p, Prioritized: true}, false, "alice@home.test", fmt.Sprintf("p%d@y.test", n))
		}
		stop := b.run()
		synctest.Wait()
		stop()
		var order []string
		for _, r := range h.received {
			order = append(order, strings.Fields(r)[2][:2])
		}
		if got := strings.Join(order, " "); got != "p4 p2 p0 p3 p1" && got != "p4 p2 p3 p0 p1" {
			b.Errorf("%s", got)
		}
		if !strings.Contains(h.said(), "MT-PRIORITY=9; ") || !strings.Contains(h.said(), "MT-PRIORITY=-4") {
			b.Errorf("%s", h.said())
		}
	})
}

// TestLimits: a host that takes few recipients, messages or domains is given no
// more at once, and all get there (RFC 9422).
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		limits string
		took   string
		conns  int
	}{
		{"LIMITS RCPTMAX=2", "alice@home.test > a@y.test,b@y.test: s; alice@home.test > c@y.test,d@y.test: s; alice@home.test > e@y.test: s", 1},
		{"LIMITS RCPTMAX=2 MAILMAX=2", "alice@home.test > a@y.test,b@y.test: s; alice@home.test > c@y.test,d@y.test: s; alice@home.test > e@y.test: s", 2},
		{"LIMITS RCPTMAX=3 MAILMAX=1", "alice@home.test > a@y.test,b@y.test,c@y.test: s; alice@home.test > d@y.test,e@y.test: s", 2},
	} {
		play(t, func(b *bed) {
			h := b.net.add("192.0.2.1:25", &host{ext: []string{c.limits}})
			defer b.run()()
			b.demand(1, mail.Demands{}, false, "alice@home.test", "a@y.test", "b@y.test", "c@y.test", "d@y.test", "e@y.test")
			synctest.Wait()
			b.want(c.limits, h.got(), c.took)
			if h.conns != c.conns {
				b.Errorf("%s: %d connections", c.limits, h.conns)
			}
			b.want("queue", b.waiting(), "")
		})
	}
	play(t, func(b *bed) { // one domain a session, all at a smart host
		b.o.Router = route.New(route.Options{SmartHosts: []route.SmartHost{{Addr: "192.0.2.9:25"}}})
		h := b.net.add("192.0.2.9:25", &host{ext: []string{"LIMITS RCPTDOMAINMAX=1"}})
		defer b.run()()
		b.demand(1, mail.Demands{}, false, "alice@home.test", "a@y.test", "b@y.test", "c@z.test", "d@y.test")
		synctest.Wait()
		b.want("took", h.got(), "alice@home.test > a@y.test,b@y.test: s; alice@home.test > c@z.test: s; alice@home.test > d@y.test: s")
		b.want("queue", b.waiting(), "")
	})
}

// TestHeld: what its sender wants released later is laid down and sent then, and
// not before; what is dropped before is gone (RFC 4865 §4.2).
func TestHeld(t *testing.T) {
	play(t, func(b *bed) {
		h := b.net.add("192.0.2.1:25", &host{})
		defer b.run()()
		d := mail.Demands{Release: time.Now().Add(3 * time.Hour), Requested: "for;10800"}
		b.demand(1, d, false, "alice@home.test", "alice@home.test", "b@y.test")
		undone := b.demand(2, d, false, "alice@home.test", "alice@home.test", "c@y.test")
		time.Sleep(2 * time.Hour)
		if n, err := b.o.Queue.Retry(context.Background(), queue.Filter{}); n != 0 || err != nil {
			b.Errorf("%d retried, %v", n, err)
		}
		if n, err := b.o.Queue.Drop(context.Background(), queue.Filter{ID: undone}); n != 2 || err != nil {
			b.Errorf("%d dropped, %v", n, err)
		}
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		b.want("before", h.got()+strings.Join(b.inbox(), ""), "")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		b.want("taken", h.got(), "alice@home.test > b@y.test: s")
		b.want("inbox", strings.Join(b.inbox(), "; "), ".hello")
		b.want("queue", b.waiting(), "")
	})
}

// certificate is one for names, with the pool that trusts it.
func certificate(t testing.TB, names ...string) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

// signed is a resolver whose zone is signed.
type signed struct{ dns.Resolver }

func (s signed) Lookup(ctx context.Context, name string, t dns.Type) (dns.Answer, error) {
	a, err := s.Resolver.Lookup(ctx, name, t)
	a.Secure = true
	return a, err
}

// TestRequireTLS is RFC 8689 §4.2.1: such a message goes over TLS, to a host that
// proves to be the domain's and promises to do the same, or comes back; its
// report goes the best way there is and carries the header only (§5).
func TestRequireTLS(t *testing.T) {
	good, pool := certificate(t, "mx1.y.test", "mx2.y.test")
	bad, _ := certificate(t, "mx1.y.test", "mx2.y.test")
	promising := []string{"REQUIRETLS"}
	for _, c := range []struct {
		name     string
		mx1, mx2 *host
		unsigned bool
		from     string
		want     string // the message as taken, or the status it comes back with
	}{
		{"all is well", &host{ext: promising, tls: good}, nil, false, "alice@home.test", "mx1: MAIL FROM:<alice@home.test> REQUIRETLS"},
		{"the second host is better", &host{tls: good}, &host{ext: promising, tls: good}, false, "alice@home.test", "mx2: MAIL FROM:<alice@home.test> REQUIRETLS"},
		{"not promised", &host{tls: good}, &host{tls: good}, false, "alice@home.test", "failed, 5.7.30"},
		{"in clear", &host{clear: true}, &host{clear: true}, false, "alice@home.test", "failed, 5.7.10"},
		{"a certificate of somebody's", &host{ext: promising, tls: bad}, &host{ext: promising, tls: bad}, false, "alice@home.test", "failed, 5.7.10"},
		{"an MX that is not signed", &host{ext: promising, tls: good}, nil, true, "alice@home.test", "failed, 5.7.30"},
		{"one host is down", &host{tls: good}, nil, false, "alice@home.test", "waits"},
		{"a report, in clear", &host{}, nil, true, "", "mx1: MAIL FROM:<>"},
		{"a report, promised", &host{ext: promising, tls: bad}, nil, true, "", "mx1: MAIL FROM:<> REQUIRETLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t)
			b.o.RootCAs = pool
			o := route.Options{Resolver: dnstest.New(zone), AllowPrivate: true, Hostname: "me.test"}
			if !c.unsigned {
				o.Resolver = signed{o.Resolver}
			}
			b.o.Router = route.New(o)
			for i, h := range []*host{c.mx1, c.mx2} {
				if h != nil {
					b.net.add(fmt.Sprintf("192.0.2.%d:25", i+1), h)
				}
			}
			stop := b.run()
			b.demand(1, mail.Demands{}, true, c.from, "b@y.test")
			eventually(t, "settled", func() bool { return b.waiting() != "b@y.test 0 attempts" })
			stop()
			got := "waits"
			if b.waiting() == "" {
				got = strings.Join(b.inbox(), "")
			}
			for i, h := range []*host{c.mx1, c.mx2} {
				if h != nil && h.said() != "" {
					got = fmt.Sprintf("mx%d: %s", i+1, h.said())
				}
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("%s", got)
			}
		})
	}
}
