// Package trust has other programs verify what the real server signs, and the
// real server what they sign.
package trust

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// python is Debian's, which has the peers' modules.
const python = "/usr/bin/python3"

// needModules skips where a module of Python is missing.
func needModules(t *testing.T, modules ...string) {
	t.Helper()
	blackbox.Need(t, python)
	for _, m := range modules {
		if out, err := blackbox.Try(t, t.TempDir(), "", python, "-c", "import "+m); err != nil {
			blackbox.Missing(t, "python3 module "+m+": "+out)
		}
	}
}

// start runs a server for example.test with its own DNS, in which its domain is as
// it wants to be. Strangers come from its address too.
func start(t *testing.T) (*blackbox.Server, *blackbox.DNS) {
	t.Helper()
	bind := blackbox.FreeAddress(t)
	d := blackbox.StartDNS(t, "example.test. 60 IN TXT \"v=spf1 ip4:"+bind+" -all\"", "_dmarc.example.test. 60 IN TXT \"v=DMARC1; p=reject\"")
	s := blackbox.Start(t, blackbox.Options{Bind: bind, Args: []string{"--resolver", d.Addr}})
	publish(t, s, d)
	return s, d
}

// publish puts the server's keys into the DNS.
func publish(t *testing.T, s *blackbox.Server, d *blackbox.DNS) {
	t.Helper()
	for line := range strings.Lines(s.Command("key", "list", "example.test", "--records")) {
		d.Add(t, strings.Replace(strings.TrimSpace(line), " IN TXT ", " 60 IN TXT ", 1))
	}
}

// letter is a message of somebody's to bob.
func letter(from, subject, body string) string {
	return "From: " + from + "\r\nTo: bob@example.test\r\nSubject: " + subject + "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"Message-ID: <" + subject + "@example.test>\r\nDate: " + time.Now().Format(time.RFC1123Z) + "\r\n\r\n" + body
}

// submit sends from alice to bob and gives what bob has.
func submit(t *testing.T, s *blackbox.Server, text string) string {
	t.Helper()
	c, err := blackbox.DialSMTP(s.Addr("submissions"), s.TLS())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Login("alice@example.test", blackbox.Password); err != nil {
		t.Fatal(err)
	}
	if err := c.Mail("alice@example.test", []string{"bob@example.test"}, []byte(text)); err != nil {
		t.Fatal(err)
	}
	_, subject, _ := strings.Cut(text, "Subject: ")
	subject, _, _ = strings.Cut(subject, "\r\n")
	return string(s.WaitFor("bob", "INBOX", "Subject: "+subject, blackbox.Soon))
}

// stranger sends to bob by port 25 and gives the answer to the message.
func stranger(t *testing.T, s *blackbox.Server, from, text string) (int, string) {
	t.Helper()
	return deliver(t, s, from, "bob@example.test", text)
}

// deliver sends by port 25 and gives the answer to the message.
func deliver(t *testing.T, s *blackbox.Server, from, to, text string) (int, string) {
	t.Helper()
	c, err := blackbox.DialSMTP(s.Addr("smtp"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for _, command := range []string{"MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">", "DATA"} {
		if code, reply, err := c.Do(command); code/100 > 3 || err != nil {
			t.Fatalf("%s: %s %v", command, reply, err)
		}
	}
	code, reply, err := c.Do(strings.TrimSuffix(string(blackbox.Stuff([]byte(text))), "\r\n") + "\r\n.")
	if err != nil {
		t.Fatal(err)
	}
	return code, reply
}

// own cuts off what the server put in front of a message when it laid it down.
func own(text string) string {
	_, rest, _ := strings.Cut(text, "DKIM-Signature: ")
	return "DKIM-Signature: " + rest
}

// bodies are what mail is made of.
func bodies() map[string]string {
	return map[string]string{
		"short": "Hi.\r\n", "empty": "", "spaces": "  A \t line \r\n\r\nand  more\t\r\n\r\n\r\n", "dots": ".\r\n..\r\n.a\r\n", "japanese": "こんにちは。\r\n",
		"long": strings.Repeat("A line of a longer letter, with trailing space. \r\n", 3000),
	}
}

// TestTrace has an honest and a forged message, and what a postmaster reads of them.
func TestTrace(t *testing.T) {
	t.Parallel()
	s, d := start(t)
	d.Add(t, "good.test. 60 IN TXT \"v=spf1 ip4:127.0.0.0/8 -all\"", "_dmarc.good.test. 60 IN TXT \"v=DMARC1; p=reject\"",
		"bank.test. 60 IN TXT \"v=spf1 ip4:192.0.2.1 -all\"", "_dmarc.bank.test. 60 IN TXT \"v=DMARC1; p=reject\"")
	if code, reply := stranger(t, s, "carol@good.test", "Authentication-Results: mx.example.test; dmarc=fail\r\n"+letter("carol@good.test", "honest", "Hi.\r\n")); code != 250 {
		t.Fatal(reply)
	}
	got := string(s.WaitFor("bob", "INBOX", "Subject: honest", blackbox.Soon))
	for _, want := range []string{"dmarc=pass (by SPF) header.from=good.test policy.dmarc=reject", "Ekiden-Verdict: accept; dmarc: good.test vouches for the message, by SPF;"} {
		if !strings.Contains(got, want) || strings.Contains(got, "dmarc=fail") {
			t.Errorf("%s\nwithout %s", got, want)
		}
	}
	code, reply := stranger(t, s, "service@bank.test", letter("service@bank.test", "forged", "Click here.\r\n"))
	if code != 550 || !strings.Contains(reply, "5.7.26 refused by the DMARC policy of bank.test: neither SPF nor DKIM shows that the message is from bank.test") {
		t.Errorf("forged: %s", reply)
	}
	for address, words := range map[string][]string{
		"carol@good.test":   {"accepted", "judged", "accept", "good.test vouches for the message, by SPF", "dmarc pass good.test", "delivered"},
		"service@bank.test": {"judged", "reject", "neither SPF nor DKIM shows that the message is from bank.test, which wants such mail to be refused", "spf fail service@bank.test"},
	} {
		story := ""
		blackbox.Eventually(t, blackbox.Soon, "there is a story of "+address, func() bool {
			var err error
			story, err = blackbox.Try(t, s.Data, "", blackbox.Binary(t), "trace", address, "--data", s.Data)
			return err == nil
		})
		for _, w := range words {
			if !strings.Contains(story, w) {
				t.Errorf("%s: %s\nwithout %q", address, story, w)
			}
		}
	}
}

// dkimpyVerify verifies each signature of a message by keys in a file.
const dkimpyVerify = `
import sys, dkim
keys = dict(l.rstrip("\n").split(" ", 1) for l in open(sys.argv[1]))
def dns(name, timeout=5):
    return keys.get(name.decode().rstrip("."), "").encode() or None
text = sys.stdin.buffer.read()
d = dkim.DKIM(text, minkey=1024)
n = sum(1 for h in d.headers if h[0].lower() == b"dkim-signature")
for i in range(n):
    print(d.verify(idx=i, dnsfunc=dns))
`

// TestDKIMPy has dkimpy verify what the server signed, unharmed and not.
func TestDKIMPy(t *testing.T) {
	t.Parallel()
	needModules(t, "dkim", "nacl")
	s, _ := start(t)
	dir := t.TempDir()
	var keys strings.Builder
	var list struct {
		Items []struct{ Name, Record string }
	}
	if err := json.Unmarshal([]byte(s.Command("key", "list", "example.test", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	for _, k := range list.Items {
		fmt.Fprintf(&keys, "%s %s\n", k.Name, k.Record)
	}
	file := blackbox.WriteFile(t, dir, "keys", keys.String())
	for name, body := range bodies() {
		got := own(submit(t, s, letter("Alice <alice@example.test>", name, body)))
		if out := blackbox.Run(t, dir, got, python, "-c", dkimpyVerify, file); out != "True\nTrue\n" {
			t.Errorf("%s: %s\n%.2000s", name, out, got)
		}
		if out := blackbox.Run(t, dir, strings.Replace(got, "\nSubject: ", "\nSubject: Re: ", 1), python, "-c", dkimpyVerify, file); out != "False\nFalse\n" {
			t.Errorf("%s, changed: %s", name, out)
		}
	}
}

// dkimpySign signs a message with an RSA and an Ed25519 key, seals it, and prints
// both; the records come first.
const dkimpySign = `
import sys, dkim, subprocess, base64, nacl.signing
pem = subprocess.run(["openssl", "genrsa", "-traditional", "2048"], capture_output=True).stdout
der = subprocess.run(["openssl", "rsa", "-pubout", "-outform", "DER"], input=pem, capture_output=True).stdout
ed = nacl.signing.SigningKey.generate()
p = base64.b64encode(der).decode()
print('r._domainkey.x.test. 60 IN TXT "v=DKIM1; k=rsa; p=%s" "%s"' % (p[:200], p[200:]))
print('e._domainkey.x.test. 60 IN TXT "v=DKIM1; k=ed25519; p=%s"' % base64.b64encode(bytes(ed.verify_key)).decode())
text = sys.stdin.buffer.read()
head, body = sys.argv[1].encode(), sys.argv[2].encode()
def sign(sel, key, alg):
    return dkim.sign(text, sel, b"x.test", key, canonicalize=(head, body), signature_algorithm=alg, include_headers=[b"from", b"to", b"subject", b"from"])
out = sign(b"r", pem, b"rsa-sha256") + sign(b"e", base64.b64encode(bytes(ed)), b"ed25519-sha256") + text
ar = b"Authentication-Results: list.test; dmarc=pass header.from=x.test; arc=none\r\n"
seal = dkim.arc_sign(ar + out, b"r", b"x.test", pem, b"list.test", include_headers=[b"from", b"to", b"subject"])
print(base64.b64encode(b"".join(seal) + ar + out).decode())
`

// TestSignedByDKIMPy verifies what dkimpy signed and sealed.
func TestSignedByDKIMPy(t *testing.T) {
	t.Parallel()
	needModules(t, "dkim", "nacl")
	dir := t.TempDir()
	for i, canon := range [][2]string{{"simple", "simple"}, {"relaxed", "relaxed"}, {"relaxed", "simple"}, {"simple", "relaxed"}} {
		body := []string{bodies()["spaces"], bodies()["long"], bodies()["empty"], bodies()["japanese"]}[i]
		lines := strings.Split(strings.TrimSpace(blackbox.Run(t, dir, letter("a@x.test", "signed", body), python, "-c", dkimpySign, canon[0], canon[1])), "\n")
		d := blackbox.StartDNS(t, lines[0], lines[1])
		whole := blackbox.Run(t, dir, lines[2], "base64", "-d")
		out := blackbox.Run(t, dir, whole, blackbox.Binary(t), "verify", "message", "--resolver", d.Addr)
		for _, want := range []string{"dkim=pass (2048-bit key) header.d=x.test header.i=@x.test header.s=r", "dkim=pass (256-bit key) header.d=x.test header.i=@x.test header.s=e", "arc=pass (x.test)"} {
			if !strings.Contains(strings.ReplaceAll(out, "\n\t ", " "), want) {
				t.Errorf("%v: %s\nwithout %s", canon, out, want)
			}
		}
	}
}
