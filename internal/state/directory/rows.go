package directory

import (
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// The keys. A name is an address that means something here: an account or an
// alias; it stands under its domain so that a domain is one range.
func under(kind string) kv.Key            { return kv.NewKey(kv.DirectoryShard()).Text(kind) }
func nextKey() kv.Key                     { return under("next") }
func secretKey() kv.Key                   { return under("secret") }
func domainKey(d mail.Domain) kv.Key      { return under("domain").Text(string(d)) }
func accountKey(id mail.AccountID) kv.Key { return under("account").Uint64(uint64(id)) }
func credKey(id mail.AccountID) kv.Key    { return under("cred").Uint64(uint64(id)) }
func grantsKey(a mail.Address) kv.Key     { return under("grant").Text(string(a.Domain)).Text(a.Local) }
func namesKey(d mail.Domain) kv.Key       { return under("name").Text(string(d)) }
func nameKey(a mail.Address) kv.Key       { return namesKey(a.Domain).Text(a.Local) }

// Rows are an octet that says which encoding it is, and JSON.
const encoding1 = 1

var errRow = errors.New("malformed directory row")

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // the rows below are made of texts and numbers
		return nil
	}
	return append([]byte{encoding1}, b...)
}

func decode(b []byte, v any) error {
	if len(b) == 0 || b[0] != encoding1 || json.Unmarshal(b[1:], v) != nil {
		return errRow
	}
	return nil
}

// addrRow is an address as [local, domain], which holds any local part as it is.
type addrRow [2]string

func toRow(a mail.Address) addrRow { return addrRow{a.Local, string(a.Domain)} }

func (r addrRow) address() mail.Address {
	return mail.Address{Local: r[0], Domain: mail.Domain(r[1])}
}

type domainRow struct {
	Added      int64    `json:"at"` // Unix seconds
	Postmaster *addrRow `json:"pm,omitempty"`
	Settings   Settings `json:"set,omitzero"`
}

type accountRow struct {
	Address     addrRow `json:"addr"`
	Added       int64   `json:"at"`
	Quota       int64   `json:"quota,omitempty"`
	MaxMessages int64   `json:"max,omitempty"`
	Disabled    bool    `json:"off,omitempty"`
	Changed     uint64  `json:"stamp"`
	Sending     Sending `json:"send,omitzero"`
	Held        int64   `json:"held,omitempty"` // Unix seconds
	HeldFor     string  `json:"why,omitempty"`
	Reports     Reports `json:"rep,omitzero"`
	Boxes       int64   `json:"boxes,omitempty"`
	Annotations int64   `json:"notes,omitempty"`
	QuotaAdmin  bool    `json:"qadm,omitempty"`
	Use         Use     `json:"use,omitzero"`

	Screening Screening `json:"scr,omitzero"`
}

type nameRow struct {
	Account uint64    `json:"acct,omitempty"` // or it is an alias
	Targets []addrRow `json:"to,omitempty"`
	Owner   *addrRow  `json:"own,omitempty"`
	Added   int64     `json:"at,omitempty"`
}

func decodeDomain(name mail.Domain, b []byte) (Domain, error) {
	var row domainRow
	if err := decode(b, &row); err != nil {
		return Domain{}, err
	}
	d := Domain{Name: name, Added: time.Unix(row.Added, 0).UTC(), Settings: row.Settings}
	if row.Postmaster != nil {
		d.Postmaster = row.Postmaster.address()
	}
	return d, nil
}

func (d Domain) encode() []byte {
	row := domainRow{Added: d.Added.Unix(), Settings: d.Settings}
	if !d.Postmaster.IsNull() {
		a := toRow(d.Postmaster)
		row.Postmaster = &a
	}
	return encode(row)
}

func decodeAccount(id mail.AccountID, b []byte) (Account, error) {
	var row accountRow
	if err := decode(b, &row); err != nil {
		return Account{}, err
	}
	a := Account{
		ID: id, Address: row.Address.address(), Added: time.Unix(row.Added, 0).UTC(),
		Quota: row.Quota, MaxMessages: row.MaxMessages, Disabled: row.Disabled, Changed: row.Changed,
		Sending: row.Sending, HeldFor: row.HeldFor, Reports: row.Reports, Screening: row.Screening,
		MaxMailboxes: row.Boxes, MaxAnnotations: row.Annotations, QuotaAdmin: row.QuotaAdmin, Use: row.Use,
	}
	if row.Held != 0 {
		a.Held = time.Unix(row.Held, 0).UTC()
	}
	return a, nil
}

func (a Account) encode() []byte {
	row := accountRow{
		Address: toRow(a.Address), Added: a.Added.Unix(), Quota: a.Quota, MaxMessages: a.MaxMessages, Disabled: a.Disabled,
		Changed: a.Changed, Sending: a.Sending, HeldFor: a.HeldFor, Reports: a.Reports, Screening: a.Screening,
		Boxes: a.MaxMailboxes, Annotations: a.MaxAnnotations, QuotaAdmin: a.QuotaAdmin, Use: a.Use,
	}
	if !a.Held.IsZero() {
		row.Held = a.Held.Unix()
	}
	return encode(row)
}

// name is what stands under an address.
type name struct {
	account mail.AccountID
	targets []mail.Address
	owner   mail.Address // of a list; null: it is none
	added   time.Time
}

func decodeName(b []byte) (name, error) {
	var row nameRow
	if err := decode(b, &row); err != nil {
		return name{}, err
	}
	if (row.Account == 0) == (len(row.Targets) == 0) {
		return name{}, errRow
	}
	n := name{account: mail.AccountID(row.Account), added: time.Unix(row.Added, 0).UTC()}
	if row.Owner != nil {
		n.owner = row.Owner.address()
	}
	for _, t := range row.Targets {
		n.targets = append(n.targets, t.address())
	}
	return n, nil
}

func (n name) encode() []byte {
	row := nameRow{Account: uint64(n.account)}
	if n.account == 0 {
		row.Added = n.added.Unix()
	}
	for _, t := range n.targets {
		row.Targets = append(row.Targets, toRow(t))
	}
	if !n.owner.IsNull() {
		owner := toRow(n.owner)
		row.Owner = &owner
	}
	return encode(row)
}

// rows reads the directory at one moment.
type rows struct {
	kv.Reader
	kept *generation // what is remembered of this moment; nil in a transaction
}

// read gives the row under key, decoded, from memory if it is there. What it
// gives is shared and must not be changed.
func read[T any](r rows, key kv.Key, decode func([]byte) (T, error)) (v T, ok bool, err error) {
	if k, there := r.kept.get(key); there {
		v, ok = k.(T)
		return v, ok, nil
	}
	b, ok, err := r.Get(key)
	if err != nil {
		return v, false, err
	}
	if !ok {
		r.kept.put(key, nil)
		return v, false, nil
	}
	if v, err = decode(b); err != nil {
		return v, false, fault.As(fault.Corrupt, "directory.read", err)
	}
	r.kept.put(key, v)
	return v, true, nil
}

func (r rows) domain(d mail.Domain) (Domain, bool, error) {
	return read(r, domainKey(d), func(b []byte) (Domain, error) { return decodeDomain(d, b) })
}

func (r rows) account(id mail.AccountID) (Account, bool, error) {
	return read(r, accountKey(id), func(b []byte) (Account, error) { return decodeAccount(id, b) })
}

// name takes a folded address.
func (r rows) name(a mail.Address) (name, bool, error) { return read(r, nameKey(a), decodeName) }

// accountAt takes a folded address. fault.NotFound.
func (r rows) accountAt(op string, a mail.Address) (Account, error) {
	n, ok, err := r.name(a)
	if err == nil && ok && n.account != 0 {
		var acct Account
		if acct, ok, err = r.account(n.account); err == nil && ok {
			return acct, nil
		}
	}
	if err != nil {
		return Account{}, err
	}
	return Account{}, fault.Newf(fault.NotFound, op, "there is no account %s", a)
}

// cache keeps rows of one version of the directory. Any commit makes a new
// version, so nothing that is remembered is ever out of date.
type cache struct {
	mu  sync.Mutex
	now *generation
}

// maxKept bounds a generation, in rows.
const maxKept = 20_000

// generation is what is remembered of one version.
type generation struct {
	version kv.Version
	mu      sync.RWMutex
	rows    map[string]any // decoded; nil where there is no row
	ways    map[mail.Address]resolved
}

// resolved is what Resolve found.
type resolved struct {
	Resolution
	none error // why nothing, where nothing is the answer
}

func (g *generation) way(a mail.Address) (resolved, bool) {
	if g == nil {
		return resolved{}, false
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	w, ok := g.ways[a]
	return w, ok
}

func (g *generation) keep(a mail.Address, w resolved) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.ways) >= maxKept {
		clear(g.ways)
	}
	g.ways[a] = w
}

// at gives the memory of a version, or nil if the version is one of the past.
func (c *cache) at(v kv.Version) *generation {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.now == nil || c.now.version < v:
		c.now = &generation{version: v, rows: map[string]any{}, ways: map[mail.Address]resolved{}}
	case c.now.version > v:
		return nil
	}
	return c.now
}

func (g *generation) get(key kv.Key) (any, bool) {
	if g == nil {
		return nil, false
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	v, ok := g.rows[string(key)]
	return v, ok
}

func (g *generation) put(key kv.Key, v any) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.rows) >= maxKept {
		clear(g.rows)
	}
	g.rows[string(key)] = v
}
