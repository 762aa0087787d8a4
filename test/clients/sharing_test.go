package clients

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// TestImaplibShares lets Python's imaplib share a mailbox (RFC 4314, RFC 9208).
func TestImaplibShares(t *testing.T) {
	blackbox.Need(t, "python3")
	s := demo(t)
	script, err := filepath.Abs("testdata/imaplib_sharing.py")
	if err != nil {
		t.Fatal(err)
	}
	out := blackbox.Run(t, t.TempDir(), "", "python3", script, "127.0.0.1", s.Port("imaps"), s.CA, blackbox.Password)
	if !strings.Contains(out, "all done") {
		t.Error(out)
	}
	s.NoPanics()
	if got := s.Command("verify", "store"); !strings.Contains(got, "all is well") {
		t.Error(got)
	}
}

// TestProtocols lets curl come in by what an account may be used by, and hear why
// not by what it may not.
func TestProtocols(t *testing.T) {
	blackbox.Need(t, "curl")
	s := demo(t)
	s.Command("account", "set", s.Address("bob"), "--protocols", "imap,smtp", "--clear-trash", "30", "--pop3-seen", "yes")
	if shown := s.Command("account", "show", s.Address("bob")); !strings.Contains(shown, "imap, smtp") || !strings.Contains(shown, "30 days") {
		t.Error(shown)
	}
	curl := func(url string) (string, error) {
		return blackbox.Try(t, t.TempDir(), "", "curl", "-sSv", "--cacert", s.CA, "--user", s.Address("bob")+":"+blackbox.Password, url)
	}
	if out, err := curl("imaps://127.0.0.1:" + s.Port("imaps")); err != nil {
		t.Error(out)
	}
	if out, err := curl("pop3s://127.0.0.1:" + s.Port("pop3s")); err == nil || !strings.Contains(out, "may not be used by pop3") {
		t.Errorf("%v:\n%s", err, out)
	}
	s.Command("account", "set", s.Address("bob"), "--protocols", "default")
	if out, err := curl("pop3s://127.0.0.1:" + s.Port("pop3s")); err != nil {
		t.Error(out)
	}
	s.NoPanics()
}
