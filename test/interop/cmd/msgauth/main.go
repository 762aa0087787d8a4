// Command msgauth signs and verifies by go-msgauth, for comparison. It reads jobs from
// standard input, a JSON object each, and answers each with one.
package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
)

// job is a message to be verified with keys, or to be signed.
type job struct {
	Message  []byte
	Keys     map[string]string // TXT records by name
	Private  []byte            // PKCS #8; empty: verify
	Selector string
	Domain   string
	Head     string
	Body     string
}

// answer is the signed message, or what was found of each signature.
type answer struct {
	Message []byte
	Results []string // "" where it holds
	Error   string
}

func main() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var j job
		if err := in.Decode(&j); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		if err := out.Encode(j.do()); err != nil {
			log.Fatal(err)
		}
	}
}

func (j *job) do() (a answer) {
	if len(j.Private) > 0 {
		var err error
		if a.Message, err = j.sign(); err != nil {
			a.Error = err.Error()
		}
		return a
	}
	found, err := dkim.VerifyWithOptions(bytes.NewReader(j.Message), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		if text, ok := j.Keys[strings.TrimSuffix(name, ".")]; ok {
			return []string{text}, nil
		}
		return nil, errors.New("no key at " + name)
	}})
	if err != nil {
		a.Error = err.Error()
	}
	for _, v := range found {
		said := ""
		if v.Err != nil {
			said = v.Err.Error()
		}
		a.Results = append(a.Results, said)
	}
	return a
}

func (j *job) sign() ([]byte, error) {
	key, err := x509.ParsePKCS8PrivateKey(j.Private)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = dkim.Sign(&b, bytes.NewReader(j.Message), &dkim.SignOptions{
		Domain: j.Domain, Selector: j.Selector, Signer: key.(crypto.Signer), Hash: crypto.SHA256,
		HeaderCanonicalization: dkim.Canonicalization(j.Head), BodyCanonicalization: dkim.Canonicalization(j.Body),
	})
	return b.Bytes(), err
}
