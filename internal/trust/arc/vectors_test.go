package arc

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/trust/dkim"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// keys answers TXT questions.
type keys map[string]string

func (k keys) Lookup(_ context.Context, name string, _ dns.Type) (dns.Answer, error) {
	text, ok := k[name]
	if !ok {
		return dns.Answer{}, dns.ErrNoName
	}
	return dns.Answer{Records: []dns.Record{{Type: dns.TypeTXT, Text: text}}}, nil
}

type scenario struct {
	Domain, Sel, PrivateKey string
	TXT                     keys `json:"txt-records"`
	Tests                   map[string]struct {
		Message, CV, AS, AMS, AAR string
		T                         int64
		SigHeaders                string `json:"sig-headers"`
		SrvID                     string `json:"srv-id"`
	}
}

func scenarios(t *testing.T, file string) []scenario {
	t.Helper()
	text, err := os.ReadFile("../../../test/vectors/arc/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var all []scenario
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// read gives the header and the chain of a message whose body is hashed.
func read(text string) (message.Header, *Chain, []byte) {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
	var head message.HeaderScanner
	_, _ = io.WriteString(&head, text)
	var body dkim.Body
	h := head.Header()
	c := Read(h, &body)
	sum := body.Want(dkim.Relaxed, -1)
	_, _ = io.WriteString(&body, text[head.Size():])
	body.Close()
	return h, c, sum.Sum()
}

// TestValidation runs the validation suite of RFC 8617.
func TestValidation(t *testing.T) {
	n := 0
	for _, s := range scenarios(t, "arc-draft-validation-tests.json") {
		for name, c := range s.Tests {
			n++
			_, chain, _ := read(c.Message)
			got := chain.Verify(t.Context(), s.TXT)
			want := strings.ToLower(c.CV)
			if want == "" { // sealed as broken before: the suite has no word for that
				want = "fail"
			}
			if string(got.Code) != want {
				t.Errorf("%s: %s (%s), want %s", name, got.Code, got.Problem, want)
			}
		}
	}
	if n != 171 {
		t.Errorf("%d cases", n)
	}
}

// squeezed is a value without white space.
func squeezed(s string) string { return strings.Join(strings.Fields(s), "") }

// TestSigning runs the signing suite: the very octets of each signature.
func TestSigning(t *testing.T) {
	n := 0
	for _, s := range scenarios(t, "arc-draft-sign-tests.json") {
		block, _ := pem.Decode([]byte(s.PrivateKey))
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range s.Tests {
			n++
			h, chain, body := read(c.Message)
			// What was found out is for the caller to say; the suite has it in the header.
			_, results, _ := strings.Cut(c.AAR, ";")
			state := None
			for _, cv := range []Code{Pass, Fail} {
				if strings.Contains(c.AS, "cv="+string(cv)) {
					state = cv
				}
			}
			set, err := Seal(h, chain, Sealing{
				By: dkim.Signer{Domain: s.Domain, Selector: s.Sel, Key: key}, Results: strings.ReplaceAll(strings.TrimSpace(results), "\n", "\r\n\t"),
				Chain: state, Signed: strings.Split(c.SigHeaders, ":"), Body: body, Now: time.Unix(c.T, 0),
			})
			if err != nil {
				if c.AS != "" {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			added := message.ParseHeader(set)
			for field, want := range map[string]string{seal: c.AS, signature: c.AMS, authResults: c.AAR} {
				if got := squeezed(added.Get(field)); got != squeezed(want) {
					t.Errorf("%s: %s\n%s\nwant\n%s", name, field, got, squeezed(want))
				}
			}
		}
	}
	if n != 17 {
		t.Errorf("%d cases", n)
	}
}
