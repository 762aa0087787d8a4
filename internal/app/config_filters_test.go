package app

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// load reads a configuration with more in it.
func load(t *testing.T, more string) (Config, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"ekiden.toml": "hostname = \"mx.example.com\"\n[tls]\nown_authority = true\n" + more, "secret": "s3\r\n", "empty": "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(filepath.Join(dir, "ekiden.toml"))
}

func TestFilters(t *testing.T) {
	c, err := load(t, `
[[filter]]
name = "av"
kind = "clamd"
address = "unix:/run/clamd"
[[filter]]
name = "mine"
kind = "hook"
address = "https://hook.example.com/mail"
directions = ["inbound", "submission"]
timeout = "5s"
max_size = 1000
on_failure = "accept"
secret_file = "secret"
[[filter]]
name = "dkim"
kind = "milter"
address = "inet:8891@localhost"
directions = ["submission"]
[[filter]]
name = "spam"
kind = "rspamd"
address = "http://127.0.0.1:11333"
`)
	if err != nil {
		t.Fatal(err)
	}
	half := Duration(30 * time.Second)
	want := []Filter{
		{Name: "av", Kind: "clamd", Address: "unix:/run/clamd", Directions: []string{"inbound"}, Timeout: half, OnFailure: "defer"},
		{Name: "mine", Kind: "hook", Address: "https://hook.example.com/mail", Directions: []string{"inbound", "submission"},
			Timeout: Duration(5 * time.Second), MaxSize: 1000, OnFailure: "accept", SecretFile: c.Filters[1].SecretFile, secret: "s3"},
		{Name: "dkim", Kind: "milter", Address: "inet:8891@localhost", Directions: []string{"submission"}, Timeout: half, OnFailure: "defer"},
		{Name: "spam", Kind: "rspamd", Address: "http://127.0.0.1:11333", Directions: []string{"inbound"}, Timeout: half, OnFailure: "defer"},
	}
	if !reflect.DeepEqual(c.Filters, want) || !filepath.IsAbs(c.Filters[1].SecretFile) {
		t.Errorf("%+v", c.Filters)
	}
	r := &rooms{}
	if r.screener(&c) == nil {
		t.Error("nobody is asked")
	}
	off := c
	if off.Checks.Off = true; r.screener(&off) != nil {
		t.Error("somebody is asked, though it is off")
	}
	off = c
	off.Filters = nil
	if r.screener(&off) == nil {
		t.Error("nobody looks who sends")
	}
	off.Checks.Senders = false
	if r.screener(&off) != nil {
		t.Error("somebody is asked, though there is nobody")
	}
}

func TestFiltersRefused(t *testing.T) {
	const table = "[[filter]]\n"
	good := table + "name = \"a\"\nkind = \"milter\"\naddress = \"/run/m\"\n"
	for text, want := range map[string]string{
		table: "a name of its own",
		table + "name = \"A b\"\nkind = \"milter\"\naddress = \"/run/m\"\n": "a name of its own",
		good + good:              "a name of its own",
		table + "name = \"a\"\n": "neither milter",
		table + "name = \"a\"\nkind = \"milter\"\n":                                     "address",
		table + "name = \"a\"\nkind = \"clamd\"\naddress = \"localhost\"\n":             "host:port",
		table + "name = \"a\"\nkind = \"clamd\"\naddress = \"unix:clamd\"\n":            "begins with /",
		table + "name = \"a\"\nkind = \"milter\"\naddress = \"inet:25\"\n":              "inet:port@host",
		table + "name = \"a\"\nkind = \"rspamd\"\naddress = \"localhost:11333\"\n":      "http://",
		table + "name = \"a\"\nkind = \"hook\"\naddress = \"ftp://x/\"\n":               "http://",
		table + "name = \"a\"\nkind = \"hook\"\naddress = \"http://u:p@x/\"\n":          "http://",
		good + "directions = [\"outbound\"]\n":                                          "directions",
		good + "directions = []\n":                                                      "directions",
		good + "on_failure = \"pray\"\n":                                                "on_failure",
		good + "max_size = -1\n":                                                        "negative",
		good + "secret_file = \"secret\"\n":                                             "for hooks",
		good + "secret_file = \"none\"\n":                                               "none",
		good + "secret_file = \"empty\"\n":                                              "is empty",
		good + "adress = \"x\"\n":                                                       `did you mean "filter.address"`,
		good + "junk_if = \"X-Spam\"\n":                                                 "junk_if",
		table + "name = \"a\"\nkind = \"clamd\"\naddress = \"/x\"\njunk_if = \"a:b\"\n": "for milters",
		"[checks]\njunk_at = -1\n":                                                      "cannot be negative",
		"[checks]\ntrusted_sealers = [\"a b\"]\n":                                       "is not a domain",
		"[[list]]\nzone = \"\"\nscore = 1\n":                                            "not a zone",
		"[[list]]\nzone = \"x.test\"\n":                                                 "neither score nor codes",
		"[[list]]\nzone = \"x.test\"\nscore = 1\nkind = \"url\"\n":                      "neither address nor domain",
		"[[list]]\nzone = \"x.test\"\n[list.codes]\n\"10.0.0.1\" = 1\n":                 "127.0.0.0/8",
		"[checks]\nbudget = \"0s\"\n":                                                   "checks.budget",
	} {
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
