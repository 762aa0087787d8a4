package resolver

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
	words "github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// shelf keeps anchors in memory.
type shelf struct {
	mu sync.Mutex
	b  []byte
}

func (s *shelf) Load() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b, nil
}

func (s *shelf) Save(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b = b
	return nil
}

// TestRootRolls: the root's key is rolled while we run and while we do not, and what is
// signed stays so, though only the old key's digest was given (RFC 5011).
func TestRootRolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		root := newZone(".", "@ NS ns.root.\nns.root. A 198.51.100.1\nwww.root. 60 A 192.0.2.1", dns.ED25519)
		w.servers["198.51.100.1"] = &actor{zones: []*zone{root}}
		given, kept, p := root.anchor(), &shelf{}, &play{w: w}
		run := func(days int) bool {
			r := w.resolver(t, Options{Hints: w.hints("198.51.100.1"), Anchors: given, Keep: kept, Sink: p})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- r.Run(ctx) }()
			time.Sleep(time.Duration(days) * 24 * time.Hour)
			a, err := r.Lookup(t.Context(), "www.root", words.TypeA)
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			return err == nil && a.Secure
		}
		if !run(1) {
			t.Fatal("not secure to begin with")
		}
		old := root.key
		fresh, err := dnssec.Generate(".", dns.ED25519, true)
		if err != nil {
			t.Fatal(err)
		}
		root.put(fresh.DNSKEY) // shown, and not used yet
		root.sigs = map[string]*dns.RRSIG{}
		if !run(35) {
			t.Error("not secure while the new key waits")
		}
		root.key = &fresh
		set := root.records["."]
		set[dns.TypeDNSKEY] = []dns.RR{fresh.DNSKEY}
		root.sigs = map[string]*dns.RRSIG{}
		if !run(1) {
			t.Errorf("not secure with the new key alone; kept %s", kept.b)
		}
		if said := p.news(); !strings.Contains(said, "dns.anchors zone=.") || !strings.Contains(said, "valid") {
			t.Errorf("said %s", said)
		}
		// Who starts with the old digest and nothing kept believes nothing.
		kept = &shelf{}
		if run(0) {
			t.Errorf("secure by key %d, which is gone", old.KeyTag())
		}
	})
}

// TestKeptIsBroken: what was kept and cannot be read counts as nothing.
func TestKeptIsBroken(t *testing.T) {
	for _, b := range []string{"", "{", "null\n", `{"zone":".","keys":[{"key":"x"}]}`} {
		r, err := New(Options{Keep: &shelf{b: []byte(b)}})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.anchors[0].Keys) != 0 || len(r.anchors[0].Trusted()) != 2 {
			t.Errorf("%q: %+v", b, r.anchors[0])
		}
		r.Close()
	}
}

// TestFamilies: a family of addresses that leads nowhere is not tried again and again.
func TestFamilies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		root := newZone(".", "@ NS ns.root.\nns.root. A 198.51.100.1\norg. NS ns.org.\nns.org. A 198.51.100.2\nns.org. AAAA 2001:db8::2", 0)
		org := newZone("org.", "@ NS ns\nns A 198.51.100.2\na A 192.0.2.1\nb A 192.0.2.1\nc A 192.0.2.1", 0)
		w.servers["198.51.100.1"], w.servers["198.51.100.2"] = &actor{zones: []*zone{root}}, &actor{zones: []*zone{org}}
		r := w.resolver(t, Options{Hints: w.hints("198.51.100.1"), NoValidation: true})
		defer r.Close()
		for _, name := range []string{"a.org", "b.org", "c.org"} {
			begin := time.Now()
			if _, err := r.Lookup(t.Context(), name, words.TypeA); err != nil || time.Since(begin) > 100*time.Millisecond {
				t.Errorf("%s: %v after %v", name, err, time.Since(begin))
			}
		}
		delete(w.servers, "198.51.100.2") // and the other is silent
		w.servers["2001:db8::2"] = &actor{zones: []*zone{org}}
		time.Sleep(2 * familyMemory)
		if _, err := r.Lookup(t.Context(), "none.org", words.TypeMX); err == nil || !strings.Contains(err.Error(), words.ErrNoName.Error()) {
			t.Errorf("by IPv6: %v", err)
		}
	})
}

// TestBrokenFamily: where all that goes by one family is lost, that is found out once,
// and not for each server anew.
func TestBrokenFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		text := "@ NS ns.root.\nns.root. A 198.51.100.1\n"
		silent := &actor{act: func(*dns.Msg, bool, func() *dns.Msg) []*dns.Msg { return nil }}
		const zones = 30
		for i := range zones {
			four, six := fmt.Sprintf("198.51.100.%d", i+10), fmt.Sprintf("2001:db8::%x", i+10)
			text += fmt.Sprintf("z%[1]d. NS ns.z%[1]d.\nns.z%[1]d. A %[2]s\nns.z%[1]d. AAAA %[3]s\n", i, four, six)
			w.servers[four], w.servers[six] = &actor{zones: []*zone{newZone(fmt.Sprintf("z%d.", i), "@ NS ns\nns A "+four+"\nwww A 192.0.2.1", 0)}}, silent
		}
		w.servers["198.51.100.1"] = &actor{zones: []*zone{newZone(".", text, 0)}}
		r := w.resolver(t, Options{Hints: w.hints("198.51.100.1"), NoValidation: true})
		defer r.Close()
		begin := time.Now()
		for i := range zones {
			if _, err := r.Lookup(t.Context(), fmt.Sprintf("www.z%d", i), words.TypeA); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(begin); took > (familyAfter+1)*newTimeout {
			t.Errorf("%d zones took %v", zones, took)
		}
	})
}

// TestPrivate asks nobody on the Internet about addresses that are nobody's there
// (RFC 6303), but does in a lab.
func TestPrivate(t *testing.T) {
	for name, want := range map[string]bool{
		"1.0.0.10.in-addr.arpa.": true, "10.in-addr.arpa.": true, "5.4.31.172.in-addr.arpa.": true, "5.4.32.172.in-addr.arpa.": false, "1.1.168.192.in-addr.arpa.": true,
		"8.8.8.8.in-addr.arpa.": false, "a.d.f.ip6.arpa.": true, "1.0.0.2.ip6.arpa.": false,
	} {
		if private(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	w := newWorld()
	w.servers["198.51.100.1"] = &actor{zones: []*zone{newZone(".", "@ NS ns.root.\nns.root. A 198.51.100.1\n1.0.0.10.in-addr.arpa. PTR a.test.", 0)}}
	r := w.resolver(t, Options{Hints: w.hints("198.51.100.1"), NoValidation: true})
	defer r.Close()
	if a, err := r.Lookup(t.Context(), "1.0.0.10.in-addr.arpa", words.TypePTR); err != nil || a.Records[0].Target != "a.test" {
		t.Errorf("%v, %v", a, err)
	}
	internet := w.resolver(t, Options{})
	defer internet.Close()
	if _, err := internet.Lookup(t.Context(), "1.0.0.10.in-addr.arpa", words.TypePTR); err != words.ErrNoName {
		t.Error(err)
	}
}
