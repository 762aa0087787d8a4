package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSources(t *testing.T) {
	for _, c := range []struct{ toml, wrong string }{
		{"[[source]]\naddresses = ['192.0.2.1', '2001:db8::1']\nhostname = 'out1.example.com'\nsenders = ['a.org']", ""},
		{"[[source]]\naddresses = []\nhostname = 'out1.example.com'", "addresses: want one"},
		{"[[source]]\naddresses = ['192.0.2.1', '192.0.2.2']\nhostname = 'out1.example.com'", "both are of one family"},
		{"[[source]]\naddresses = ['192.0.2']\nhostname = 'out1.example.com'", "not an IP address"},
		{"[[source]]\naddresses = ['192.0.2.1']\nhostname = 'out1'", "not a full host name"},
		{"[[source]]\naddresses = ['192.0.2.1']\nhostname = 'out1.example.com'\nsenders = ['a@b']", "senders: "},
		{"[[source]]\naddresses = ['192.0.2.1']\nhostname = 'o.example.com'\n[[source]]\naddresses = ['192.0.2.2']\nhostname = 'o.example.com'", "the same hostname"},
		{"[outbound]\nsocks5 = '127.0.0.1:1080'", ""},
		{"[outbound]\nsocks5 = '127.0.0.1'", "outbound.socks5: "},
		{"[outbound]\nsocks5 = '127.0.0.1:1080'\nsource_address = '192.0.2.1'", "the proxy's source address"},
	} {
		path := filepath.Join(t.TempDir(), "c.toml")
		if err := os.WriteFile(path, []byte("hostname = 'mx.example.com'\n[tls]\nown_authority = true\n"+c.toml+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Load(path)
		switch {
		case c.wrong == "" && err != nil, c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: %v, want %q", c.toml, err, c.wrong)
		case err == nil && len(got.Sources) > 0 && len(got.sources()[0].Addrs) != 2:
			t.Errorf("%s: %v", c.toml, got.sources())
		}
	}
}
