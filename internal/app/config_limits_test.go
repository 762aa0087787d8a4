package app

import (
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/limit"
)

// TestLimits: a key reaches its limit, and 0 takes one away.
func TestLimits(t *testing.T) {
	text := least + `
[tls]
own_authority = true
[limits]
per_address = 0
connect_rate = 7
greet_delay = "0s"
session_time = "0s"
data_rate = 0
junk_commands = 0
mime_parts = 12
[proxy]
from = ["10.0.0.0/8", "2001:db8::1"]
xclient = ["192.0.2.7"]
`
	c, err := Load(write(t, text))
	if err != nil {
		t.Fatal(err)
	}
	s := c.Limits.smtp()
	if s.PerAddress != never || s.Connects != (limit.Rate{Burst: 7, Per: time.Minute}) || s.GreetDelay >= 0 || s.Session >= 0 || s.DataRate >= 0 || s.Junk != never {
		t.Errorf("%+v", s)
	}
	if d := Default(); s.Errors != d.Limits.Errors || s.Messages.Burst != d.Limits.MessageRate || c.Limits.fit().Parts != 12 {
		t.Errorf("%+v", s)
	}
	if from, err := networks(c.Proxy.From); err != nil || len(from) != 2 || from[1].String() != "2001:db8::1/128" {
		t.Errorf("%v, %v", from, err)
	}
	c.Limits.Off = true
	if c.Limits.fit() != (deliver.Fit{}) || c.received() != never || c.Limits.imap().PerNetwork != 0 {
		t.Error("limits in spite of off")
	}
}

func TestLimitsRefused(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"[limits]\nerrors = -1\n", "0 takes a limit away"},
		{"[limits]\nrecipients = 10\n", "RFC 5321"},
		{"[limits]\ncommand_time = \"0s\"\n", "longer than nothing"},
		{"[limits]\nban_acounts = 3\n", "limits.ban_accounts"},
		{"[proxy]\nfrom = [\"proxy.example.com\"]\n", "proxy.from"},
		{"[proxy]\nxclient = [\"10.0.0.0/33\"]\n", "proxy.xclient"},
	} {
		_, err := Load(write(t, least+"[tls]\nown_authority = true\n"+c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q\n got %v\nwant %q", c.text, err, c.want)
		}
	}
}
