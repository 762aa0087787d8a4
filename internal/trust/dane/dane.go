// Package dane judges a mail server's certificate by the TLSA records that its
// domain publishes under DNSSEC (RFC 6698, RFC 7671, RFC 7672). Whether the
// records are Secure is for the caller to know: others must not come here.
package dane

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// Usage is how a record is to be understood (RFC 6698 §2.1.1, named by RFC 7218).
type Usage uint8

// The usages. The first two ask for a public authority besides, and are of no
// use between mail servers (RFC 7672 §3.1.3).
const (
	PKIXTA Usage = iota
	PKIXEE
	DANETA // an authority of the domain's own, or a public one that it names
	DANEEE // the server's own certificate or key
)

// Selector is what of a certificate is compared (RFC 6698 §2.1.2).
type Selector uint8

// The selectors.
const (
	Cert Selector = iota // all of it
	SPKI                 // its public key
)

// Matching is how it is compared (RFC 6698 §2.1.3).
type Matching uint8

// The matching types.
const (
	Full Matching = iota
	SHA256
	SHA512
)

// Limits on what a domain may make us compare.
const (
	maxData    = 16 << 10 // octets of a record
	maxRecords = 64       // of a set
	maxChain   = 16       // certificates that a server sent
)

// Record is one TLSA record.
type Record struct {
	Usage    Usage
	Selector Selector
	Matching Matching
	Data     []byte
}

// Parse reads the RDATA of a TLSA record (RFC 6698 §2.1). It says
// fault.Invalid of what is none. Numbers that nobody has defined are taken: such
// a record is of no use, but it is there.
func Parse(rdata []byte) (Record, error) {
	if len(rdata) < 4 || len(rdata) > maxData {
		return Record{}, fault.Newf(fault.Invalid, "dane.Parse", "not a TLSA record: %d octets", len(rdata))
	}
	return Record{Usage(rdata[0]), Selector(rdata[1]), Matching(rdata[2]), rdata[3:]}, nil
}

// String is the record as a zone file has it, cut short.
func (r Record) String() string {
	return fmt.Sprintf("%d %d %d %.16x", r.Usage, r.Selector, r.Matching, r.Data)
}

// usable says whether r can vouch for a mail server (RFC 7672 §3.1). Its data
// must be able to match anything at all.
func (r Record) usable() bool {
	if r.Usage != DANETA && r.Usage != DANEEE || r.Selector > SPKI {
		return false
	}
	switch r.Matching {
	case Full:
		return len(r.Data) > 0
	case SHA256:
		return len(r.Data) == sha256.Size
	case SHA512:
		return len(r.Data) == sha512.Size
	}
	return false
}

// matches says whether r names c.
func (r Record) matches(c *x509.Certificate) bool {
	of := c.Raw
	if r.Selector == SPKI {
		of = c.RawSubjectPublicKeyInfo
	}
	switch r.Matching {
	case Full:
		return bytes.Equal(r.Data, of)
	case SHA256:
		sum := sha256.Sum256(of)
		return bytes.Equal(r.Data, sum[:])
	case SHA512:
		sum := sha512.Sum512(of)
		return bytes.Equal(r.Data, sum[:])
	}
	return false
}

// Set is the records of one server that can vouch for it.
type Set struct{ records []Record }

// NewSet keeps what is usable. Of digests of one kind only the strongest is
// kept, lest a broken one decides (RFC 7671 §9).
func NewSet(all []Record) Set {
	var s Set
	for _, r := range all[:min(len(all), maxRecords)] {
		if r.usable() && !stronger(all, r) {
			s.records = append(s.records, r)
		}
	}
	return s
}

// stronger says whether a digest among all makes r's superfluous.
func stronger(all []Record, r Record) bool {
	if r.Matching != SHA256 {
		return false
	}
	for _, o := range all {
		if o.Usage == r.Usage && o.Selector == r.Selector && o.Matching == SHA512 && o.usable() {
			return true
		}
	}
	return false
}

// Usable says whether a server can be judged by s. If not, and there are secure
// records all the same, the line must be encrypted and nothing is asked of the
// certificate (RFC 7672 §2.2).
func (s Set) Usable() bool { return len(s.records) > 0 }

// Verify judges the certificates that a server sent, its own first. names are
// those by which a certificate below an authority may name it: the base domain
// of the records, the MX host and the domain that the mail is for (RFC 7672
// §3.2.2). The error says what was found wrong, for the report to the domain.
func (s Set) Verify(chain []*x509.Certificate, names []string, now time.Time) error {
	if len(chain) == 0 {
		return fmt.Errorf("the server sent no certificate")
	}
	chain = chain[:min(len(chain), maxChain)]
	err := fmt.Errorf("no TLSA record matches the server's certificate")
	for _, r := range s.records {
		switch r.Usage {
		case DANEEE:
			// Neither names nor dates count: the record says all (RFC 7672 §3.1.1).
			if r.matches(chain[0]) {
				return nil
			}
		case DANETA:
			e := r.below(chain, names, now)
			if e == nil {
				return nil
			}
			if e != errNoAuthority {
				err = e
			}
		}
	}
	return err
}

var errNoAuthority = fmt.Errorf("no authority of the TLSA record is in the chain")

// below says whether the server's certificate comes from the authority that r
// names, is in its time and names the server (RFC 7672 §3.1.2). The authority
// must be in the chain, unless r has it in full.
func (r Record) below(chain []*x509.Certificate, names []string, now time.Time) error {
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	found := false
	for _, c := range chain {
		if r.matches(c) {
			roots.AddCert(c)
			found = true
		} else {
			others.AddCert(c)
		}
	}
	if !found && r.Selector == Cert && r.Matching == Full {
		if c, err := x509.ParseCertificate(r.Data); err == nil {
			roots.AddCert(c)
			found = true
		}
	}
	if !found {
		return errNoAuthority
	}
	leaf := chain[0]
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: others, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		if named(leaf, name) {
			return nil
		}
	}
	return fmt.Errorf("the server's certificate is for none of %s", strings.Join(names, ", "))
}

// named says whether c is for a host. The common name counts where there are no
// other names (RFC 7672 §3.2.3).
func named(c *x509.Certificate, host string) bool {
	host = strings.TrimSuffix(host, ".")
	if c.VerifyHostname(host) == nil {
		return true
	}
	if len(c.DNSNames) > 0 {
		return false
	}
	cn := c.Subject.CommonName
	if rest, wild := strings.CutPrefix(cn, "*."); wild {
		_, parent, ok := strings.Cut(host, ".")
		return ok && strings.EqualFold(parent, rest)
	}
	return cn != "" && strings.EqualFold(cn, host)
}
