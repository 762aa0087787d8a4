package trust

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/trust/dkim"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// job and found are what the program of test/interop reads and writes.
type job struct {
	Message                      []byte
	Keys                         map[string]string
	Private                      []byte
	Selector, Domain, Head, Body string
}

type found struct {
	Message []byte
	Results []string
	Error   string
}

// msgAuth has go-msgauth do jobs.
func msgAuth(t *testing.T, jobs []job) []found {
	t.Helper()
	root, err := blackbox.Root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "msgauth")
	build := exec.Command("go", "build", "-o", path, "./cmd/msgauth")
	build.Dir = filepath.Join(root, "test", "interop")
	if out, err := build.CombinedOutput(); err != nil {
		blackbox.Missing(t, fmt.Sprintf("go-msgauth, which cannot be built: %v: %s", err, out))
	}
	var in bytes.Buffer
	enc := json.NewEncoder(&in)
	for _, j := range jobs {
		if err := enc.Encode(j); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(path)
	cmd.Stdin, cmd.Stderr = &in, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := make([]found, len(jobs))
	dec := json.NewDecoder(bytes.NewReader(out))
	for i := range all {
		if err := dec.Decode(&all[i]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// odd makes messages of pieces that canonicalization looks at.
func odd(r *mathrand.Rand) (head, body string) {
	pick := func(n int, from ...string) string {
		var b strings.Builder
		for range r.IntN(n) {
			b.WriteString(from[r.IntN(len(from))])
		}
		return b.String()
	}
	text := func() string {
		return "x" + pick(8, " ", "  ", "\t", "word", "\r\n ", "\r\n\t", "é", ":", ";", "=") + "y"
	}
	head = "From: a@x.test\r\nSubject:" + text() + "\r\nTo:  " + text() + "\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\n"
	if r.IntN(2) == 0 {
		head += "CC : " + text() + "\r\n"
	}
	return head, pick(30, "a", "word ", " ", "\t", "\r\n", "\r\n\r\n", ".", "é", " \r\n") + pick(2, "\r\n", "end")
}

// records answers from a map.
type records map[string]string

func (k records) Lookup(_ context.Context, name string, _ dns.Type) (dns.Answer, error) {
	text, ok := k[name]
	if !ok {
		return dns.Answer{}, dns.ErrNoName
	}
	return dns.Answer{Records: []dns.Record{{Text: text}}}, nil
}

// ours verifies a message by ourselves: "" where a signature holds.
func ours(t *testing.T, text []byte, keys records) []string {
	t.Helper()
	block, rest, _, err := message.SplitHeader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var body dkim.Body
	v := dkim.NewVerifier(message.ParseHeader(block), &body)
	_, _ = io.Copy(&body, rest)
	body.Close()
	var all []string
	for i := range v.Len() {
		all = append(all, v.Verify(t.Context(), i, keys, time.Now()).Problem)
	}
	return all
}

// TestMsgAuth signs and verifies odd messages with us and with go-msgauth, each what
// the other signed, as it is and changed.
func TestMsgAuth(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	signers := []dkim.Signer{{Domain: "x.test", Selector: "r", Key: key}, {Domain: "x.test", Selector: "e", Key: ed}}
	keys, private := records{}, [][]byte{}
	for _, s := range signers {
		text, err := dkim.Record(s.Key.Public())
		if err != nil {
			t.Fatal(err)
		}
		keys[s.Selector+"._domainkey.x.test"] = text
		der, err := x509.MarshalPKCS8PrivateKey(s.Key)
		if err != nil {
			t.Fatal(err)
		}
		private = append(private, der)
	}
	const n = 150
	seed := time.Now().UnixNano()
	r := mathrand.New(mathrand.NewPCG(uint64(seed), 0))
	var verify, sign []job
	for i := range n {
		head, body := odd(r)
		var b dkim.Body
		sum := b.Want(dkim.Relaxed, -1)
		_, _ = io.WriteString(&b, body)
		b.Close()
		fields, err := dkim.Sign(message.ParseHeader([]byte(head)), sum.Sum(), signers, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		whole := string(fields) + head + "\r\n" + body
		if i%5 == 4 {
			whole = strings.Replace(whole, "12:00:00", "12:00:01", 1)
		}
		verify = append(verify, job{Message: []byte(whole), Keys: keys})
		canon := []string{"simple", "relaxed"}
		sign = append(sign, job{Message: []byte(head + "\r\n" + body), Private: private[i%2], Selector: signers[i%2].Selector, Domain: "x.test", Head: canon[r.IntN(2)], Body: canon[r.IntN(2)]})
	}
	for i, f := range msgAuth(t, verify) {
		want := ours(t, verify[i].Message, keys)
		if f.Error != "" || len(f.Results) != 2 || len(want) != 2 {
			t.Fatalf("seed %d: %d: %q, %+v", seed, i, verify[i].Message, f)
		}
		for k := range want {
			if holds := i%5 != 4; (f.Results[k] == "") != holds || (want[k] == "") != holds {
				t.Errorf("seed %d: %q: we say %q, go-msgauth %q", seed, verify[i].Message, want[k], f.Results[k])
			}
		}
	}
	for i, f := range msgAuth(t, sign) {
		if f.Error != "" {
			t.Errorf("seed %d: %q: %s", seed, sign[i].Message, f.Error)
			continue
		}
		if got := ours(t, f.Message, keys); len(got) != 1 || got[0] != "" {
			t.Errorf("seed %d: %s/%s: %q: %v", seed, sign[i].Head, sign[i].Body, f.Message, got)
		}
	}
}
