package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSmartHosts(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ toml, wrong string }{
		{"address = 'a.test:587'\nuser = 'u'\npassword_file = 'secret'\nrecipients = ['x.org', '*.y.org']\nsenders = ['a@x.org', 'x.org']\naccounts = ['k@x.org']", ""},
		{"address = 'a.test:587'\nfallback = true", ""},
		{"address = 'direct'\nrecipients = ['x.org']", ""},
		{"address = 'direct'", "what goes directly needs recipients"},
		{"address = 'direct'\nrecipients = ['x.org']\nfallback = true", "what goes directly needs recipients"},
		{"address = 'a.test'", "address: "},
		{"address = 'a.test:25'\ntls = 'perhaps'", `tls: "perhaps"`},
		{"address = 'a.test:25'\nuser = 'u'", "user and password_file go together"},
		{"address = 'a.test:25'\nrecipients = ['x..org']", "recipients: "},
		{"address = 'a.test:25'\naccounts = ['x.org']", "accounts: "},
		{"address = 'a.test:25'\nsenders = ['@']", "senders: "},
		{"address = 'a.test:25'\nfallback = true\nsenders = ['x.org']", "a fallback is for all"},
		{"address = 'a.test:25'\nfallback = true\n[[smart_host]]\naddress = 'b.test:25'\nfallback = true", "only one can be the fallback"},
	} {
		path := filepath.Join(dir, "c.toml")
		text := "hostname = 'mx.example.com'\ndata = 'data'\n[tls]\nown_authority = true\n[[smart_host]]\n" + c.toml + "\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Load(path)
		switch {
		case c.wrong == "" && err != nil, c.wrong != "" && (err == nil || !strings.Contains(err.Error(), "smart_host") || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: %v, want %q", c.toml, err, c.wrong)
		case err == nil && got.SmartHosts[0].User != "" && got.smartHosts()[0].Password != "p":
			t.Errorf("%s: the password is %q", c.toml, got.smartHosts()[0].Password)
		}
	}
}
