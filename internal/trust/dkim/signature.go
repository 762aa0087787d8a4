package dkim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Kind is what a signature field is of.
type Kind uint8

// The fields that have the form of a DKIM signature.
const (
	Mail    Kind = iota // DKIM-Signature (RFC 6376 §3.5)
	ARCMail             // ARC-Message-Signature (RFC 8617 §4.1.2)
	ARCSeal             // ARC-Seal (RFC 8617 §4.1.3)
)

// Limits of one signature.
const (
	maxSigned  = 1000    // names in h=
	maxValue   = 2 << 10 // octets of b=: enough for MaxRSABits
	maxBodyLen = 1 << 50 // of l=
)

// Signature is a signature field that was read.
type Signature struct {
	Field     string // as it came
	Domain    string // d=, in lower case, as it came
	Selector  string // s=
	Algorithm string // a=, one that we know
	Identity  string // i= of a DKIM signature; "" if there is none
	Signed    []string
	Head      Canon
	Body      Canon
	Limit     int64 // l=; -1 if there is none
	Made      int64 // t=; -1
	Expires   int64 // x=; -1
	Tags      message.Tags

	bodyHash []byte
	value    []byte
}

// The algorithms that are verified (RFC 8301 §3.1, RFC 8463 §3).
const (
	RSASHA256     = "rsa-sha256"
	Ed25519SHA256 = "ed25519-sha256"
)

// ParseSignature reads a signature field. The error says why it is none. What
// could be read of it is given nevertheless.
func ParseSignature(raw string, kind Kind) (*Signature, error) {
	s := &Signature{Field: raw, Limit: -1, Made: -1, Expires: -1}
	var err error
	if s.Tags, err = message.ParseTags((message.Field{Raw: raw}).Value()); err != nil {
		return s, err
	}
	s.Domain, s.Selector = strings.ToLower(s.Tags.Value("d")), s.Tags.Value("s")
	s.Algorithm = s.Tags.Value("a")
	if err := s.common(); err != nil {
		return s, err
	}
	if kind == ARCSeal {
		return s, nil
	}
	if err := s.message(); err != nil {
		return s, err
	}
	if kind == Mail {
		err = s.mail()
	}
	return s, err
}

// common reads what every signature has.
func (s *Signature) common() (err error) {
	for _, name := range []string{"a", "b", "d", "s"} {
		if s.Tags.Value(name) == "" {
			return fmt.Errorf("the tag %s is missing", name)
		}
	}
	if s.Algorithm != RSASHA256 && s.Algorithm != Ed25519SHA256 {
		return fmt.Errorf("the algorithm %.40q is not accepted", s.Algorithm)
	}
	if !isHost(s.Domain) || !isHost(s.Selector) {
		return errors.New("the domain or the selector is malformed")
	}
	if s.value, err = decode64(s.Tags.Value("b")); err != nil || len(s.value) == 0 || len(s.value) > maxValue {
		return errors.New("the signature is not base64")
	}
	s.Made, err = s.number("t")
	return err
}

// message reads what signatures over a body have.
func (s *Signature) message() (err error) {
	if s.bodyHash, err = decode64(s.Tags.Value("bh")); err != nil || len(s.bodyHash) == 0 {
		return errors.New("the hash of the body is missing or not base64")
	}
	if c, ok := s.Tags.Get("c"); ok {
		head, body, _ := strings.Cut(c, "/")
		var okHead, okBody bool
		s.Head, okHead = canonOf(head)
		s.Body, okBody = canonOf(body)
		if !okHead || !okBody && body != "" {
			return fmt.Errorf("the canonicalization %.40q is not known", c)
		}
	}
	if s.Limit, err = s.number("l"); err != nil {
		return err
	}
	if s.Limit > maxBodyLen {
		return errors.New("the tag l is too large")
	}
	h, ok := s.Tags.Get("h")
	if !ok {
		return errors.New("the tag h is missing")
	}
	for _, name := range words(h) {
		s.Signed = append(s.Signed, strings.ToLower(name))
	}
	if len(s.Signed) > maxSigned {
		return fmt.Errorf("over %d fields are signed", maxSigned)
	}
	return nil
}

// mail reads what DKIM signatures alone have.
func (s *Signature) mail() (err error) {
	if v := s.Tags.Value("v"); v != "1" {
		return fmt.Errorf("the version %.20q is not known", v)
	}
	if !slices.Contains(s.Signed, "from") { // RFC 6376 §5.4
		return errors.New("the From field is not signed")
	}
	if q, ok := s.Tags.Get("q"); ok && !hasWord(strings.ToLower(q), "dns/txt") {
		return errors.New("the key is not in the DNS")
	}
	s.Identity = s.Tags.Value("i")
	if at := strings.LastIndexByte(s.Identity, '@'); s.Identity != "" {
		host := strings.ToLower(s.Identity[at+1:])
		if at < 0 || host != s.Domain && !strings.HasSuffix(host, "."+s.Domain) {
			return errors.New("the identity is not of the domain")
		}
	}
	if s.Expires, err = s.number("x"); err != nil {
		return err
	}
	if s.Expires >= 0 && s.Made > s.Expires {
		return errors.New("it expires before it was made")
	}
	return nil
}

func canonOf(word string) (Canon, bool) {
	switch word {
	case "simple":
		return Simple, true
	case "relaxed":
		return Relaxed, true
	}
	return Simple, false
}

// number reads a tag of digits; -1 if it is not there.
func (s *Signature) number(tag string) (int64, error) {
	text, ok := s.Tags.Get(tag)
	if !ok {
		return -1, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || text[0] == '+' {
		return -1, fmt.Errorf("the tag %s is not a number", tag)
	}
	return n, nil
}

// isHost says whether s is made of labels that a name may have. UTF-8 is allowed
// (RFC 8616 §4).
func isHost(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := 0; i < len(label); i++ {
			c := label[i]
			if c < 0x80 && (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return len(s) <= 253
}

// Short is the beginning of the signature's value, by which a report names it
// (RFC 6008 §3).
func (s *Signature) Short() string {
	b := unspaced(s.Tags.Value("b"))
	return b[:min(len(b), 8)]
}

// Own is the field itself as it was signed, canonical and without a line end.
func (s *Signature) Own(c Canon) []byte {
	field := AppendField(nil, Unsigned(s.Field), c)
	return field[:len(field)-2]
}

// Data is what the signature is over: the fields that it lists, and itself without
// its value (RFC 6376 §3.7).
func (s *Signature) Data(all Fields) []byte {
	dst := all.AppendSigned(nil, s.Signed, s.Head)
	return s.appendSelf(dst)
}

func (s *Signature) appendSelf(dst []byte) []byte {
	return append(dst, s.Own(s.Head)...)
}
