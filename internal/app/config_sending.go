package app

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/flow/submit"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/state/sending"
)

// Sending is about mail that our users and their machines send. A domain and an
// account may have other bounds (`ekiden domain set`, `ekiden account set`).
type Sending struct {
	Messages   int64 `toml:"messages"`       // of one account within 24 hours; 0 means any number
	Recipients int64 `toml:"recipients"`     // of one account within 24 hours; 0 means any number
	New        int64 `toml:"new_recipients"` // of one account within 24 hours, whom it has not written to before; 0 means any number
	Waiting    int64 `toml:"waiting"`        // deliveries of one account that have to wait: put off, held, or to be released later; 0 means any number
	WaitSize   int64 `toml:"waiting_size"`   // octets of these; 0 means any number
	Watch      bool  `toml:"watch"`          // hold what an account sends when it behaves as a stolen one does
	HideClient bool  `toml:"hide_client"`    // keep the address of the sender's client out of Received

	SendmailSocket string   `toml:"sendmail_socket"` // a unix socket that every user of this machine may send through with `ekiden sendmail`; empty: only this server's own user and root may, through the one in the data directory
	SendmailAllow  []string `toml:"sendmail_allow"`  // who may send as what there: "USER=ADDRESS", "USER=@DOMAIN", and "*=…" for every user
}

// RelayNetwork is a network from which mail is taken without a login, for
// printers and old programs that know none, one [[relay_network]] each. There is
// none unless it stands here: this machine itself is none either.
type RelayNetwork struct {
	Network    string   `toml:"network"`             // an address, or "192.168.7.0/24"
	Senders    []string `toml:"senders"`             // what may be sent from: addresses, or "@example.com" for a whole domain
	Messages   int      `toml:"messages_per_hour"`   // of one address
	Recipients int      `toml:"recipients_per_hour"` // of one address
	Doors      []string `toml:"doors"`               // where: "smtp", "submission" (587, 2525 and 465), or both
}

func defaultSending() Sending {
	return Sending{Messages: 10_000, Recipients: 20_000, New: 2_000, Waiting: 5_000, WaitSize: 2 << 30, Watch: true}
}

// setDefaults fills what the file does not say.
func (n *RelayNetwork) setDefaults() {
	if n.Messages == 0 {
		n.Messages = 100
	}
	if n.Recipients == 0 {
		n.Recipients = 500
	}
	if n.Doors == nil {
		n.Doors = []string{"submission"}
	}
}

// at says whether mail is taken at a door.
func (n *RelayNetwork) at(door string) bool {
	for _, d := range n.Doors {
		if d == door || d == "submission" && strings.HasPrefix(door, d) {
			return true
		}
	}
	return false
}

// prefix reads the network.
func (n *RelayNetwork) prefix() (netip.Prefix, error) {
	if a, err := netip.ParseAddr(n.Network); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(n.Network)
	if err != nil || p != p.Masked() || p.Addr().Is4In6() {
		return p, fmt.Errorf("%q is neither an address nor a network such as 192.168.7.0/24", n.Network)
	}
	return p, nil
}

// parseSenders reads addresses and "@domain".
func parseSenders(in []string) (submit.Senders, error) {
	var all submit.Senders
	for _, s := range in {
		var a mail.Address
		var err error
		if d, ok := strings.CutPrefix(s, "@"); ok {
			a.Domain, err = mail.ParseDomain(d)
		} else {
			a, err = mail.ParseAddress(s)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// checkSending says what cannot work.
func (c *Config) checkSending() error {
	if s := c.Sending; s.Messages < 0 || s.Recipients < 0 || s.New < 0 || s.Waiting < 0 || s.WaitSize < 0 {
		return fmt.Errorf("sending: no bound is negative")
	}
	if _, err := c.sendmailUsers(); err != nil {
		return fmt.Errorf("sending.sendmail_allow: %w", err)
	}
	for i := range c.Networks {
		n := &c.Networks[i]
		n.setDefaults()
		if _, err := n.prefix(); err != nil {
			return fmt.Errorf("relay_network.network: %w", err)
		}
		senders, err := parseSenders(n.Senders)
		if err != nil || len(senders) == 0 {
			return fmt.Errorf("relay_network %s: senders wants addresses or @domains: %v", n.Network, n.Senders)
		}
		if n.Messages < 0 || n.Recipients < 0 {
			return fmt.Errorf("relay_network %s: no number is negative", n.Network)
		}
		for _, d := range n.Doors {
			if d != "smtp" && d != "submission" {
				return fmt.Errorf("relay_network %s: doors are smtp and submission, not %q", n.Network, d)
			}
		}
	}
	return nil
}

// sendmailUsers reads who may send as what through the socket.
func (c *Config) sendmailUsers() (map[string]submit.Senders, error) {
	users := map[string]submit.Senders{}
	for _, entry := range c.Sending.SendmailAllow {
		user, what, ok := strings.Cut(entry, "=")
		senders, err := parseSenders([]string{what})
		if !ok || user == "" || err != nil {
			return nil, fmt.Errorf("%q is not USER=ADDRESS or USER=@DOMAIN", entry)
		}
		users[user] = append(users[user], senders...)
	}
	return users, nil
}

// bounds are those of an account for which nothing else is said.
func (c *Config) bounds() sending.Bounds {
	if c.Limits.Off {
		return sending.Bounds{}
	}
	return sending.Bounds{Messages: c.Sending.Messages, Recipients: c.Sending.Recipients, New: c.Sending.New}
}

// waits bounds what of an account's mail has to wait.
func (c *Config) waits(q *queue.Store) *submit.Waits {
	if c.Limits.Off {
		return nil
	}
	return submit.NewWaits(q.Waits, c.Sending.Waiting, c.Sending.WaitSize)
}

// networks are those that Check found good.
func (c *Config) networks() []submit.Network {
	var all []submit.Network
	for _, n := range c.Networks {
		p, err := n.prefix()
		senders, bad := parseSenders(n.Senders)
		if err == nil && bad == nil {
			all = append(all, submit.Network{Prefix: p, Senders: senders, Messages: n.Messages, Recipients: n.Recipients})
		}
	}
	return all
}

// listedAt says whether an address is in a network from which mail is taken
// without a login at a door.
func (c *Config) listedAt(door string) func(netip.Addr) bool {
	var here []netip.Prefix
	for _, n := range c.Networks {
		if p, err := n.prefix(); err == nil && n.at(door) {
			here = append(here, p)
		}
	}
	return func(a netip.Addr) bool {
		for _, p := range here {
			if p.Contains(a.Unmap().WithZone("")) {
				return true
			}
		}
		return false
	}
}
