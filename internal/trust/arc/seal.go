package arc

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/trust/dkim"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Sealing is what a server adds to the chain of a message.
type Sealing struct {
	By      dkim.Signer
	Results string   // what it found out: authserv-id and results, as in Authentication-Results
	Chain   Code     // the state in which the chain came
	Signed  []string // fields that its signature is over; empty: those of DKIM
	Body    []byte   // relaxed hash of the whole body
	Now     time.Time
}

// errOver is that no further set may be added.
var errOver = errors.New("arc: the chain is broken or has too many sets")

// Seal gives a set to be put in front of the header (RFC 8617 §5.1). It is an
// error to seal what was sealed as broken before. The values of b= are not folded:
// seals cover them, and some carriers fold anew.
func Seal(h message.Header, c *Chain, s Sealing) ([]byte, error) {
	n := len(c.sets) + 1
	if n > MaxSets || n > 1 && (c.sets[n-2] == nil || c.sets[n-2].cv == string(Fail)) {
		return nil, errOver
	}
	results := fmt.Sprintf("%s: i=%d; %s\r\n", authResults, n, s.Results)
	signed, err := s.sign(h, n)
	if err != nil {
		return nil, err
	}
	head := fmt.Sprintf("%s: a=%s;\r\n\tb=", seal, s.By.Algorithm())
	tail := fmt.Sprintf("; cv=%s; d=%s; i=%d; s=%s;\r\n\tt=%d", s.Chain, s.By.Domain, n, s.By.Selector, s.Now.Unix())
	var data []byte
	if s.Chain != Fail { // RFC 8617 §5.1.2: else only what we add
		for _, one := range c.sets {
			for _, f := range one.fields {
				data = dkim.AppendField(data, f, dkim.Relaxed)
			}
		}
	}
	data = dkim.AppendField(data, results, dkim.Relaxed)
	data = dkim.AppendField(data, signed, dkim.Relaxed)
	own := dkim.Signature{Field: head + tail}
	value, err := s.By.Value(append(data, own.Own(dkim.Relaxed)...))
	if err != nil {
		return nil, err
	}
	return []byte(head + value + tail + "\r\n" + signed + results), nil
}

// sign makes the signature over the message.
func (s Sealing) sign(h message.Header, n int) (string, error) {
	all := dkim.NewFields(h)
	listed := s.Signed
	if len(listed) == 0 {
		listed = append(dkim.Signed(all), "DKIM-Signature")
	}
	lower := make([]string, len(listed))
	for i, name := range listed {
		lower[i] = strings.ToLower(name)
	}
	head := fmt.Sprintf("%s: a=%s;\r\n\tb=", signature, s.By.Algorithm())
	tail := fmt.Sprintf(";\r\n\tbh=%s; c=relaxed/relaxed;\r\n\td=%s; %s;\r\n\ti=%d; s=%s; t=%d",
		base64.StdEncoding.EncodeToString(s.Body), s.By.Domain, dkim.FoldNames("h=", lower), n, s.By.Selector, s.Now.Unix())
	own := dkim.Signature{Field: head + tail}
	value, err := s.By.Value(append(all.AppendSigned(nil, lower, dkim.Relaxed), own.Own(dkim.Relaxed)...))
	return head + value + tail + "\r\n", err
}
