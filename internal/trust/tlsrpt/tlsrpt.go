// Package tlsrpt is the words in which servers tell each other how often TLS
// between them came about and how often not: the record by which a domain asks
// for reports, and the report (RFC 8460). It counts and sends nothing.
package tlsrpt

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// PolicyType is what kind of policy a session was judged by (RFC 8460 §4.4).
type PolicyType string

// The policy types.
const (
	TLSA     PolicyType = "tlsa"
	STS      PolicyType = "sts"
	NoPolicy PolicyType = "no-policy-found"
)

// Result is what went wrong with a session (RFC 8460 §4.3).
type Result string

// The results.
const (
	NoSTARTTLS      Result = "starttls-not-supported"
	HostMismatch    Result = "certificate-host-mismatch"
	Expired         Result = "certificate-expired"
	NotTrusted      Result = "certificate-not-trusted"
	Validation      Result = "validation-failure"
	TLSAInvalid     Result = "tlsa-invalid"
	DNSSECInvalid   Result = "dnssec-invalid"
	DANERequired    Result = "dane-required"
	PolicyFetch     Result = "sts-policy-fetch-error"
	PolicyInvalid   Result = "sts-policy-invalid"
	PolicyUntrusted Result = "sts-webpki-invalid"
)

// Policy is what a session was judged by.
type Policy struct {
	Type   PolicyType
	Domain mail.Domain
	Text   []string // lines of the MTA-STS policy, or TLSA records as a zone file has them
	MX     []string // host names and patterns of an MTA-STS policy
}

// Key tells policies apart.
func (p Policy) Key() string {
	return string(p.Type) + " " + string(p.Domain) + "\n" + strings.Join(p.Text, "\n")
}

// Failure is what went wrong with sessions, and how often.
type Failure struct {
	Result      Result
	Sending     netip.Addr // ours; zero: not known
	Receiving   netip.Addr // theirs; zero: there was no connection
	Host        string     // MX host
	Helo        string     // what it called itself
	Sessions    int64
	Information string // where to read more
	Reason      string // in words or a code
}

// Session is one attempt to secure a line. A zero Failure is a success.
type Session struct {
	Policy  Policy
	Failure Failure
}

// Failed says whether the session failed.
func (s Session) Failed() bool { return s.Failure.Result != "" }

// RecordName is where a domain's record lies (RFC 8460 §3).
func RecordName(d mail.Domain) string { return "_smtp._tls." + string(d) }

// maxURIs is how many addresses of a record count.
const maxURIs = 8

// ParseRecord finds in the TXT records of RecordName where reports go: mailto and
// https URIs (RFC 8460 §3). Without exactly one record nothing is wanted.
func ParseRecord(texts []string) []*url.URL {
	var found []string
	for _, text := range texts {
		if rest, ok := strings.CutPrefix(text, "v=TLSRPTv1"); ok {
			if rest = strings.TrimLeft(rest, " \t"); strings.HasPrefix(rest, ";") {
				found = append(found, rest)
			}
		}
	}
	if len(found) != 1 {
		return nil
	}
	var all []*url.URL
	for field := range strings.SplitSeq(found[0], ";") {
		value, ok := strings.CutPrefix(strings.Trim(field, " \t"), "rua=")
		if !ok {
			continue
		}
		for s := range strings.SplitSeq(value, ",") {
			if u := target(strings.Trim(s, " \t")); u != nil && len(all) < maxURIs {
				all = append(all, u)
			}
		}
		break
	}
	return all
}

// target reads one URI; those of other schemes are for others.
func target(s string) *url.URL {
	u, err := url.Parse(s)
	switch {
	case err != nil || len(s) > 1000:
		return nil
	case u.Scheme == "https" && u.Host != "" && u.User == nil:
		return u
	case u.Scheme == "mailto":
		if _, err := MailTo(u); err == nil {
			return u
		}
	}
	return nil
}

// MailTo is the address of a mailto URI (RFC 6068), without what it says of
// header fields.
func MailTo(u *url.URL) (mail.Address, error) {
	s, err := url.PathUnescape(u.Opaque)
	if err != nil {
		return mail.Address{}, err
	}
	return mail.ParseAddress(s)
}

// Classify gives the result and the reason for an error of a TLS handshake or of
// a certificate's verification.
func Classify(err error) (Result, string) {
	var host x509.HostnameError
	var bad x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var verify *tls.CertificateVerificationError
	switch {
	case errors.As(err, &host):
		return HostMismatch, reason(host)
	case errors.As(err, &bad) && bad.Reason == x509.Expired:
		return Expired, reason(bad)
	case errors.As(err, &bad):
		return NotTrusted, reason(bad)
	case errors.As(err, &unknown):
		return NotTrusted, reason(unknown)
	case errors.As(err, &verify):
		return Validation, reason(verify.Err)
	}
	return Validation, reason(err)
}

// reason is an error in at most 200 octets.
func reason(err error) string {
	s := err.Error()
	return strings.ToValidUTF8(s[:min(len(s), 200)], "")
}
