package directory

import (
	"testing"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

func TestUse(t *testing.T) {
	server := Use{Trash: 30, POPSeen: No}
	domain := Use{Protocols: "imap,smtp", Junk: 14}
	own := Use{Junk: -1}
	got := own.Over(domain).Over(server)
	want := Use{Protocols: "imap,smtp", Junk: -1, Trash: 30, POPSeen: No}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, c := range []struct {
		protocols string
		protocol  string
		want      bool
	}{
		{"", "pop3", true}, {"all", "pop3", true}, {"imap", "pop3", false}, {"imap,pop3", "pop3", true}, {"imap", "ma", false},
	} {
		if got := (Use{Protocols: c.protocols}).Allows(c.protocol); got != c.want {
			t.Errorf("%q, %s: %v", c.protocols, c.protocol, got)
		}
	}
	for _, bad := range []Use{{Protocols: "gopher"}, {Protocols: "all,imap"}, {Protocols: "imap,"}, {Trash: MaxClearDays + 1}, {POPSeen: "maybe"}} {
		if err := bad.check(""); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
