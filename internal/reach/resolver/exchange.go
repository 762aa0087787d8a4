package resolver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// udpSize is how large an answer by UDP may be: what passes without fragments
// (DNS flag day 2020).
const udpSize = 1232

// maxPackets is how many packets that do not answer are read past before a try
// is given up: somebody is guessing.
const maxPackets = 100

var errForged = errors.New("too many packets that do not answer")

// exchange asks one server: by UDP with EDNS, without EDNS if it does not know
// it (RFC 6891 §7), by TCP if the answer was cut or cannot be read.
func (r *Resolver) exchange(ctx context.Context, server string, q question) (*dns.Msg, error) {
	m := r.message(q, true)
	a, err := r.udp(ctx, server, m)
	if err == nil && (a.Rcode == dns.RcodeFormatError || a.Rcode == dns.RcodeNotImplemented) && a.IsEdns0() == nil {
		m = r.message(q, false)
		a, err = r.udp(ctx, server, m)
	}
	if errors.Is(err, errBroken) || err == nil && a.Truncated {
		a, err = r.tcp(ctx, server, m)
	}
	if err == nil && a.Truncated {
		err = errors.New("answer cut short")
	}
	return a, err
}

// message makes a question with an id of its own.
func (r *Resolver) message(q question, edns bool) *dns.Msg {
	m := new(dns.Msg)
	name := dns.Fqdn(q.name)
	if r.o.MixCase {
		name = mixCase(name)
	}
	m.SetQuestion(name, uint16(q.t)) // draws the id from crypto/rand
	m.AuthenticatedData = r.o.TrustAD
	if edns {
		m.SetEdns0(udpSize, false)
	}
	return m
}

// mixCase changes the case of letters at random. The draws need not be secret
// from each other, only from who does not see the question.
func mixCase(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c >= 'a' && c <= 'z' && rand.Uint32()&1 == 0 {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// errBroken is an answer with the right id that cannot be read.
var errBroken = errors.New("malformed answer")

// udp asks by UDP, from a port that the system draws for each question, and
// reads past packets that are no answer to it.
func (r *Resolver) udp(ctx context.Context, server string, m *dns.Msg) (*dns.Msg, error) {
	c, end, err := r.dial(ctx, "udp", server)
	if err != nil {
		return nil, err
	}
	defer end()
	out, err := m.Pack()
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(out); err != nil {
		return nil, err
	}
	buf := make([]byte, udpSize+512) // some send a little more than they may
	for range maxPackets {
		n, err := c.Read(buf)
		if err != nil {
			return nil, err
		}
		a, err := r.parse(buf[:n], m)
		if err == nil || errors.Is(err, errBroken) {
			return a, err
		}
	}
	return nil, errForged
}

// tcp asks by TCP.
func (r *Resolver) tcp(ctx context.Context, server string, m *dns.Msg) (*dns.Msg, error) {
	c, end, err := r.dial(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	defer end()
	conn := &dns.Conn{Conn: c}
	if err := conn.WriteMsg(m); err != nil {
		return nil, err
	}
	b, err := conn.ReadMsgHeader(nil)
	if err != nil {
		return nil, err
	}
	return r.parse(b, m)
}

// dial connects for one try, whose time and whose context end the connection.
func (r *Resolver) dial(ctx context.Context, network, server string) (net.Conn, func(), error) {
	deadline := time.Now().Add(r.o.Timeout)
	d := net.Dialer{Deadline: deadline}
	c, err := d.DialContext(ctx, network, server)
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

// errOther is a packet that answers something else.
var errOther = errors.New("answer to another question")

// parse reads a packet and sees that it answers m.
func (r *Resolver) parse(b []byte, m *dns.Msg) (*dns.Msg, error) {
	if len(b) < 12 || uint16(b[0])<<8|uint16(b[1]) != m.Id {
		return nil, errOther
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
	if got := a.Question[0].Name; got != q.Name {
		if !strings.EqualFold(got, q.Name) {
			return nil, errOther
		}
		if r.o.MixCase {
			return nil, errBroken // asked again by TCP, where it cannot be forged
		}
	}
	return a, nil
}
