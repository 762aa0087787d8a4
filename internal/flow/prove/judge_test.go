package prove

import (
	"net/netip"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/flow/judge"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// BenchmarkJudgement is the whole of it: a signed message of 4 KiB is proved and
// judged, and told what was found, with all of the DNS at hand.
func BenchmarkJudgement(b *testing.B) {
	text := []byte(signed(b, 4096))
	p := New(Options{Resolver: dnstest.New(zone(b)), Lists: lists, Hostname: "mx.here.test"})
	peer := Peer{IP: netip.MustParseAddr("192.0.2.1"), Helo: "mx.example.com", From: "alice@example.com"}
	set := judge.Settings{JunkAt: judge.DefaultJunkAt}
	b.ReportAllocs()
	for b.Loop() {
		g := p.Begin(b.Context(), peer, now)
		_, _ = g.Write(text)
		e := &judge.Evidence{Sender: g.End(b.Context(), now)}
		g.Close()
		v := judge.Judge(judge.AtData, e, &set)
		if v.Action != judge.Accept || len(message.AppendAuthResults(nil, "mx.here.test", e.Sender.Results()))+len(v.Why()) == 0 {
			b.Fatal(v)
		}
	}
}
