package blackbox

import (
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// DNS is a name server for a test: it knows what it is told and says NXDOMAIN
// to all else.
type DNS struct {
	Addr string // host:port, for --resolver

	mu      sync.Mutex
	records map[string][]dns.RR // by name, in lower case with the final dot
}

// StartDNS runs a name server until the test ends, with records in the form of
// a zone file's lines.
func StartDNS(t testing.TB, records ...string) *DNS {
	t.Helper()
	bind := FreeAddress(t)
	d := &DNS{Addr: net.JoinHostPort(bind, strconv.Itoa(FreePort(t, bind))), records: map[string][]dns.RR{}}
	d.Add(t, records...)
	for _, network := range []string{"udp", "tcp"} {
		ready := make(chan struct{})
		s := &dns.Server{Addr: d.Addr, Net: network, Handler: dns.HandlerFunc(d.answer), NotifyStartedFunc: func() { close(ready) }}
		failed := make(chan error, 1)
		go func() { failed <- s.ListenAndServe() }()
		select {
		case <-ready:
		case err := <-failed:
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = s.Shutdown()
			<-failed
		})
	}
	return d
}

// Add teaches more records.
func (d *DNS) Add(t testing.TB, records ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			t.Fatalf("%s: %v", r, err)
		}
		name := dns.CanonicalName(rr.Header().Name)
		d.records[name] = append(d.records[name], rr)
	}
}

func (d *DNS) answer(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	if len(q.Question) == 1 {
		d.mu.Lock()
		all, known := d.records[dns.CanonicalName(q.Question[0].Name)]
		d.mu.Unlock()
		if !known {
			m.Rcode = dns.RcodeNameError
		}
		for _, rr := range all {
			if rr.Header().Rrtype == q.Question[0].Qtype {
				m.Answer = append(m.Answer, dns.Copy(rr))
			}
		}
	}
	if opt := q.IsEdns0(); opt != nil {
		m.SetEdns0(1232, opt.Do())
	}
	_ = w.WriteMsg(m)
}
