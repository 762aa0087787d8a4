package dkim

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/dns"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// keys answers TXT questions.
type keys map[string]string

func (k keys) Lookup(_ context.Context, name string, _ dns.Type) (dns.Answer, error) {
	text, ok := k[dns.Normal(name)]
	if !ok {
		return dns.Answer{}, dns.ErrNoName
	}
	return dns.Answer{Records: []dns.Record{{Type: dns.TypeTXT, Text: text}}}, nil
}

// verify checks all signatures of a message with lines that end in LF or CRLF.
func verify(t *testing.T, text string, r dns.Resolver, now time.Time) []Result {
	t.Helper()
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
	var head message.HeaderScanner
	_, _ = io.WriteString(&head, text)
	var body Body
	v := NewVerifier(head.Header(), &body)
	_, _ = io.WriteString(&body, text[head.Size():])
	body.Close()
	var all []Result
	for i := range v.Len() {
		all = append(all, v.Verify(t.Context(), i, r, now))
	}
	return all
}

// TestVectors has messages signed by dkimpy (RFC 6376) and the example of RFC 8463
// appendix A.
func TestVectors(t *testing.T) {
	text, err := os.ReadFile("../../../test/vectors/dkim/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Name, Message, Expect string
		TXT                   keys
	}
	if err := json.Unmarshal(text, &all); err != nil || len(all) != 27 {
		t.Fatal(len(all), err)
	}
	for _, c := range all {
		best, passes := None, 0
		var said []string
		for _, r := range verify(t, c.Message, c.TXT, time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)) {
			said = append(said, string(r.Code)+" "+r.Problem)
			if best != Pass {
				best = r.Code
			}
			if r.Code == Pass {
				passes++
			}
		}
		if string(best) != c.Expect {
			t.Errorf("%s: %s (%s), want %s", c.Name, best, strings.Join(said, "; "), c.Expect)
		}
		if strings.HasPrefix(c.Name, "RFC 8463") && passes != 2 {
			t.Errorf("%s: %d of 2 signatures pass: %s", c.Name, passes, strings.Join(said, "; "))
		}
	}
}
