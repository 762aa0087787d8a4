package dnsd

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/zone"
)

// transferSize is the octets of a transfer's messages, about.
const transferSize = 16 << 10

// transfer is a whole zone on its way to a secondary (RFC 5936), or what is in the way
// of it.
type transfer struct {
	in      *dns.Msg
	records []dns.RR // the SOA first and last
	rcode   int
	key     *zone.TSIG // that signed the question, if one did
	tsig    *dns.TSIG
	denied  uint16 // what is wrong with the signature (RFC 8945 §5.2)
	now     time.Time
}

// transfer takes a question for a transfer by TCP; ok says whether it is one.
func (s *Server) transfer(ctx context.Context, from netip.AddrPort, msg []byte) (t *transfer, ok bool) {
	in := new(dns.Msg)
	if in.Unpack(msg) != nil || in.Response || in.Opcode != dns.OpcodeQuery || len(in.Question) != 1 {
		return nil, false
	}
	q := in.Question[0]
	if q.Qtype != dns.TypeAXFR && q.Qtype != dns.TypeIXFR {
		return nil, false
	}
	t = &transfer{in: in, now: time.Now(), tsig: in.IsTsig()}
	if t.tsig != nil {
		if err := s.verify(ctx, t, msg); err != nil {
			t.rcode = dns.RcodeNotAuth
			return t, true
		}
	}
	name := strings.ToLower(q.Name)
	held, err := s.o.Zones.Zone(ctx, name)
	switch {
	case fault.Is(err, fault.NotFound):
		t.rcode = dns.RcodeNotAuth
	case err != nil:
		t.rcode = dns.RcodeServerFailure
	case !allowed(held.Transfer, from.Addr(), t.key):
		t.rcode = dns.RcodeRefused
	default:
		t.load(ctx, s, name, q.Qtype)
	}
	return t, true
}

// load takes the records. One who has the newest serial gets the SOA alone (RFC 1995
// §2); else the answer to IXFR is the whole zone, which RFC 1995 §4 allows.
func (t *transfer) load(ctx context.Context, s *Server, name string, typ uint16) {
	z, err := s.o.Zones.Ready(ctx, name)
	if err != nil || z == nil {
		t.rcode = dns.RcodeServerFailure
		return
	}
	all := z.Records()
	soa := all[0]
	if typ == dns.TypeIXFR && current(t.in, z.Serial) {
		t.records = []dns.RR{soa}
		return
	}
	t.records = append(all, soa)
}

// current says whether the asker of an IXFR has this serial, or a later one
// (RFC 1982 §3.2).
func current(in *dns.Msg, serial uint32) bool {
	for _, rr := range in.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return int32(serial-soa.Serial) <= 0
		}
	}
	return false
}

// allowed says whether somebody may have a zone.
func allowed(list []string, from netip.Addr, key *zone.TSIG) bool {
	for _, a := range list {
		if name, isKey := strings.CutPrefix(a, "key:"); isKey {
			if key != nil && key.Name == dns.CanonicalName(name) {
				return true
			}
			continue
		}
		if p, err := netip.ParsePrefix(a); err == nil && p.Contains(from) {
			return true
		}
		if one, err := netip.ParseAddr(a); err == nil && one == from {
			return true
		}
	}
	return false
}

// verify checks the signature of a question (RFC 8945 §5.2).
func (s *Server) verify(ctx context.Context, t *transfer, msg []byte) error {
	k, err := s.o.Zones.TSIG(ctx, t.tsig.Hdr.Name)
	if err != nil || k.Algorithm != dns.CanonicalName(t.tsig.Algorithm) {
		t.denied = dns.RcodeBadKey
		return fault.New(fault.Denied, "dnsd.verify", "no such key")
	}
	if err := dns.TsigVerify(msg, k.Secret, "", false); err != nil {
		t.denied = dns.RcodeBadSig
		if err == dns.ErrTime {
			t.denied, t.key = dns.RcodeBadTime, &k
		}
		return err
	}
	t.key = &k
	return nil
}

// send writes the messages of the transfer.
func (t *transfer) send(write func([]byte) error) error {
	mac, rest := "", t.records
	if t.tsig != nil {
		mac = t.tsig.MAC
	}
	for begun := false; ; begun = true {
		m := new(dns.Msg)
		m.SetReply(t.in)
		m.Rcode, m.Authoritative, m.Compress = t.rcode, t.rcode == dns.RcodeSuccess, true
		if begun {
			m.Question = nil
		}
		size := 0
		for len(rest) > 0 && (size == 0 || size+dns.Len(rest[0]) < transferSize) {
			size += dns.Len(rest[0])
			m.Answer, rest = append(m.Answer, rest[0]), rest[1:]
		}
		b, err := t.pack(m, &mac, begun)
		if err != nil {
			return err
		}
		if err := write(b); err != nil || len(rest) == 0 {
			return err
		}
	}
}

// pack packs one message, signed if the question was.
func (t *transfer) pack(m *dns.Msg, mac *string, begun bool) ([]byte, error) {
	if t.tsig == nil {
		return m.Pack()
	}
	m.SetTsig(t.tsig.Hdr.Name, t.tsig.Algorithm, 300, t.now.Unix())
	if t.denied != 0 {
		m.Extra[len(m.Extra)-1].(*dns.TSIG).Error = t.denied
	}
	if t.key == nil {
		return m.Pack() // to one whose key we do not have nothing can be signed
	}
	b, next, err := dns.TsigGenerate(m, t.key.Secret, *mac, begun)
	*mac = next
	return b, err
}

// newest answers an IXFR by UDP with the SOA alone: who has an older one comes by TCP
// (RFC 1995 §2).
func (s *Server) newest(ctx context.Context, from netip.AddrPort, m *dns.Msg) {
	name := strings.ToLower(m.Question[0].Name)
	held, err := s.o.Zones.Zone(ctx, name)
	if err != nil || !allowed(held.Transfer, from.Addr(), nil) {
		m.Rcode = dns.RcodeRefused
		return
	}
	z, err := s.o.Zones.Ready(ctx, name)
	if err != nil || z == nil {
		m.Rcode = dns.RcodeServerFailure
		return
	}
	m.Authoritative = true
	m.Answer = z.Ask(name, dns.TypeSOA, false).Answer
}
