package resolver

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	words "github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// addr is a library's address; an IPv4 address may come in 16 octets.
func addr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

// records puts the library's records into our words, with what is left of their time.
func records(s *step, now time.Time) ([]words.Record, error) {
	all := make([]words.Record, 0, len(s.set))
	for _, rr := range s.set {
		rec, err := record(rr)
		if err != nil {
			return nil, err
		}
		rec.TTL = max(0, min(rec.TTL, s.until().Sub(now).Round(time.Second)))
		all = append(all, rec)
	}
	return all, nil
}

// record puts a library's record into our words.
func record(rr dns.RR) (words.Record, error) {
	h := rr.Header()
	rec := words.Record{Type: words.Type(h.Rrtype), TTL: seconds(h.Ttl)}
	switch v := rr.(type) {
	case *dns.A:
		rec.Addr = addr(v.A)
	case *dns.AAAA:
		rec.Addr = addr(v.AAAA)
	case *dns.MX:
		rec.Pref, rec.Target = v.Preference, words.Normal(v.Mx)
	case *dns.CNAME:
		rec.Target = words.Normal(v.Target)
	case *dns.PTR:
		rec.Target = words.Normal(v.Ptr)
	case *dns.NS:
		rec.Target = words.Normal(v.Ns)
	case *dns.SRV:
		rec.Pref, rec.Weight, rec.Port, rec.Target = v.Priority, v.Weight, v.Port, words.Normal(v.Target)
	default:
		data, err := rdata(rr)
		if err != nil {
			return rec, err
		}
		rec.Data = data
		if rec.Type == words.TypeTXT {
			rec.Data, rec.Text = nil, joinStrings(data)
		}
		return rec, nil
	}
	if (rec.Type == words.TypeA || rec.Type == words.TypeAAAA) && !rec.Addr.IsValid() {
		return rec, errors.New("address of the wrong length")
	}
	return rec, nil
}

// rdata is a record's RDATA as it came. The library escapes what it unpacks,
// so it is packed again, without compression.
func rdata(rr dns.RR) ([]byte, error) {
	buf := make([]byte, dns.Len(rr)+dns.MinMsgSize)
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return nil, err
	}
	_, off, err := dns.UnpackDomainName(buf, 0)
	if err != nil {
		return nil, err
	}
	const fixed = 10 // type, class, TTL, RDLENGTH (RFC 1035 §3.2.1)
	if off+fixed > end {
		return nil, errors.New("record without data")
	}
	return buf[off+fixed : end : end], nil
}

// joinStrings joins the character-strings of a TXT record (RFC 7208 §3.3).
func joinStrings(data []byte) string {
	var b strings.Builder
	for len(data) > 0 {
		n := min(int(data[0]), len(data)-1)
		b.Write(data[1 : 1+n])
		data = data[1+n:]
	}
	return b.String()
}
