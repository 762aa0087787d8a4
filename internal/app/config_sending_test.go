package app

import (
	"net/netip"
	"strings"
	"testing"
)

func TestRelayNetworks(t *testing.T) {
	c, err := load(t, `
[sending]
messages = 5
watch = false
sendmail_allow = ["www=@example.com", "www=x@other.test", "*=cron@example.com"]
[[relay_network]]
network = "192.168.7.0/24"
senders = ["@example.com", "scan@other.test"]
[[relay_network]]
network = "::1"
senders = ["@example.com"]
messages_per_hour = 3
doors = ["smtp"]
`)
	if err != nil {
		t.Fatal(err)
	}
	n := c.networks()
	if len(n) != 2 || n[0].Prefix.String() != "192.168.7.0/24" || n[0].Messages != 100 || n[0].Recipients != 500 || n[1].Prefix.String() != "::1/128" || n[1].Messages != 3 {
		t.Errorf("%+v", n)
	}
	if b := c.bounds(); b.Messages != 5 || b.Recipients != 20_000 {
		t.Errorf("%+v", b)
	}
	for door, want := range map[string][2]bool{"smtp": {false, true}, "submission": {true, false}, "submission_alt": {true, false}, "submissions": {true, false}, "lmtp": {}} {
		if door != "smtp" && door != "lmtp" {
			door = "submission"
		}
		is := c.listedAt(door)
		if got := [2]bool{is(netip.MustParseAddr("::ffff:192.168.7.9")), is(netip.IPv6Loopback())}; got != want {
			t.Errorf("%s: %v", door, got)
		}
	}
	users, err := c.sendmailUsers()
	if err != nil || len(users["www"]) != 2 || len(users["*"]) != 1 {
		t.Errorf("%+v, %v", users, err)
	}
}

// TestNothingListed: without a word nothing is taken without a login, least of
// all from this machine.
func TestNothingListed(t *testing.T) {
	c := Default()
	for _, door := range []string{"smtp", "submission"} {
		for _, a := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "192.0.2.1"} {
			if c.listedAt(door)(netip.MustParseAddr(a)) {
				t.Errorf("%s: %s is listed", door, a)
			}
		}
	}
}

func TestBadSending(t *testing.T) {
	for text, want := range map[string]string{
		"[sending]\nmessages = -1":                                                                 "no bound is negative",
		"[sending]\nsendmail_allow = [\"www\"]":                                                    "not USER=ADDRESS",
		"[sending]\nsendmail_allow = [\"www=rubbish\"]":                                            "not USER=ADDRESS",
		"[[relay_network]]\nnetwork = \"x\"":                                                       "neither an address nor a network",
		"[[relay_network]]\nnetwork = \"10.0.0.1/8\"":                                              "neither an address nor a network",
		"[[relay_network]]\nnetwork = \"10.0.0.0/8\"":                                              "senders wants",
		"[[relay_network]]\nnetwork = \"10.0.0.0/8\"\nsenders = [\"x\"]":                           "senders wants",
		"[[relay_network]]\nnetwork = \"10.0.0.0/8\"\nsenders = [\"@x.test\"]\ndoors = [\"imap\"]": "doors are smtp and submission",
		"[[relay_network]]\nnetwok = \"10.0.0.0/8\"":                                               `unknown key "relay_network.netwok"; did you mean`,
	} {
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
