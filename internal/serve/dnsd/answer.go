package dnsd

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/state/zone"
)

// pack makes the answer to a plain question; nil if that fails.
func (s *Server) pack(ctx context.Context, from netip.AddrPort, q *question) *packed {
	p := &packed{changes: s.o.Zones.Changes(), at: time.Now()}
	name, _, err := dns.UnpackDomainName(q.name[:q.len], 0)
	if err != nil {
		return nil
	}
	m := &dns.Msg{}
	m.Response = true
	m.Question = []dns.Question{{Name: name, Qtype: q.typ, Qclass: q.class}}
	of := ""
	if q.badv {
		m.Rcode = dns.RcodeBadVers
	} else {
		of = s.fill(ctx, from, m, q.do)
	}
	p.of = reply{says: says(of, name, q.typ, len(m.Answer) > 0)}
	if q.edns {
		m.Extra = append(m.Extra, optionOf(q.do))
	}
	m.Compress = true
	if p.msg, err = m.Pack(); err != nil || len(p.msg) > maxTCP {
		s.failed(ctx, from, err)
		return nil
	}
	return p
}

// fill answers a question, and tells which zone did.
func (s *Server) fill(ctx context.Context, from netip.AddrPort, m *dns.Msg, do bool) (of string) {
	q := m.Question[0]
	name := strings.ToLower(q.Name)
	if q.Qclass != dns.ClassINET {
		m.Rcode = dns.RcodeRefused
		return ""
	}
	z, err := s.zoneOf(ctx, name, q.Qtype)
	switch {
	case err != nil:
		s.failed(ctx, from, err)
		m.Rcode = dns.RcodeServerFailure
		return ""
	case z == nil:
		m.Rcode = dns.RcodeRefused // we ask nobody else, and for nobody
		return ""
	}
	switch q.Qtype {
	case dns.TypeRRSIG, dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY, dns.TypeMAILA, dns.TypeMAILB:
		m.Rcode = dns.RcodeNotImplemented
		return z.Name
	}
	a := z.Ask(name, q.Qtype, do)
	m.Rcode, m.Authoritative = a.Rcode, a.Authoritative
	m.Answer, m.Ns, m.Extra = a.Answer, a.Authority, a.Additional
	return z.Name
}

// zoneOf finds the zone that is to answer, nil if none of ours is. What is asked of a
// delegation's DS is asked of the zone above it, where that is ours, too.
func (s *Server) zoneOf(ctx context.Context, name string, typ uint16) (*zone.Zone, error) {
	at := name
	if i, end := dns.NextLabel(name, 0); typ == dns.TypeDS && !end {
		at = name[i:]
	}
	of, err := s.o.Zones.Of(ctx, at)
	if err == nil && of == "" && at != name {
		of, err = s.o.Zones.Of(ctx, name)
	}
	if err != nil || of == "" {
		return nil, err
	}
	return s.o.Zones.Ready(ctx, of)
}

// seldom answers what is no plain question: transfers, signed messages, notes of
// others, and what nobody should send. What cannot be read, and what is an answer,
// gets none.
func (s *Server) seldom(ctx context.Context, from netip.AddrPort, msg []byte, udp bool) []byte {
	in, m := new(dns.Msg), new(dns.Msg)
	if err := in.Unpack(msg); err != nil {
		if len(msg) < header || msg[2]&0x80 != 0 {
			return nil
		}
		m.Id, m.Response, m.Rcode = uint16(msg[0])<<8|uint16(msg[1]), true, dns.RcodeFormatError
		return packOr(m, nil)
	}
	if in.Response {
		return nil
	}
	m.SetReply(in)
	m.Rcode = dns.RcodeSuccess
	opt := in.IsEdns0()
	switch {
	case in.Opcode != dns.OpcodeQuery:
		m.Rcode = dns.RcodeNotImplemented
	case len(in.Question) != 1 || len(in.Answer) > 0:
		m.Rcode = dns.RcodeFormatError
	case opt != nil && opt.Version() != 0:
		m.Rcode = dns.RcodeBadVers
	case in.IsTsig() != nil:
		m.Rcode = dns.RcodeNotAuth // only transfers are signed, and those come by TCP
	case in.Question[0].Qtype == dns.TypeIXFR:
		s.newest(ctx, from, m)
	case in.Question[0].Qtype == dns.TypeAXFR:
		m.Rcode = dns.RcodeRefused
	default:
		s.fill(ctx, from, m, opt != nil && opt.Do())
	}
	room := maxTCP
	if udp {
		room = smallest
	}
	if opt != nil {
		m.Extra = append(m.Extra, optionOf(opt.Do()))
		if udp {
			room = min(max(int(opt.UDPSize()), smallest), largest)
		}
	}
	m.Compress = true
	m.Truncate(room)
	return packOr(m, nil)
}

// packOr packs a message, or gives other where that cannot be.
func packOr(m *dns.Msg, other []byte) []byte {
	b, err := m.Pack()
	if err != nil {
		return other
	}
	return b
}
