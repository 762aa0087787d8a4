package dnsd

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/zone"
)

// bed is a server of example.test on loopback.
type bed struct {
	t     testing.TB
	s     *Server
	zones *zone.Store
	udp   string
	tcp   string
}

func open(t testing.TB, l Limits) *bed {
	t.Helper()
	ctx := context.Background()
	db := memkv.New(memkv.Options{})
	server := zone.Server{Hostname: "mx.example.test", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.25")}}
	zones := zone.NewStore(zone.Options{
		DB: db, Server: func() zone.Server { return server },
		Facts: func(_ context.Context, d mail.Domain) (zone.Facts, error) {
			return zone.Facts{Domain: d, STSID: "1"}, nil
		},
	})
	if err := zones.Add(ctx, zone.Held{Name: "example.test", Domain: "example.test", Signed: true, Transfer: []string{"127.0.0.1", "key:second"}}); err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, zones: zones, s: New(Options{Zones: zones, Limits: l})}
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.udp, b.tcp = pc.LocalAddr().String(), ln.Addr().String()
	ctx, stop := context.WithCancel(ctx)
	done := make(chan error, 2)
	go func() { done <- b.s.ServePacket(ctx, pc) }()
	go func() { done <- b.s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		_ = db.Close()
	})
	return b
}

func (b *bed) ask(network, name string, typ uint16, how func(*dns.Msg)) *dns.Msg {
	b.t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, typ)
	if how != nil {
		how(m)
	}
	c := &dns.Client{Net: network, Timeout: 5 * time.Second}
	r, _, err := c.Exchange(m, map[string]string{"udp": b.udp, "tcp": b.tcp}[network])
	if err != nil {
		b.t.Fatalf("%s %s: %v", name, dns.TypeToString[typ], err)
	}
	return r
}

func signed(m *dns.Msg) { m.SetEdns0(1232, true) }

func TestAnswers(t *testing.T) {
	b := open(t, Limits{Responses: -1})
	for range 2 { // made, and from memory
		r := b.ask("udp", "ExAmPlE.test.", dns.TypeMX, nil)
		if len(r.Answer) != 1 || !r.Authoritative || r.Question[0].Name != "ExAmPlE.test." || r.RecursionAvailable || !r.RecursionDesired {
			t.Fatalf("MX:\n%v", r)
		}
	}
	r := b.ask("udp", "example.test.", dns.TypeMX, signed)
	if len(r.Answer) != 2 || r.IsEdns0() == nil || !r.IsEdns0().Do() {
		t.Errorf("MX with DO:\n%v", r)
	}
	if r = b.ask("udp", "nope.example.test.", dns.TypeMX, signed); r.Rcode != dns.RcodeNameError || len(r.Ns) < 4 {
		t.Errorf("no name:\n%v", r)
	}
	for name, typ := range map[string]uint16{"example.org.": dns.TypeA, ".": dns.TypeNS, "test.": dns.TypeSOA, "notexample.test.": dns.TypeA} {
		if r = b.ask("udp", name, typ, nil); r.Rcode != dns.RcodeRefused || len(r.Answer)+len(r.Ns) > 0 {
			t.Errorf("%s is not ours:\n%v", name, r)
		}
	}
	if r = b.ask("udp", "version.bind.", dns.TypeTXT, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }); r.Rcode != dns.RcodeRefused {
		t.Errorf("CHAOS:\n%v", r)
	}
	if r = b.ask("udp", "example.test.", dns.TypeMX, func(m *dns.Msg) { signed(m); m.IsEdns0().SetVersion(1) }); r.Rcode != dns.RcodeBadVers {
		t.Errorf("EDNS 1:\n%v", r)
	}
	if r = b.ask("udp", "example.test.", dns.TypeSOA, func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }); r.Rcode != dns.RcodeNotImplemented {
		t.Errorf("UPDATE:\n%v", r)
	}
}

// TestTooLarge: what does not fit into a packet comes by TCP.
func TestTooLarge(t *testing.T) {
	b := open(t, Limits{Responses: -1})
	var big []dns.RR
	for i := range 40 {
		rr, err := dns.NewRR(fmt.Sprintf("big.example.test. 60 TXT %q", fmt.Sprintf("%03d %s", i, strings.Repeat("x", 90))))
		if err != nil {
			t.Fatal(err)
		}
		big = append(big, rr)
	}
	if err := b.zones.SetRecords(context.Background(), "example.test", "big.example.test", dns.TypeTXT, big); err != nil {
		t.Fatal(err)
	}
	if r := b.ask("udp", "big.example.test.", dns.TypeTXT, signed); !r.Truncated || len(r.Answer) > 0 || r.IsEdns0() == nil {
		t.Errorf("by UDP:\n%v", r)
	}
	if r := b.ask("tcp", "big.example.test.", dns.TypeTXT, nil); r.Truncated || len(r.Answer) != 40 {
		t.Errorf("by TCP: %d records, truncated %v", len(r.Answer), r.Truncated)
	}
}

func TestTransfer(t *testing.T) {
	b := open(t, Limits{})
	in, err := new(dns.Transfer).In(new(dns.Msg).SetAxfr("example.test."), b.tcp)
	if err != nil {
		t.Fatal(err)
	}
	var all []dns.RR
	for e := range in {
		if e.Error != nil {
			t.Fatal(e.Error)
		}
		all = append(all, e.RR...)
	}
	if len(all) < 20 || all[0].Header().Rrtype != dns.TypeSOA || all[len(all)-1].Header().Rrtype != dns.TypeSOA {
		t.Errorf("%d records, from %v to %v", len(all), all[0], all[len(all)-1])
	}
	// One who has the newest gets the SOA alone.
	m := new(dns.Msg).SetIxfr("example.test.", all[0].(*dns.SOA).Serial, "ns.example.test.", "hostmaster.example.test.")
	if r, _, err := (&dns.Client{Net: "tcp"}).Exchange(m, b.tcp); err != nil || len(r.Answer) != 1 {
		t.Errorf("IXFR of what is newest: %v\n%v", err, r)
	}
}

// TestTransferKeys: with a key that is allowed, from anywhere; with another, or a
// wrong secret, from nowhere.
func TestTransferKeys(t *testing.T) {
	b := open(t, Limits{})
	ctx := context.Background()
	if err := b.zones.Change(ctx, "example.test", func(h *zone.Held) error { h.Transfer = []string{"key:second"}; return nil }); err != nil {
		t.Fatal(err)
	}
	second, other := zone.NewTSIG("second"), zone.NewTSIG("other")
	for _, k := range []zone.TSIG{second, other} {
		if err := b.zones.SetTSIG(ctx, k); err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string]struct {
		key, secret string
		want        bool
	}{
		"the key": {"second.", second.Secret, true}, "a wrong secret": {"second.", other.Secret, false},
		"another key": {"other.", other.Secret, false}, "no key": {"", "", false}, "an unknown key": {"third.", second.Secret, false},
	} {
		m := new(dns.Msg).SetAxfr("example.test.")
		tr := &dns.Transfer{}
		if c.key != "" {
			m.SetTsig(c.key, dns.HmacSHA256, 300, time.Now().Unix())
			tr.TsigSecret = map[string]string{c.key: c.secret}
		}
		in, err := tr.In(m, b.tcp)
		got := err == nil
		if got {
			for e := range in {
				got = got && e.Error == nil
			}
		}
		if got != c.want {
			t.Errorf("%s: transferred %v, want %v", what, got, c.want)
		}
	}
}

// TestRate: a network that is told the same again and again is told less, and some of
// it cut short.
func TestRate(t *testing.T) {
	b := open(t, Limits{Responses: 5})
	q, err := new(dns.Msg).SetQuestion("example.test.", dns.TypeMX).Pack()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for i := range 400 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), 5353)
		r := b.s.answer(context.Background(), from, q, true, nil)
		switch {
		case r == nil:
			counts["none"]++
		case r[2]&bitTC != 0:
			counts["short"]++
		default:
			counts["whole"]++
		}
	}
	if counts["whole"] < 20 || counts["whole"] > 40 || counts["short"] == 0 || counts["none"] == 0 {
		t.Errorf("400 questions: %v", counts)
	}
	if r := b.s.answer(context.Background(), netip.MustParseAddrPort("198.51.100.1:53"), q, true, nil); r == nil || r[2]&bitTC != 0 {
		t.Error("another network suffers from it")
	}
}

// FuzzAnswer: whatever comes, there is no panic, an answer is one to what came, and it
// never is larger than may be.
func FuzzAnswer(f *testing.F) {
	b := open(f, Limits{Responses: -1})
	for _, typ := range []uint16{dns.TypeMX, dns.TypeAXFR, dns.TypeIXFR, dns.TypeANY} {
		m := new(dns.Msg).SetQuestion("example.test.", typ)
		plain, _ := m.Pack()
		signed(m)
		full, _ := m.Pack()
		f.Add(plain)
		f.Add(full)
	}
	f.Add([]byte("\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"))
	from := netip.MustParseAddrPort("192.0.2.1:53")
	f.Fuzz(func(t *testing.T, msg []byte) {
		r := b.s.answer(context.Background(), from, msg, true, nil)
		if r == nil {
			return
		}
		if len(r) < header || len(r) > largest || len(msg) < 2 || binary.BigEndian.Uint16(r) != binary.BigEndian.Uint16(msg) || r[2]&0x80 == 0 {
			t.Fatalf("%x is answered by %x", msg, r)
		}
		if err := new(dns.Msg).Unpack(r); err != nil {
			t.Fatalf("%x is answered by %x: %v", msg, r, err)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	bed := open(b, Limits{Responses: -1})
	m := new(dns.Msg).SetQuestion("example.test.", dns.TypeMX)
	signed(m)
	q, _ := m.Pack()
	from, out := netip.MustParseAddrPort("192.0.2.1:53"), make([]byte, 0, largest)
	for b.Loop() {
		if bed.s.answer(context.Background(), from, q, true, out) == nil {
			b.Fatal("no answer")
		}
	}
}
