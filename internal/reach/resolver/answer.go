package resolver

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"

	words "github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// maxRecords is how many records of an answer are kept.
const maxRecords = 1000

// understand takes the meaning of a server's answer to q. An error means that the
// server does not know.
func (r *Resolver) understand(m *dns.Msg, q question, now time.Time) (outcome, error) {
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return outcome{}, errors.New(rcode(m.Rcode))
	}
	end, ttl, err := follow(m.Answer, q)
	if err != nil {
		return outcome{}, err
	}
	o := outcome{Answer: words.Answer{Name: end, Secure: r.o.TrustAD && m.AuthenticatedData}}
	for _, rr := range m.Answer {
		if h := rr.Header(); uint16(q.t) == h.Rrtype && h.Class == dns.ClassINET && words.Normal(h.Name) == end && len(o.Records) < maxRecords {
			rec, err := record(rr)
			if err != nil {
				return outcome{}, err
			}
			o.Records = append(o.Records, rec)
			ttl = min(ttl, rec.TTL)
		}
	}
	switch {
	case len(o.Records) > 0:
		o.Expires = now.Add(min(ttl, r.o.MaxTTL))
		return o, nil
	case m.Rcode == dns.RcodeNameError:
		// With aliases it is the name at their end that is not (RFC 6604 §3).
		o.err = words.ErrNoName
	case end != q.name && !hasSOA(m.Ns):
		o.err = errAlias
		o.Expires = now.Add(min(ttl, r.o.MaxTTL))
		return o, nil
	case referral(m):
		return outcome{}, errors.New("refers to other servers")
	default:
		o.err = words.ErrNoData
	}
	o.Expires = now.Add(min(ttl, negativeTTL(m.Ns), r.o.MaxNegative))
	return o, nil
}

// follow walks the aliases within an answer from q's name on.
func follow(rrs []dns.RR, q question) (end string, ttl time.Duration, err error) {
	end, ttl = q.name, 1<<62
	if q.t == words.TypeCNAME {
		return end, ttl, nil
	}
	aliases := map[string]*dns.CNAME{}
	for _, rr := range rrs {
		if c, ok := rr.(*dns.CNAME); ok && c.Hdr.Class == dns.ClassINET {
			aliases[words.Normal(c.Hdr.Name)] = c
		}
	}
	for range maxAliases + 1 {
		c := aliases[end]
		if c == nil {
			return end, ttl, nil
		}
		end = words.Normal(c.Target)
		ttl = min(ttl, seconds(c.Hdr.Ttl))
	}
	return "", 0, fmt.Errorf("more than %d aliases", maxAliases)
}

func hasSOA(ns []dns.RR) bool {
	for _, rr := range ns {
		if rr.Header().Rrtype == dns.TypeSOA {
			return true
		}
	}
	return false
}

// referral says whether m points to other servers instead of answering: what
// a server that does not recurse does.
func referral(m *dns.Msg) bool {
	if m.Authoritative || hasSOA(m.Ns) {
		return false
	}
	for _, rr := range m.Ns {
		if rr.Header().Rrtype == dns.TypeNS {
			return true
		}
	}
	return false
}

// negativeTTL is how long the lack of an answer holds (RFC 2308 §5): not at all
// without a SOA record.
func negativeTTL(ns []dns.RR) time.Duration {
	for _, rr := range ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return seconds(min(soa.Hdr.Ttl, soa.Minttl))
		}
	}
	return 0
}

// seconds is a TTL as a duration; one with the top bit set is 0 (RFC 2181 §8).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

func rcode(code int) string {
	if s, ok := dns.RcodeToString[code]; ok {
		return s
	}
	return fmt.Sprintf("RCODE%d", code)
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
