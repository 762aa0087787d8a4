package resolver

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/reach/resolver"
	words "github.com/ekiden-mail/ekiden/internal/wire/dns"
	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// TestLab: what NSD, Knot and BIND sign validates with us, what does not hold does not,
// and of all of it unbound thinks the same.
func TestLab(t *testing.T) {
	if !within(t) {
		return
	}
	l := newLab(t)
	r := l.resolver()
	l.serve(r)
	t.Run("secure", func(t *testing.T) { l.secure(t, r) })
	t.Run("unbound", l.compare)
	t.Run("validators", l.validators)
	t.Run("commands", l.commands)
	t.Run("server", l.server)
}

func (l *lab) resolver() *resolver.Resolver {
	r, err := resolver.New(resolver.Options{Hints: l.read("hints"), Anchors: l.read("anchor")})
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// serve opens a door for the tools of others.
func (l *lab) serve(r *resolver.Resolver) {
	d, err := resolver.Open(netip.AddrPortFrom(netip.MustParseAddr(atOurs), 53))
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Serve(ctx, d) }()
	l.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			l.t.Error(err)
		}
		r.Close()
	})
}

// secure says of each zone what we must find.
func (l *lab) secure(t *testing.T, r *resolver.Resolver) {
	const sound, bare, bogus, failed = "secure", "unsigned", "bogus", "failed"
	for zone, want := range map[string]string{
		"nsd.": sound, "p256.": sound, "knot.": sound, "bind.": sound, "rsa.bind.": sound, ".": sound,
		"plain.": bare, "orphan.": bare, "bare.nsd.": bare, "bare.p256.": bare,
		"expired.": bogus, "strange.": bogus, "dead.": failed,
	} {
		a, err := r.Lookup(t.Context(), zone, words.TypeSOA)
		got := bare
		switch {
		case err != nil && strings.HasPrefix(err.Error(), words.ErrBogus.Error()):
			got = bogus
		case err != nil:
			got = failed
		case a.Secure:
			got = sound
		}
		if got != want {
			t.Errorf("%s is %s, want %s (%v)", zone, got, want, err)
		}
	}
	a, err := r.Lookup(t.Context(), "_25._tcp.mx.knot", words.TypeTLSA)
	if err != nil || !a.Secure || len(a.Records) != 1 {
		t.Errorf("TLSA: %+v, %v", a, err)
	}
	if _, err := r.Lookup(t.Context(), "mx.forged", words.TypeA); err == nil {
		t.Error("a forged address is believed")
	}
	if a, err := r.Lookup(t.Context(), "mx.many", words.TypeA); err != nil || !a.Secure {
		t.Errorf("what is there, in a zone of many iterations: %v, %v", a, err)
	}
}

// questions are asked of every zone.
func questions(zone string) []dns.Question {
	q := func(name string, t uint16) dns.Question {
		if name != "" && zone != "." {
			name += "."
		}
		return dns.Question{Name: name + zone, Qtype: t, Qclass: dns.ClassINET}
	}
	return []dns.Question{
		q("", dns.TypeSOA), q("", dns.TypeMX), q("", dns.TypeTXT), q("", dns.TypeNS), q("", dns.TypeDNSKEY), q("", dns.TypeDS), q("", dns.TypeAAAA),
		q("mx", dns.TypeA), q("mx", dns.TypeAAAA), q("mx", dns.TypeMX), q("_25._tcp.mx", dns.TypeTLSA), q("_tcp.mx", dns.TypeTLSA), q("_26._tcp.mx", dns.TypeTLSA),
		q("www", dns.TypeA), q("www", dns.TypeMX), q("www", dns.TypeCNAME), q("away", dns.TypeA), q("lost", dns.TypeA), q("leaf.tree", dns.TypeA), q("no.tree", dns.TypeA), q("tree", dns.TypeDNAME),
		q("x.wild", dns.TypeTXT), q("x.y.wild", dns.TypeTXT), q("x.wild", dns.TypeA), q("there.wild", dns.TypeTXT), q("wild", dns.TypeTXT), q("b.c.d", dns.TypeA), q("a.b.c.d", dns.TypeA), q("x.b.c.d", dns.TypeA),
		q("none", dns.TypeA), q("a.none", dns.TypeA), q("none", dns.TypeDS), q("big", dns.TypeTXT), q("bare", dns.TypeDS), q("mx.bare", dns.TypeA), q("none.bare", dns.TypeA), q("MX", dns.TypeA),
	}
}

// compare asks us and unbound the same, with the flags that programs use.
func (l *lab) compare(t *testing.T) {
	asked, different := 0, 0
	for _, zone := range []string{".", "nsd.", "p256.", "knot.", "bind.", "rsa.bind.", "plain.", "orphan.", "expired.", "forged.", "strange.", "many.", "bare.nsd."} {
		for _, q := range questions(zone) {
			if strings.Contains(q.Name, ".bare.") && l.bare[zone] == "" && q.Qtype != dns.TypeDS {
				continue // nobody serves it
			}
			ours, theirs := l.exchange(t, atOurs, q), l.exchange(t, atUnbound, q)
			asked++
			if ours != theirs {
				different++
				t.Errorf("%s %s:\n   ours %s\nunbound %s", q.Name, dns.Type(q.Qtype), ours, theirs)
			}
		}
	}
	t.Logf("%d questions, %d answered in another way than by unbound", asked, different)
}

// exchange asks one resolver, by TCP where UDP is too small, and gives what counts.
func (l *lab) exchange(t *testing.T, at string, q dns.Question) string {
	m := new(dns.Msg).SetEdns0(1232, true)
	m.Id, m.RecursionDesired, m.Question = dns.Id(), true, []dns.Question{q}
	c := dns.Client{Timeout: 15 * time.Second, UDPSize: 1232}
	a, _, err := c.Exchange(m, net.JoinHostPort(at, "53"))
	if err == nil && a.Truncated {
		c.Net = "tcp"
		a, _, err = c.Exchange(m, net.JoinHostPort(at, "53"))
	}
	if err != nil {
		return err.Error()
	}
	var rrs []string
	for _, rr := range a.Answer {
		if rr.Header().Rrtype == dns.TypeRRSIG {
			continue
		}
		rr.Header().Ttl = 0
		rr.Header().Name = strings.ToLower(rr.Header().Name)
		rrs = append(rrs, strings.Join(strings.Fields(rr.String()), " "))
	}
	slices.Sort(rrs)
	s := fmt.Sprintf("%s ad=%v %.300q", dns.RcodeToString[a.Rcode], a.AuthenticatedData, rrs)
	return s
}

// validators check what we hand on with signatures, from the root's key down.
func (l *lab) validators(t *testing.T) {
	key := strings.Fields(l.read("key"))
	at := slices.Index(key, "DNSKEY")
	anchor := l.write("bind.keys", fmt.Sprintf("trust-anchors { . static-key %s %s %s %q; };\n", key[at+1], key[at+2], key[at+3], key[at+4]))
	for _, zone := range []string{"nsd.", "p256.", "knot.", "bind.", "rsa.bind."} {
		for _, c := range [][2]string{{"mx." + zone, "A"}, {"x.wild." + zone, "TXT"}, {"none." + zone, "A"}, {"mx." + zone, "MX"}, {"www." + zone, "A"}, {"bare." + zone, "DS"}} {
			if zone == "rsa.bind." && c[0] != "mx."+zone && c[0] != "www."+zone {
				continue // with opt-out nothing of that is authentic, to delv and us alike
			}
			out, err := blackbox.Try(t, l.dir, "", "delv", "@"+atOurs, "-a", anchor, "+root=.", c[0], c[1])
			if err != nil || !strings.Contains(out, "fully validated") || strings.Contains(out, "unsigned") {
				t.Errorf("delv %s %s: %v\n%s", c[0], c[1], err, out)
			}
		}
		if out, err := blackbox.Try(t, l.dir, "", "drill", "-S", "-k", l.path("key"), "@"+atOurs, "mx."+zone, "A"); err != nil || !strings.Contains(out, "Chase successful") {
			t.Errorf("drill: %v\n%s", err, out)
		}
	}
}

// commands are given the lab's root as an operator would.
func (l *lab) commands(t *testing.T) {
	bin := blackbox.Binary(t)
	out := blackbox.Run(t, l.dir, "", bin, "verify", "spf", "--root-hints", l.path("hints"), "--trust-anchor", l.path("anchor"), "--ip", "192.0.2.1", "--helo", "mx.rsa.bind", "--from", "a@rsa.bind")
	if !strings.HasPrefix(out, "pass") {
		t.Errorf("verify spf: %s", out)
	}
	conf := l.write("ekiden.toml", fmt.Sprintf("data = %q\nhostname = \"mx.knot\"\n[tls]\nown_authority = true\n[dns]\nroot_hints_file = %q\ntrust_anchor_file = %q\n", l.path("data"), l.path("hints"), l.path("anchor")))
	for resolverArg, want := range map[string]string{"": "from the root down", "--resolver=" + atUnbound + ":53": atUnbound} {
		args := []string{"check", "host", "-c", conf, "--json"}
		if resolverArg != "" {
			args = append(args, resolverArg)
		}
		out, _ := blackbox.Try(t, l.dir, "", bin, append(args, "plain")...)
		var found []struct {
			What, Said string
			Good       bool
		}
		if err := json.Unmarshal([]byte(out[:strings.LastIndex(out, "]")+1]), &found); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if len(found) < 3 || !strings.Contains(found[0].Said, want) || found[1].What != "DNSSEC" || !found[1].Good || found[2].What != "name mx.knot" || !found[2].Good {
			t.Errorf("check host %s: %+v", resolverArg, found)
		}
	}
}

// server finds its own way from the lab's root: hosts that are signed, and what DANE
// demands of them, with nothing else installed; and from there as if it was told of the
// root only for one question.
func (l *lab) server(t *testing.T) {
	files := []string{"--root-hints", l.path("hints"), "--trust-anchor", l.path("anchor")}
	for _, c := range []struct{ start, ask []string }{{start: files}, {start: []string{"--resolver", atNobody + ":53"}, ask: files}} {
		s := blackbox.Start(t, blackbox.Options{Domain: "a.example", Args: c.start})
		for domain, want := range map[string]struct {
			signed bool
			by     string
		}{"rsa.bind": {true, "tlsa"}, "bare.nsd": {false, "no-policy-found"}} {
			var way struct {
				Signed bool
				Hosts  []struct{ Name, By string }
			}
			out := s.Command(append([]string{"route", "test", "x@" + domain, "--json"}, c.ask...)...)
			if err := json.Unmarshal([]byte(out), &way); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if way.Signed != want.signed || len(way.Hosts) != 1 || way.Hosts[0].Name != "mx."+domain || way.Hosts[0].By != want.by {
				t.Errorf("started with %q, %s: %s", c.start, domain, out)
			}
		}
	}
}
