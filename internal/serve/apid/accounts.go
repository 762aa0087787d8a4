package apid

import (
	"context"
	"net/http"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// Account is what owns mail.
type Account struct {
	ID       uint64    `json:"id" doc:"never used again"`
	Address  string    `json:"address" example:"alice@example.com"`
	Added    time.Time `json:"added"`
	Quota    int64     `json:"quota" doc:"octets; 0 means none"`
	Messages int64     `json:"max_messages,omitempty" doc:"how many messages it may hold; 0 means any number"`
	Disabled bool      `json:"disabled" doc:"nobody logs in; mail still arrives"`
	Boxes    int64     `json:"max_mailboxes,omitempty" doc:"how many mailboxes it may have; 0 means as many as any account may"`
	Notes    int64     `json:"max_annotations,omitempty" doc:"octets of annotations it may hold; 0 means any number"`
	Quotas   bool      `json:"quota_admin,omitempty" doc:"whether it may set the quotas of the accounts of its domain by IMAP"`
	Use      Use       `json:"use,omitzero" doc:"where it is not as its domain says"`
	Usage    *Usage    `json:"usage,omitempty" doc:"only where one account is asked for"`

	Sending   Sending    `json:"sending" doc:"bounds of what it sends"`
	Reports   OwnReports `json:"reports" doc:"on what it sends"`
	Screening Screening  `json:"screening" doc:"of what strangers send to it"`
	Held      *time.Time `json:"held,omitempty" doc:"since when what it sends waits in the queue for an operator"`
	HeldFor   string     `json:"held_for,omitempty" doc:"why"`

	Sent *SentLately `json:"sent,omitempty" doc:"within 24 hours; only where one account is asked for"`
}

// Usage is what an account holds.
type Usage struct {
	Octets   int64 `json:"octets"`
	Messages int64 `json:"messages"`
}

func accountBody(a directory.Account) Account {
	out := Account{
		ID: uint64(a.ID), Address: a.Address.String(), Added: a.Added, Quota: a.Quota, Messages: a.MaxMessages, Disabled: a.Disabled,
		Boxes: a.MaxMailboxes, Notes: a.MaxAnnotations, Quotas: a.QuotaAdmin, Use: useBody(a.Use),
		Sending: sendingBody(a.Sending), HeldFor: a.HeldFor, Reports: OwnReports{Language: a.Reports.Language, Signed: a.Reports.Signed},
		Screening: Screening(a.Screening),
	}
	if !a.Held.IsZero() {
		out.Held = &a.Held
	}
	return out
}

// AccountPath names an account.
type AccountPath struct {
	Address string `path:"address" maxLength:"400"`
}

// The password has no limits in the schema: complaints about it are made by
// what knows not to repeat it.
type newAccount struct {
	Body struct {
		Address  string `json:"address" maxLength:"400"`
		Password string `json:"password,omitempty" doc:"1 to 1024 octets"`
		Hash     string `json:"hash,omitempty" doc:"instead of a password: argon2id in PHC form"`
		Quota    int64  `json:"quota,omitempty" minimum:"0" doc:"octets; 0 means none"`
		Messages int64  `json:"max_messages,omitempty" minimum:"0" doc:"how many messages it may hold; 0 means any number"`
	}
}

type changedAccount struct {
	AccountPath
	Body struct {
		Password *string `json:"password,omitempty"`
		Hash     *string `json:"hash,omitempty" doc:"instead of a password: argon2id in PHC form"`
		Quota    *int64  `json:"quota,omitempty" minimum:"0"`
		Messages *int64  `json:"max_messages,omitempty" minimum:"0"`
		Boxes    *int64  `json:"max_mailboxes,omitempty" minimum:"0"`
		Notes    *int64  `json:"max_annotations,omitempty" minimum:"0"`
		Quotas   *bool   `json:"quota_admin,omitempty"`
		Disabled *bool   `json:"disabled,omitempty"`

		Sending   *changedSending    `json:"sending,omitempty" doc:"bounds of what it sends within 24 hours"`
		Reports   *changedOwnReports `json:"reports,omitempty"`
		Screening *changedScreening  `json:"screening,omitempty"`
		Use       *changedUse        `json:"use,omitempty"`
	}
}

// changes says whether a request names more than a password.
func (c *changedAccount) changes() bool {
	b := c.Body
	b.Password, b.Hash = nil, nil
	return b != changedAccount{}.Body
}

type inDomain struct {
	Domain string `query:"domain" maxLength:"255" doc:"only those of this domain"`
}

// parse gives the domain asked for, "" for all.
func (in inDomain) parse() (mail.Domain, error) {
	if in.Domain == "" {
		return "", nil
	}
	return parseDomain(in.Domain)
}

type accountsQuery struct {
	Domain string `query:"domain" maxLength:"255" doc:"only those of this domain"`
	After  uint64 `query:"after" doc:"only those with a greater id: the last one of the page before"`
	Limit  int    `query:"limit" default:"10000" minimum:"1" maximum:"10000"`
}

type accountList struct {
	Items []Account `json:"items" doc:"in the order of their ids"`
	More  bool      `json:"more,omitempty" doc:"the limit was reached"`
}

func (s *server) accounts() {
	register(s, operation(http.MethodGet, "/accounts", "list-accounts", "accounts", "List the accounts"),
		func(ctx context.Context, in *accountsQuery) (accountList, error) {
			out := accountList{Items: []Account{}}
			d, err := inDomain{in.Domain}.parse()
			if err != nil {
				return out, err
			}
			all, err := s.o.Directory.Accounts(ctx)
			for _, a := range all {
				if uint64(a.ID) <= in.After || d != "" && a.Address.Domain != d {
					continue
				}
				if out.More = len(out.Items) == in.Limit; out.More {
					break
				}
				out.Items = append(out.Items, accountBody(a))
			}
			return out, err
		})
	add := operation(http.MethodPost, "/accounts", "add-account", "accounts", "Add an account with its mailboxes")
	add.DefaultStatus = http.StatusCreated
	register(s, add, s.addAccount)
	register(s, operation(http.MethodGet, "/accounts/{address}", "show-account", "accounts", "Show an account"),
		func(ctx context.Context, in *AccountPath) (Account, error) { return s.account(ctx, in.Address) })
	register(s, operation(http.MethodPatch, "/accounts/{address}", "set-account", "accounts", "Change an account"), s.setAccount)
	register(s, operation(http.MethodDelete, "/accounts/{address}", "remove-account", "accounts", "Remove an account and all its mail"), s.removeAccount)
}

// account shows one with its usage.
func (s *server) account(ctx context.Context, address string) (Account, error) {
	addr, err := parseAddress(address)
	if err != nil {
		return Account{}, err
	}
	a, err := s.o.Directory.Account(ctx, addr)
	if err != nil {
		return Account{}, err
	}
	out := accountBody(a)
	if s.o.Lately != nil {
		sent, err := s.o.Lately(ctx, a.ID)
		if err != nil {
			return out, err
		}
		out.Sent = &sent
	}
	return out, s.o.Mailbox.View(ctx, a.ID, func(tx *mailbox.Tx) error {
		u, err := tx.Usage()
		out.Usage = &Usage{Octets: u.Octets, Messages: u.Messages}
		return err
	})
}

// credentials makes them of a password or of a hash.
func (s *server) credentials(ctx context.Context, addr mail.Address, password, hash string) (directory.Credentials, error) {
	switch {
	case password != "" && hash != "":
		return directory.Credentials{}, fault.New(fault.Invalid, "apid", "a password or a hash, not both")
	case hash != "":
		if err := login.ParsePHC(hash); err != nil {
			return directory.Credentials{}, fault.Newf(fault.Invalid, "apid", "%v", err)
		}
		return directory.Credentials{Argon2: hash}, nil
	}
	return s.o.Login.NewCredentialsFor(ctx, addr.Domain, password)
}

func (s *server) addAccount(ctx context.Context, in *newAccount) (Account, error) {
	addr, err := parseAddress(in.Body.Address)
	if err != nil {
		return Account{}, err
	}
	c, err := s.credentials(ctx, addr, in.Body.Password, in.Body.Hash)
	if err != nil {
		return Account{}, err
	}
	a, err := s.o.Directory.AddAccount(ctx, addr, c, in.Body.Quota)
	if err != nil {
		return Account{}, err
	}
	if n := in.Body.Messages; n > 0 {
		err := s.o.Directory.UpdateAccount(ctx, addr, func(a *directory.Account) error {
			a.MaxMessages = n
			return nil
		})
		if err != nil {
			return accountBody(a), err
		}
		a.MaxMessages = n
	}
	// From here on the account is there. Mailboxes that cannot be made now are
	// made by the first message.
	err = s.o.Mailbox.Update(context.WithoutCancel(ctx), a.ID, a.ID, func(tx *mailbox.Tx) error { return tx.Provision() })
	return accountBody(a), err
}

func (s *server) setAccount(ctx context.Context, in *changedAccount) (Account, error) {
	addr, err := parseAddress(in.Address)
	if err != nil {
		return Account{}, err
	}
	a, err := s.o.Directory.Account(ctx, addr)
	if err != nil {
		return Account{}, err
	}
	if b := in.Body; b.Password != nil || b.Hash != nil {
		if err := s.setPassword(ctx, a, value(b.Password), value(b.Hash)); err != nil {
			return Account{}, err
		}
	}
	if b := in.Body; in.changes() {
		err := s.o.Directory.UpdateAccount(ctx, addr, func(a *directory.Account) error {
			if b.Quota != nil {
				a.Quota = *b.Quota
			}
			if b.Messages != nil {
				a.MaxMessages = *b.Messages
			}
			if b.Disabled != nil {
				a.Disabled = *b.Disabled
			}
			assign(&a.MaxMailboxes, b.Boxes)
			assign(&a.MaxAnnotations, b.Notes)
			assign(&a.QuotaAdmin, b.Quotas)
			b.Use.apply(&a.Use)
			b.Sending.apply(&a.Sending)
			b.Reports.apply(&a.Reports)
			b.Screening.apply(&a.Screening)
			return nil
		})
		if err != nil {
			return Account{}, err
		}
	}
	return s.account(ctx, in.Address)
}

// setPassword gives an account another password, or a hash of one.
func (s *server) setPassword(ctx context.Context, a directory.Account, password, hash string) error {
	if hash == "" {
		return s.o.Login.SetPassword(ctx, a.Address, password)
	}
	c, err := s.credentials(ctx, a.Address, password, hash)
	if err != nil {
		return err
	}
	return s.o.Directory.SetCredentials(ctx, a.ID, c)
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// removeAccount takes the name away first, so that no mail arrives any more,
// and then the mail.
func (s *server) removeAccount(ctx context.Context, in *AccountPath) (Account, error) {
	was, err := s.account(ctx, in.Address)
	if err != nil {
		return was, err
	}
	addr, err := parseAddress(was.Address)
	if err != nil {
		return was, err
	}
	if err := s.o.Directory.RemoveAccount(ctx, addr); err != nil {
		return was, err
	}
	return was, s.o.Mailbox.RemoveAccount(context.WithoutCancel(ctx), mail.AccountID(was.ID))
}
