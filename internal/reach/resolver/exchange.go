package resolver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// udpSize is how large an answer by UDP may be: what passes without fragments
// (DNS flag day 2020).
const udpSize = 1232

// maxPackets is how many packets that do not answer are read past before a try
// is given up: somebody is guessing.
const maxPackets = 100

var (
	errForged = errors.New("too many packets that do not answer")
	errBroken = errors.New("malformed answer")           // with the right id
	errFolded = errors.New("answer in another spelling") // see mixCase
	errOther  = errors.New("answer to another question")
)

// asking is how a question is put.
type asking struct {
	recurse bool // to a server that looks further itself (RD)
	secure  bool // with signatures, whatever the server thinks of them (DO, CD)
	ad      bool // what the server thinks of them is wanted
}

// exchange asks one server: by UDP with EDNS, without EDNS if it does not know
// it (RFC 6891 §7), by TCP if the answer was cut, cannot be read, or may be forged.
func (r *Resolver) exchange(ctx context.Context, server netip.AddrPort, q question, as asking, w *work) (*dns.Msg, error) {
	x := r.peers.of(server, time.Now())
	plain, fold := x.flags()
	m := message(q, as, !plain, !fold)
	a, err := r.udp(ctx, server, m, x, w)
	if err == nil && !plain && (a.Rcode == dns.RcodeFormatError || a.Rcode == dns.RcodeNotImplemented) && a.IsEdns0() == nil {
		m = message(q, as, false, !fold)
		if a, err = r.udp(ctx, server, m, x, w); err == nil && a.Rcode != dns.RcodeFormatError {
			x.set(&x.plain)
		}
	}
	if errors.Is(err, errBroken) || errors.Is(err, errFolded) || errors.Is(err, errForged) || err == nil && a.Truncated {
		a, err = r.tcp(ctx, server, m, x, w)
		if errors.Is(err, errFolded) {
			// It is the server itself that folds case: nobody forges a connection.
			x.set(&x.fold)
			return r.tcp(ctx, server, message(q, as, !plain, false), x, w)
		}
	}
	if err == nil && a.Truncated {
		err = errors.New("answer cut short")
	}
	return a, err
}

// message makes a question with an id of its own.
func message(q question, as asking, edns, mix bool) *dns.Msg {
	m := new(dns.Msg)
	name := q.name
	if mix {
		name = mixCase(name)
	}
	m.SetQuestion(name, q.t) // draws the id from crypto/rand
	m.RecursionDesired = as.recurse
	m.AuthenticatedData = as.ad
	if edns {
		m.CheckingDisabled = as.recurse && as.secure
		m.SetEdns0(udpSize, as.secure)
	}
	return m
}

// mixCase changes the case of letters at random, as a nonce beside the id and the
// port (draft-vixie-dnsext-dns0x20). The draws need not be secret from each other,
// only from who does not see the question.
func mixCase(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c >= 'a' && c <= 'z' && rand.Uint32()&1 == 0 {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// udp asks by UDP, from a port that the system draws for each question (RFC 5452
// §9.2), and reads past packets that are no answer to it.
func (r *Resolver) udp(ctx context.Context, server netip.AddrPort, m *dns.Msg, x *peer, w *work) (*dns.Msg, error) {
	c, end, err := r.dial(ctx, "udp", server, x.timeout(), w)
	if err != nil {
		return nil, err
	}
	defer end()
	out, err := m.Pack()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if _, err := c.Write(out); err != nil {
		return nil, err
	}
	buf := make([]byte, udpSize+512) // some send a little more than they may
	for range maxPackets {
		n, err := c.Read(buf)
		if err != nil {
			return nil, err
		}
		a, err := parse(buf[:n], m)
		if errors.Is(err, errOther) {
			continue
		}
		r.peers.heard(server, x, time.Since(begin))
		return a, err
	}
	return nil, errForged
}

// tcp asks by TCP.
func (r *Resolver) tcp(ctx context.Context, server netip.AddrPort, m *dns.Msg, x *peer, w *work) (*dns.Msg, error) {
	c, end, err := r.dial(ctx, "tcp", server, 2*x.timeout(), w)
	if err != nil {
		return nil, err
	}
	defer end()
	return stream(c, m)
}

// stream asks through a connection (RFC 7766).
func stream(c net.Conn, m *dns.Msg) (*dns.Msg, error) {
	conn := &dns.Conn{Conn: c}
	if err := conn.WriteMsg(m); err != nil {
		return nil, err
	}
	b, err := conn.ReadMsgHeader(nil)
	if err != nil {
		return nil, err
	}
	return parse(b, m)
}

// dial connects for one try, whose time and whose context end the connection.
func (r *Resolver) dial(ctx context.Context, network string, server netip.AddrPort, timeout time.Duration, w *work) (net.Conn, func(), error) {
	if err := w.send(); err != nil {
		return nil, nil, err
	}
	deadline := time.Now().Add(timeout)
	try, cancel := context.WithDeadline(ctx, deadline)
	c, err := r.o.Dial(try, network, server.String())
	cancel()
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	_ = c.SetDeadline(deadline)
	if ctx.Err() != nil {
		_ = c.SetDeadline(time.Unix(1, 0))
	}
	return c, func() { stop(); _ = c.Close() }, nil
}

// parse reads a packet and sees that it answers m.
func parse(b []byte, m *dns.Msg) (*dns.Msg, error) {
	if len(b) < 12 || uint16(b[0])<<8|uint16(b[1]) != m.Id {
		return nil, errOther
	}
	same, folded := respell(b, m.Question[0].Name)
	if folded {
		return nil, errFolded // asked again by TCP, where it cannot be forged
	}
	a := new(dns.Msg)
	if err := a.Unpack(b); err != nil {
		// A cut answer may end in the middle of a record.
		return nil, fmt.Errorf("%w: %v", errBroken, err)
	}
	if !a.Response || a.Opcode != dns.OpcodeQuery {
		return nil, errOther
	}
	if len(a.Question) == 0 && a.Rcode != dns.RcodeSuccess {
		return a, nil // some servers return errors bare
	}
	q := m.Question[0]
	if len(a.Question) != 1 || a.Question[0].Qtype != q.Qtype || a.Question[0].Qclass != q.Qclass {
		return nil, errOther
	}
	if !same {
		return nil, errOther
	}
	return a, nil
}

// respell sees that the question in a packet is the one that was asked, in the same
// spelling, and puts it into lower case: what is compressed in the answer points to it.
func respell(b []byte, name string) (same, folded bool) {
	var asked [255]byte
	n, err := dns.PackDomainName(name, asked[:], 0, nil, false)
	if err != nil || len(b) < header+n {
		return false, false
	}
	got := b[header : header+n]
	low := bytes.ToLower(asked[:n]) // lengths of labels are below the letters
	switch {
	case bytes.Equal(got, asked[:n]):
		copy(got, low)
		return true, false
	case bytes.Equal(bytes.ToLower(got), low):
		return false, true
	}
	return false, false
}
