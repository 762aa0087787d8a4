package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	words "github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// packet is an answer as it goes out, but for the id, the flags that repeat the
// question's, the spelling of the name, and the TTLs.
type packet struct {
	key     replyKey
	reply   *reply
	wire    []byte
	ttls    []uint16 // where they stand
	made    time.Time
	expires time.Time
	renew   time.Time // from when on it is asked for ahead
	used    atomic.Bool
}

func (p *packet) size() int { return 300 + len(p.wire) + 2*len(p.ttls) }
func (p *packet) use() {
	if !p.used.Load() {
		p.used.Store(true)
	}
}
func (p *packet) unused() bool { return !p.used.Swap(false) }

// The header's flags (RFC 1035 §4.1.1, RFC 4035 §3).
const (
	flagQR = 1 << 15
	flagTC = 1 << 9
	flagRD = 1 << 8
	flagRA = 1 << 7
	flagAD = 1 << 5
	flagCD = 1 << 4

	header     = 12
	maxKey     = 1 + 255 + 2
	plainSize  = 512 // of an answer by UDP to who does not know EDNS
	slowAnswer = 10 * time.Second
)

// inquiry is a question as it came in, as far as it is of the common kind.
type inquiry struct {
	flags uint16
	end   int // of the question
	size  int // of an answer by UDP
	edns  bool
	key   [maxKey]byte
	n     int // of key
}

// read takes a packet apart. It is false where the packet is of no common kind, so
// that the library is to look at it.
func (a *inquiry) read(b []byte) bool {
	if len(b) < header+5 {
		return false
	}
	a.flags = binary.BigEndian.Uint16(b[2:])
	// A question, and at most an OPT record behind it.
	if a.flags&^uint16(flagRD|flagAD|flagCD) != 0 || a.flags&flagRD == 0 || b[4] != 0 || b[5] != 1 ||
		b[6]|b[7]|b[8]|b[9]|b[10] != 0 || b[11] > 1 {
		return false
	}
	off := header
	a.n = 1
	for {
		if off >= len(b) {
			return false
		}
		l := int(b[off])
		if l > 63 || off+1+l > len(b) || a.n+1+l > maxKey-2 {
			return false
		}
		for _, c := range b[off : off+1+l] {
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			a.key[a.n] = c
			a.n++
		}
		off += 1 + l
		if l == 0 {
			break
		}
	}
	if off+4 > len(b) || b[off+2] != 0 || b[off+3] != dns.ClassINET {
		return false
	}
	a.key[a.n], a.key[a.n+1] = b[off], b[off+1]
	a.n += 2
	a.end, a.size = off+4, plainSize
	var how byte
	if b[11] == 1 {
		opt := b[a.end:]
		if len(opt) < 11 || opt[0] != 0 || opt[1] != 0 || opt[2] != byte(dns.TypeOPT) || opt[5] != 0 || opt[6] != 0 || // an extended code, another version
			len(opt) != 11+int(binary.BigEndian.Uint16(opt[9:])) {
			return false
		}
		a.edns = true
		a.size = min(max(int(binary.BigEndian.Uint16(opt[3:])), plainSize), udpSize)
		how |= 1 | opt[7]>>6&2 // DO
	} else if len(b) != a.end {
		return false
	}
	if a.flags&flagCD != 0 {
		how |= 4
	}
	if a.flags&flagAD != 0 {
		how |= 8
	}
	a.key[0] = how
	return true
}

// quick answers a question from what is known, into out, with the help of a. It is nil where that takes more.
func (r *Resolver) quick(a *inquiry, b, out []byte, overUDP bool) []byte {
	if !a.read(b) {
		return nil
	}
	p, ok := getBytes(r.packets, a.key[:a.n])
	now := time.Now()
	if !ok || !now.Before(p.expires) {
		return nil
	}
	if now.After(p.renew) {
		r.prefetch(p.key, p.reply, now)
	}
	out = append(out[:0], p.wire...)
	copy(out, b[:2])
	out[2] |= b[2] & (flagRD >> 8)
	out[3] |= b[3] & flagCD
	copy(out[header:], b[header:a.end-4]) // the name as they spell it
	if overUDP && len(out) > a.size {
		return cut512(out, a.end)
	}
	if gone := uint32(now.Sub(p.made) / time.Second); gone > 0 {
		for _, at := range p.ttls {
			ttl := binary.BigEndian.Uint32(out[at:])
			binary.BigEndian.PutUint32(out[at:], ttl-min(ttl, gone))
		}
	}
	return out
}

// cut512 leaves nothing but the question: the rest is to be asked for by TCP.
func cut512(out []byte, end int) []byte {
	out = out[:end]
	out[2] |= flagTC >> 8
	clear(out[6:header])
	return out
}

// Respond answers a question that came as a packet, into out. It is nil where there is
// nothing to answer to. Who may ask is for the caller to decide: what is asked for here
// is looked for in all the world.
func (r *Resolver) Respond(ctx context.Context, b, out []byte, overUDP bool) []byte {
	if quick := r.quick(new(inquiry), b, out, overUDP); quick != nil {
		return quick
	}
	return r.slow(ctx, b, overUDP)
}

// slow answers what is not at hand.
func (r *Resolver) slow(ctx context.Context, b []byte, overUDP bool) []byte {
	q := new(dns.Msg)
	if err := q.Unpack(b); err != nil || q.Response {
		if len(b) < header || b[2]&(flagQR>>8) != 0 {
			return nil
		}
		m := &dns.Msg{}
		m.Id, m.Response, m.Rcode = binary.BigEndian.Uint16(b), true, dns.RcodeFormatError
		return pack(m)
	}
	if code := refuse(q); code != dns.RcodeSuccess {
		m := new(dns.Msg).SetRcode(q, code)
		if q.IsEdns0() != nil {
			m.SetEdns0(udpSize, false)
		}
		return pack(m)
	}
	ctx, cancel := context.WithTimeout(ctx, slowAnswer)
	defer cancel()
	name, t := dns.CanonicalName(q.Question[0].Name), q.Question[0].Qtype
	p, err := r.find(ctx, name, t, q.CheckingDisabled)
	if p == nil {
		p = &reply{err: errors.Join(words.ErrServer, err)}
	}
	out := pack(r.message(q, p))
	if out == nil {
		return pack(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure))
	}
	var a inquiry
	if a.read(b) {
		if now := time.Now(); now.Before(p.expires) && !p.stale {
			r.packets.put(string(a.key[:a.n]), r.newPacket(replyKey{question{name, t}, q.CheckingDisabled}, p, out, now))
		}
		if overUDP && len(out) > a.size {
			return cut512(out, a.end)
		}
	} else if overUDP && len(out) > plainSize {
		m := new(dns.Msg).SetReply(q)
		m.Truncated = true
		return pack(m)
	}
	return out
}

// newPacket makes of an answer what serves for the next one who asks.
func (r *Resolver) newPacket(k replyKey, p *reply, out []byte, now time.Time) *packet {
	wire := append([]byte(nil), out...)
	wire[0], wire[1] = 0, 0
	wire[2] &^= flagRD >> 8
	wire[3] &^= flagCD
	return &packet{key: k, reply: p, wire: wire, ttls: ttls(wire), made: now, expires: p.expires, renew: p.expires.Add(-p.expires.Sub(p.made) / 10)}
}

// ttls finds where a packet's TTLs stand, but for OPT's, which is none.
func ttls(wire []byte) []uint16 {
	off := header
	var at []uint16
	n := 0
	for i := 6; i < header; i += 2 {
		n += int(binary.BigEndian.Uint16(wire[i:]))
	}
	for i := -1; i < n; i++ { // the question comes first
		_, next, err := dns.UnpackDomainName(wire, off)
		if err != nil || next+4 > len(wire) {
			return at
		}
		off = next + 4
		if i < 0 {
			continue
		}
		if next+10 > len(wire) {
			return at
		}
		if binary.BigEndian.Uint16(wire[next:]) != dns.TypeOPT {
			at = append(at, uint16(off))
		}
		off = next + 10 + int(binary.BigEndian.Uint16(wire[next+8:]))
	}
	return at
}

// refuse says why a question is not answered.
func refuse(q *dns.Msg) int {
	switch {
	case q.Opcode != dns.OpcodeQuery:
		return dns.RcodeNotImplemented
	case len(q.Question) != 1:
		return dns.RcodeFormatError
	}
	if o := q.IsEdns0(); o != nil && o.Version() != 0 {
		return dns.RcodeBadVers
	}
	switch t := q.Question[0].Qtype; {
	case q.Question[0].Qclass != dns.ClassINET, !q.RecursionDesired:
		return dns.RcodeRefused
	case t == dns.TypeANY, t == dns.TypeRRSIG, t == dns.TypeAXFR, t == dns.TypeIXFR, t == dns.TypeOPT, t == dns.TypeTSIG, t == dns.TypeTKEY, t == dns.TypeMAILA, t == dns.TypeMAILB:
		return dns.RcodeNotImplemented
	}
	return dns.RcodeSuccess
}

func pack(m *dns.Msg) []byte {
	m.Compress = true
	out, err := m.Pack()
	if err != nil || len(out) > dns.MaxMsgSize {
		return nil
	}
	return out
}

// message puts a reply into the library's words, as the question wants it.
func (r *Resolver) message(q *dns.Msg, p *reply) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	o := q.IsEdns0()
	do := o != nil && o.Do()
	m.AuthenticatedData = p.secure() && !q.CheckingDisabled && (do || q.AuthenticatedData) // RFC 6840 §5.8
	switch {
	case p.failed():
		m.Rcode = dns.RcodeServerFailure
	case errors.Is(p.err, words.ErrNoName):
		m.Rcode = dns.RcodeNameError
	}
	if !p.failed() {
		left := uint32(max(0, time.Until(p.expires)) / time.Second)
		for _, s := range p.steps {
			s.write(m, do, left)
		}
	}
	if o != nil {
		m.SetEdns0(udpSize, do)
		if e := p.extended(); e != nil {
			m.IsEdns0().Option = append(m.IsEdns0().Option, e)
		}
	}
	return m
}

// write adds what a step says to an answer.
func (s *step) write(m *dns.Msg, do bool, left uint32) {
	add := func(to *[]dns.RR, rr dns.RR) {
		c := dns.Copy(rr)
		c.Header().Ttl = min(c.Header().Ttl, left)
		*to = append(*to, c)
	}
	for _, rr := range s.set {
		add(&m.Answer, rr)
	}
	if do {
		for _, sig := range s.sigs {
			add(&m.Answer, sig)
		}
	}
	if s.kind == alias && s.set[0].Header().Rrtype == dns.TypeDNAME { // RFC 6672 §3.1
		add(&m.Answer, &dns.CNAME{Hdr: dns.RR_Header{Name: s.q.name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: s.set[0].Header().Ttl}, Target: s.target})
	}
	for _, rr := range s.auth {
		if do || rr.Header().Rrtype == dns.TypeSOA {
			add(&m.Ns, rr)
		}
	}
}

// The codes of RFC 8914 that are not about signatures.
const (
	edeStale       = 3
	edeStaleNoName = 19
	edeUnreachable = 22
)

// extended says more of what went wrong (RFC 8914).
func (p *reply) extended() dns.EDNS0 {
	e := &dns.EDNS0_EDE{}
	switch {
	case p.stale && errors.Is(p.err, words.ErrNoName):
		e.InfoCode = edeStaleNoName
	case p.stale:
		e.InfoCode = edeStale
	case p.why != nil:
		e.InfoCode, e.ExtraText = uint16(p.why.Code), p.why.Why
	case p.failed():
		e.InfoCode = edeUnreachable
		if p.err != nil {
			e.ExtraText = p.err.Error()
		}
	default:
		return nil
	}
	const enough = 200 // octets of text
	e.ExtraText = e.ExtraText[:min(len(e.ExtraText), enough)]
	return e
}
