package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// AccountCmd is `ekiden account`.
type AccountCmd struct {
	Add         accountAddCmd     `cmd:"" help:"Add an account. Without --password-stdin the password is asked for, or made up and printed."`
	List        accountListCmd    `cmd:"" help:"List the accounts."`
	Show        accountShowCmd    `cmd:"" help:"Show an account."`
	Set         accountSetCmd     `cmd:"" help:"Change an account."`
	AppPassword AppPasswordCmd    `cmd:"" help:"Passwords for single programs, which can be revoked by themselves."`
	TOTP        TOTPCmd           `cmd:"" name:"totp" help:"One-time codes, as authenticators show them."`
	Remove      accountRemoveCmd  `cmd:"" help:"Remove an account and all its mail."`
	Grant       GrantCmd          `cmd:"" help:"What an account may send as besides its own addresses."`
	Hold        accountHoldCmd    `cmd:"" help:"Keep what an account sends in the queue."`
	Release     accountReleaseCmd `cmd:"" help:"Let an account that was held send again, and what it sent meanwhile go out."`
}

type accountAddCmd struct {
	At
	Address       string `arg:"" help:"The address, which is the login name too."`
	PasswordStdin bool   `help:"Read the password from standard input: its first line."`
	Quota         string `placeholder:"5GB" help:"How much mail the account may hold."`
	MaxMessages   int64  `placeholder:"N" help:"How many messages the account may hold."`
}

// newPassword is an account as it was added, with the password that was made up for it.
type newPassword struct {
	apid.Account
	Password string `json:"password,omitempty"`
}

// Run adds an account.
func (c *accountAddCmd) Run() error {
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	quota, err := parseSize(c.Quota)
	if err != nil {
		return err
	}
	password, made, err := choosePassword(c.PasswordStdin, c.Address)
	if err != nil {
		return err
	}
	var out newPassword
	in := map[string]any{"address": c.Address, "password": password, "quota": quota, "max_messages": c.MaxMessages}
	if err := c.call(http.MethodPost, "/accounts", in, &out.Account); err != nil {
		return err
	}
	if made {
		out.Password = password
	}
	return c.print(out, func(w io.Writer) {
		fmt.Fprintln(w, "account", clean(out.Address), "added")
		if made {
			fmt.Fprintln(w, "password:", password)
		}
	})
}

// choosePassword reads a password or, where nobody can be asked, makes one up.
func choosePassword(stdin bool, address string) (password string, made bool, err error) {
	switch {
	case stdin:
		password, err = firstLine(os.Stdin)
		return password, false, err
	case isTerminal(os.Stdin):
		password, err = askTwice("password for " + clean(address) + " (empty: make one up): ")
		if err != nil || password != "" {
			return password, false, err
		}
	}
	s := strings.ToLower(rand.Text())
	return strings.Join([]string{s[:5], s[5:10], s[10:15], s[15:20]}, "-"), true, nil
}

// firstLine reads a line of at most 4 KiB.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errors.New("standard input holds no password")
	}
	return line, nil
}

// parseSize reads "5GB" (powers of 1000), "5GiB" (powers of 1024), plain octets,
// and "none" or nothing for 0.
func parseSize(s string) (int64, error) {
	if s == "" || strings.EqualFold(s, "none") {
		return 0, nil
	}
	digits := strings.TrimRight(s, "KMGTiBkmgtb ")
	unit := strings.ToUpper(strings.TrimSpace(s[len(digits):]))
	n, err := strconv.ParseFloat(digits, 64)
	power := strings.Index("BKMGT", (strings.TrimSuffix(strings.TrimSuffix(unit, "B"), "I") + "B")[:1])
	base := 1000.0
	if strings.HasSuffix(unit, "IB") {
		base = 1024
	}
	if err != nil || power < 0 || len(unit) > 3 || !(n >= 0) || n*math.Pow(base, float64(power)) > 1<<62 {
		return 0, usageError{fmt.Errorf("%q is not a size such as 500MB, 5GB, 5GiB or none", s)}
	}
	return int64(n * math.Pow(base, float64(power))), nil
}

// size writes octets for people.
func size(n int64) string {
	units := []string{"B", "KB", "MB", "GB", "TB"}
	f, i := float64(n), 0
	for f >= 1000 && i < len(units)-1 {
		f /= 1000
		i++
	}
	return strconv.FormatFloat(f, 'f', min(i, 1), 64) + " " + units[i]
}

func quota(n int64) string {
	if n == 0 {
		return "none"
	}
	return size(n)
}

type accountListCmd struct {
	At
	Domain string `placeholder:"NAME" help:"Only those of this domain."`
}

// Run lists the accounts.
func (c *accountListCmd) Run() error {
	all, err := c.accounts(c.Domain)
	if err != nil {
		return err
	}
	return c.print(all, func(w io.Writer) {
		row(w, "ID", "ADDRESS", "QUOTA", "STATE", "ADDED")
		for _, a := range all.Items {
			row(w, a.ID, a.Address, quota(a.Quota), accountState(a), date(a.Added))
		}
	})
}

// accounts asks for the accounts of a domain, or of all, page by page.
func (a *At) accounts(domain string) (all items[apid.Account], err error) {
	ctx, stop := untilSignal()
	defer stop()
	server, err := a.connect(ctx, true)
	if err != nil {
		return all, err
	}
	defer func() { err = errors.Join(err, server.close()) }()
	all.Items = []apid.Account{}
	for more, after := true, uint64(0); more; {
		var page struct {
			items[apid.Account]
			More bool `json:"more"`
		}
		if err := server.call(ctx, http.MethodGet, fmt.Sprintf("/accounts?domain=%s&after=%d", url.QueryEscape(domain), after), nil, &page); err != nil {
			return all, err
		}
		all.Items = append(all.Items, page.Items...)
		if more = page.More && len(page.Items) > 0; more {
			after = page.Items[len(page.Items)-1].ID
		}
	}
	return all, nil
}

func accountState(a apid.Account) string {
	if a.Disabled {
		return "disabled"
	}
	return "enabled"
}

type accountShowCmd struct {
	At
	Address string `arg:"" help:"The account."`
}

// Run shows an account.
func (c *accountShowCmd) Run() error {
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	var a apid.Account
	if err := c.call(http.MethodGet, at("accounts", c.Address), nil, &a); err != nil {
		return err
	}
	return c.print(a, func(w io.Writer) {
		row(w, "account", a.Address)
		row(w, "id", a.ID)
		row(w, "state", accountState(a))
		row(w, "quota", quota(a.Quota))
		if a.Messages > 0 {
			row(w, "messages at most", a.Messages)
		}
		if a.Boxes > 0 {
			row(w, "mailboxes at most", a.Boxes)
		}
		if a.Notes > 0 {
			row(w, "annotations at most", size(a.Notes))
		}
		if a.Quotas {
			row(w, "sets quotas", "of the accounts of its domain")
		}
		showUse(w, a.Use)
		if a.Usage != nil {
			row(w, "used", size(a.Usage.Octets))
			row(w, "messages", a.Usage.Messages)
		}
		if a.Sending != (apid.Sending{}) {
			row(w, "sends in 24 hours", bounds(a.Sending))
		}
		if s := a.Sent; s != nil {
			row(w, "sent in 24 hours", fmt.Sprintf("messages %d, recipients %d (%d new, %d refused)", s.Messages, s.Recipients, s.New, s.Refused))
		}
		showReports(w, apid.Reports{OwnReports: a.Reports})
		showScreening(w, a.Screening)
		if a.Held != nil {
			row(w, "held", second(*a.Held)+", because "+a.HeldFor)
		}
		row(w, "added", second(a.Added))
	})
}

type accountSetCmd struct {
	At
	Address       string  `arg:"" help:"The account."`
	Password      bool    `xor:"password" help:"Ask for a new password, or make one up and print it."`
	PasswordStdin bool    `xor:"password" help:"Read the new password from standard input: its first line."`
	Quota         *string `placeholder:"5GB" help:"How much mail the account may hold; none for no limit."`
	MaxMessages   *int64  `placeholder:"N" help:"How many messages the account may hold; 0 for no limit."`
	Disable       bool    `xor:"state" help:"Let nobody log in; mail still arrives."`
	Enable        bool    `xor:"state" help:"Let its owner log in again."`

	MaxMailboxes   *int64  `placeholder:"N" help:"How many mailboxes the account may have; 0 for no limit of its own."`
	MaxAnnotations *string `placeholder:"1MB" help:"How much the annotations of its mailboxes may hold; none for no limit."`
	QuotaAdmin     *bool   `negatable:"" help:"Whether it may set the quotas of the accounts of its domain by IMAP."`
	UseOptions
	OwnReports
	Screening
	Bounds
}

// others adds what concerns the account's use.
func (c *accountSetCmd) others(in map[string]any) error {
	if c.MaxMailboxes != nil {
		in["max_mailboxes"] = *c.MaxMailboxes
	}
	if c.MaxAnnotations != nil {
		n, err := parseSize(*c.MaxAnnotations)
		if err != nil {
			return err
		}
		in["max_annotations"] = n
	}
	if c.QuotaAdmin != nil {
		in["quota_admin"] = *c.QuotaAdmin
	}
	use, err := c.use()
	if use != nil {
		in["use"] = use
	}
	return err
}

// Run changes an account.
func (c *accountSetCmd) Run() error {
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	in := map[string]any{}
	if c.Quota != nil {
		n, err := parseSize(*c.Quota)
		if err != nil {
			return err
		}
		in["quota"] = n
	}
	if c.MaxMessages != nil {
		in["max_messages"] = *c.MaxMessages
	}
	if c.Disable || c.Enable {
		in["disabled"] = c.Disable
	}
	if err := c.others(in); err != nil {
		return err
	}
	sending, err := c.sending()
	if err != nil {
		return err
	}
	if sending != nil {
		in["sending"] = sending
	}
	if r := c.reports(); len(r) > 0 {
		in["reports"] = r
	}
	if s := c.screening(); len(s) > 0 {
		in["screening"] = s
	}
	var out newPassword
	if c.Password || c.PasswordStdin {
		password, made, err := choosePassword(c.PasswordStdin, c.Address)
		if err != nil {
			return err
		}
		if in["password"] = password; made {
			out.Password = password
		}
	}
	if len(in) == 0 {
		return usageError{errors.New("nothing to set: give --password, --password-stdin, --quota, --max-messages, --disable or --enable")}
	}
	if err := c.call(http.MethodPatch, at("accounts", c.Address), in, &out.Account); err != nil {
		return err
	}
	return c.print(out, func(w io.Writer) {
		fmt.Fprintln(w, "account", clean(out.Address), "changed")
		if out.Password != "" {
			fmt.Fprintln(w, "password:", out.Password)
		}
	})
}

type accountRemoveCmd struct {
	At
	Address string `arg:"" help:"The account."`
}

// Run removes an account.
func (c *accountRemoveCmd) Run() error {
	if err := mustAddress(c.Address, false); err != nil {
		return err
	}
	var a apid.Account
	if err := c.call(http.MethodDelete, at("accounts", c.Address), nil, &a); err != nil {
		return err
	}
	return c.say(a, "account %s removed", a.Address)
}
