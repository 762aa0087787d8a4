package app

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ekiden.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const least = "hostname = \"mx.example.com\"\n"

func TestLoad(t *testing.T) {
	path := write(t, least+`
data = "kept"
[tls]
cert_file = "/etc/cert.pem"
key_file = "key.pem"
[listen]
smtp = ["192.0.2.1:25", ":10025"]
imap = []
[outbound]
retry_first = "90s"
`)
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	if c.Data != filepath.Join(dir, "kept") || c.TLS.CertFile != "/etc/cert.pem" || c.TLS.KeyFile != filepath.Join(dir, "key.pem") {
		t.Errorf("paths: %q %q %q", c.Data, c.TLS.CertFile, c.TLS.KeyFile)
	}
	if len(c.Listen.SMTP) != 2 || len(c.Listen.IMAP) != 0 || len(c.Listen.IMAPS) != 1 {
		t.Errorf("listen: %+v", c.Listen)
	}
	if time.Duration(c.Outbound.RetryFirst) != 90*time.Second || time.Duration(c.Outbound.WarnAfter) != 4*time.Hour {
		t.Errorf("outbound: %+v", c.Outbound)
	}
}

func TestLoadSecret(t *testing.T) {
	path := write(t, least+"[tls]\nown_authority=true\n[outbound]\nsmart_host=\"relay.example.net:587\"\nsmart_host_user=\"u\"\nsmart_host_password_file=\"secret\"\n")
	if _, err := Load(path); err == nil {
		t.Error("a secret that is not there was no error")
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "secret"), []byte("s e c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil || c.Outbound.Password != "s e c" {
		t.Errorf("got %q, %v", c.Outbound.Password, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	own := least + "[tls]\nown_authority = true\n"
	cases := []struct{ text, want string }{
		{least, "cert_file and key_file are needed"},
		{"hostname = \"mx\"\n[tls]\nown_authority = true\n", "not a full host name"},
		{"hostnam = \"mx.example.com\"\n", `unknown key "hostnam"; did you mean "hostname"?`},
		{own + "[listen]\nsubmision = [\":587\"]\n", `did you mean "listen.submission"?`},
		{own + "[listen]\nsmtp = [\":70000\"]\n", "listen.smtp"},
		{own + "[listen]\nsmtp = [\"mx.example.com:25\"]\n", "not an IP address"},
		{own + "[log]\nlevel = \"loud\"\n", "log.level"},
		{own + "[log]\nformat = \"xml\"\n", "log.format"},
		{own + "[limits]\nmessage_size = 10\n", "RFC 5321"},
		{own + "[outbound]\nsmart_host = \"relay\"\n", "outbound.smart_host"},
		{own + "[outbound]\nsmart_host_user = \"u\"\n", "go together"},
		{own + "[outbound]\nretry_first = \"soon\"\n", "soon"},
		{own + "[outbound]\nretry_first = \"-1s\"\n", "negative"},
		{own + "[outbound]\nport = 0\n", "outbound.port"},
		{own + "[outbound]\nsource_address = \"x\"\n", "outbound.source_address"},
		{own + "[dns]\nresolvers = [\"dns.example.com\"]\n", "dns.resolvers"},
		{own + "[store]\ncache = 1\n", "store"},
		{own + "[store]\nkeep_deleted = \"0s\"\n", "keep_deleted"},
		{own + "[store]\nkeep_history = \"0s\"\n", "keep_history"},
		{own + "[sending]\nwaiting = -1\n", "no bound is negative"},
		{own + "[auth]\nplaintext = true\n", "unknown key"},
		{own + "[auth]\nscram_iterations = 4096\n", "scram_iterations"},
		{own + "data = \"twice\"\n", "tls.data"},
		{own + "=", "ekiden.toml"},
	}
	for _, c := range cases {
		_, err := Load(write(t, c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q\n got %v\nwant %q", c.text, err, c.want)
		}
	}
}

func TestListenAt(t *testing.T) {
	var c Config
	c.ListenAt(netip.MustParseAddr("127.0.0.2"), 10000)
	if c.Listen.SMTP[0] != "127.0.0.2:10025" || c.Listen.SubmissionAlt[0] != "127.0.0.2:12525" {
		t.Errorf("%+v", c.Listen)
	}
	c.ListenAt(netip.MustParseAddr("::1"), 0)
	if c.Listen.IMAPS[0] != "[::1]:993" {
		t.Errorf("%+v", c.Listen)
	}
}

func TestNearest(t *testing.T) {
	words := []string{"add", "list", "show", "remove"}
	for word, want := range map[string]string{"lst": "list", "remvoe": "remove", "SHOW": "show", "completely-different": "", "ad": "add"} {
		if got := Nearest(word, words); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
}
