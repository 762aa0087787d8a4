package filter

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// openDKIM runs OpenDKIM as a signer for example.test, for those who logged in,
// and gives its socket, a configuration of it that verifies, and where its key is
// published.
func openDKIM(t *testing.T) (socket, verifier string, published *blackbox.DNS) {
	t.Helper()
	blackbox.Need(t, "opendkim", "opendkim-genkey")
	dir := t.TempDir()
	blackbox.Run(t, dir, "", "opendkim-genkey", "-b", "2048", "-d", "example.test", "-s", "sel", "-D", dir)
	socket = filepath.Join(dir, "dkim.sock")
	config := blackbox.WriteFile(t, dir, "sign.conf", fmt.Sprintf("Syslog no\nMode s\nDomain example.test\nSelector sel\nKeyFile %s\nSocket local:%s\n"+
		"Background no\nRequireSafeKeys no\nCanonicalization simple/simple\nOversignHeaders From\nInternalHosts %s\n",
		filepath.Join(dir, "sel.private"), socket, blackbox.WriteFile(t, dir, "hosts", "192.0.2.1\n")))
	blackbox.StartTool(t, []string{"opendkim", "-f", "-x", config}, blackbox.There(socket))

	var key strings.Builder
	record := blackbox.Run(t, dir, "", "cat", "sel.txt")
	for _, quoted := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(record, -1) {
		key.WriteString(quoted[1])
	}
	published = blackbox.StartDNS(t, "sel._domainkey.example.test. 60 IN TXT "+strings.Join(regexp.MustCompile(`"[^"]*"`).FindAllString(record, -1), " "))
	keys := blackbox.WriteFile(t, dir, "keys", "sel._domainkey.example.test "+key.String()+"\n")
	verifier = blackbox.WriteFile(t, dir, "verify.conf", "Mode v\nTestPublicKeys "+keys+"\nAuthservID mx\nAlwaysAddARHeader yes\n")
	return socket, verifier, published
}

// TestOpenDKIM has a milter sign what users submit, and nothing else; the
// signature covers every octet of the header and the body (simple/simple).
func TestOpenDKIM(t *testing.T) {
	t.Parallel()
	socket, verifier, key := openDKIM(t)
	s := serve(t, fmt.Sprintf("[[filter]]\nname = \"opendkim\"\nkind = \"milter\"\naddress = \"unix:%s\"\ndirections = [\"inbound\", \"submission\"]\n", socket))
	folded := "folded\r\n\tand again\r\n  and again"
	for _, text := range []string{letter("signed", "hello"), letter(folded, strings.Repeat("A longer body than one piece holds. .\r\n", 5000)), letter("empty", "")} {
		if code, reply := send(t, s, "submissions", "alice@example.test", text); code != 250 {
			t.Fatal(reply)
		}
	}
	blackbox.Eventually(t, blackbox.Soon, "three messages came", func() bool { return len(s.Messages("bob", "INBOX")) == 3 })
	dir := t.TempDir()
	verify := func(name, text string) string {
		return blackbox.Run(t, dir, "", "opendkim", "-x", verifier, "-t", blackbox.WriteFile(t, dir, name, text))
	}
	for i, b := range s.Messages("bob", "INBOX") {
		text := string(b)
		if strings.Count(text, "\r\nDKIM-Signature: ") != 1 {
			t.Errorf("message %d is not signed: %.1500s", i, text)
		}
		if out := verify("good", text); !strings.Contains(out, "(s=sel, d=example.test, 2048-bit key) succeeded") {
			t.Errorf("message %d: %s\n%.3000s", i, out, text)
		}
		out := blackbox.Run(t, dir, text, blackbox.Binary(t), "verify", "message", "--resolver", key.Addr)
		if !strings.Contains(out, "dkim=pass (2048-bit key) header.d=example.test header.s=sel") {
			t.Errorf("message %d, by us: %s", i, out)
		}
		if out := verify("bad", strings.Replace(text, "\r\nTo: bob", "\r\nTo: Bob", 1)); strings.Contains(out, "succeeded") {
			t.Errorf("message %d with another header: %s", i, out)
		}
	}
	traced(t, s, "alice@example.test", "judged", "opendkim: ok [insert field DKIM-Signature]")

	if code, reply := send(t, s, "smtp", "x@elsewhere.test", letter("not ours", "hello")); code != 250 {
		t.Fatal(reply)
	}
	if b := s.WaitFor("bob", "INBOX", "not ours", blackbox.Soon); strings.Contains(string(b), "DKIM-Signature") {
		t.Errorf("a stranger's message was signed: %s", b)
	}
	traced(t, s, "x@elsewhere.test", "opendkim: ok")
}

// TestNobodyThere has a milter that does not run, required and not.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	const table = "[[filter]]\nname = %q\nkind = \"milter\"\naddress = \"unix:/nonexistent/milter\"\ntimeout = \"1s\"\n"
	s := serve(t, fmt.Sprintf(table, "needed"))
	if code, reply := send(t, s, "smtp", "x@elsewhere.test", letter("x", "hello")); code != 451 || !strings.Contains(reply, "4.7.1") {
		t.Errorf("one that is required: %s", reply)
	}
	s = serve(t, fmt.Sprintf(table+"on_failure = \"accept\"\n", "spare"))
	if code, reply := send(t, s, "smtp", "x@elsewhere.test", letter("x", "hello")); code != 250 {
		t.Errorf("one that is not: %s", reply)
	}
	traced(t, s, "x@elsewhere.test", "spare: failed", time.Now().UTC().Format("2006-"))
}
