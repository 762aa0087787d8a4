package directory

import (
	"context"
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Resolve says where an address leads. It is looked for as it is, then without
// its sub-address, then among the names every domain has (postmaster, abuse),
// then in the domain that its own is another name of; then the domain's relay
// or its catch-all is taken. Aliases are followed to MaxDepth; loops are cut, and
// what an alias leads to more than once is named once. What it gives is
// remembered for as long as the directory does not change.
// fault.NotFound: no such recipient here; fault.Denied: not a domain of ours;
// fault.TooLarge: beyond MaxTargets.
func (s *Store) Resolve(ctx context.Context, a mail.Address) (Resolution, error) {
	const op = "directory.Resolve"
	var res Resolution
	var none error
	err := s.view(ctx, func(r rows) error {
		if known, ok := r.kept.way(a); ok {
			res, none = known.Resolution, known.none
			return nil
		}
		e := expansion{rows: r}
		res = Resolution{}
		switch none = e.begin(a); {
		case none == nil:
			res = e.out
		case fault.Is(none, fault.Denied):
			return nil // there are more domains elsewhere than can be remembered
		case !fault.Is(none, fault.NotFound) && !fault.Is(none, fault.TooLarge):
			return none
		}
		r.kept.keep(a, resolved{res, none})
		return nil
	})
	if err == nil {
		err = none
	}
	return res, fault.Wrap(op, err)
}

// Here says whether mail for a is laid down here, and not sent to where it is
// relayed; a domain that is not ours is not.
func (s *Store) Here(ctx context.Context, a mail.Address) (bool, error) {
	res, err := s.Resolve(ctx, a)
	switch {
	case fault.Is(err, fault.Denied):
		return false, nil
	case fault.Is(err, fault.NotFound), fault.Is(err, fault.TooLarge):
		return true, nil // where its sender is told
	case err != nil:
		return false, err
	}
	return len(res.Accounts)+len(res.Lists) > 0 || len(res.Remote) != 1 || len(res.Relayed) != 1 || res.Relayed[0] != a, nil
}

// IsRole says whether a is an address that every domain has: postmaster or
// abuse.
func IsRole(a mail.Address) bool {
	local, _ := foldLocal(a.Local)
	return isRole(local)
}

// isRole says whether every domain has a folded local part: RFC 5321 §4.5.1
// wants postmaster, RFC 2142 abuse.
func isRole(local string) bool { return local == "postmaster" || local == "abuse" }

// expansion follows one address. Its steps say whether anything was reached on
// their way, new or reached before.
type expansion struct {
	rows
	out     Resolution
	seen    map[mail.Address]bool // names and remote addresses followed, and whether they reached anything
	reached map[mail.AccountID]bool
	steps   int
}

// maxSteps bounds the names looked at on the way, most of which lead nowhere new.
const maxSteps = 10 * MaxTargets

func (e *expansion) begin(a mail.Address) error {
	const op = "directory.Resolve"
	role := IsRole(a)
	if a.Domain == "" && role {
		return e.server(op)
	}
	if _, ok, err := e.domain(a.Domain); err != nil {
		return err
	} else if !ok {
		return fault.New(fault.Denied, op, "that domain is not one of ours, and we do not relay to it")
	}
	hit, err := e.follow(a, "", 0)
	if err == nil && !hit && role {
		// Whatever an operator has done to postmaster, it reaches somebody.
		hit, err = e.role(a.Domain, 0)
	}
	if err == nil && !hit {
		err = fault.New(fault.NotFound, op, "there is no such recipient here")
	}
	return err
}

// follow adds what a leads to. detail is the sub-address of the alias that led
// here; one of a's own goes before it.
func (e *expansion) follow(a mail.Address, detail string, depth int) (hit bool, err error) {
	if e.steps++; e.steps > maxSteps || e.members() > MaxTargets {
		return false, fault.New(fault.TooLarge, "directory.Resolve", "that address leads to too many others")
	}
	if depth > MaxDepth {
		return false, nil
	}
	d, ok, err := e.domain(a.Domain)
	if err != nil {
		return false, err
	}
	if !ok {
		return e.away(a, false), nil
	}
	at, n, own, ok, err := e.find(a, d.Settings.Separators())
	if err != nil {
		return false, err
	}
	if own != "" {
		detail = own
	}
	switch {
	case ok:
	case d.Settings.AliasOf != "":
		return e.follow(mail.Address{Local: a.Local, Domain: d.Settings.AliasOf}, detail, depth+1)
	case isRole(at.Local) && !(d.Settings.Relay.On() && d.Postmaster.IsNull()):
		return e.role(at.Domain, depth)
	case d.Settings.Relay.On():
		return e.away(a, true), nil
	default:
		at.Local = ""
		if n, ok, err = e.name(at); err != nil || !ok {
			return false, err
		}
	}
	if n.account != 0 {
		return e.reach(n.account, detail)
	}
	if !n.owner.IsNull() {
		return e.list(at, n, depth)
	}
	return e.spread(at, n.targets, detail, depth)
}

// list adds a mailing list and its members; whoever was reached on the way before is
// none of them.
func (e *expansion) list(at mail.Address, n name, depth int) (hit bool, err error) {
	outer := e.out
	e.out = Resolution{}
	hit, err = e.spread(at, n.targets, "", depth)
	l, inner := List{at, n.owner, e.out.Accounts, e.out.Remote, e.out.Relayed}, e.out.Lists
	e.out = outer
	if l.Members() > 0 {
		e.out.Lists = append(e.out.Lists, l)
	}
	e.out.Lists = append(e.out.Lists, inner...)
	return hit, err
}

// members counts what was reached for the present list, or without one.
func (e *expansion) members() int { return len(e.out.Accounts) + len(e.out.Remote) }

// away adds an address whose mail goes elsewhere.
func (e *expansion) away(a mail.Address, relayed bool) (hit bool) {
	if !e.see(a, true) {
		e.out.Remote = append(e.out.Remote, a)
		if relayed {
			e.out.Relayed = append(e.out.Relayed, a)
		}
	}
	return true
}

// see notes that a was followed and whether it reached anything, and says
// whether it had been noted before.
func (e *expansion) see(a mail.Address, hit bool) (before bool) {
	if e.seen == nil {
		e.seen = map[mail.Address]bool{}
	}
	_, before = e.seen[a]
	e.seen[a] = hit
	return before
}

// spread follows the targets of the alias at. One that was followed before is
// not followed again, which cuts loops.
func (e *expansion) spread(at mail.Address, targets []mail.Address, detail string, depth int) (hit bool, err error) {
	if hit, ok := e.seen[at]; ok {
		return hit, nil
	}
	e.see(at, false)
	for _, t := range targets {
		h, err := e.follow(t, detail, depth+1)
		if err != nil {
			return false, err
		}
		hit = hit || h
	}
	e.seen[at] = hit
	return hit, nil
}

// maxCuts bounds the separators of one address that are looked behind.
const maxCuts = 4

// base is a name that an address may stand for, folded, and the sub-address
// that is cut off then.
type base struct {
	mail.Address
	detail string
}

// bases are an address itself and what is before each of its separators, the
// longest first.
func bases(a mail.Address, separators string) []base {
	whole := Fold(a)
	names := append(make([]base, 0, 2), base{Address: whole})
	local := a.Local // a sub-address keeps its case
	if !isASCII(local) {
		local = whole.Local // where a full-width separator has become one
	}
	for i := 1; i < len(local) && len(names) <= maxCuts; i++ {
		if strings.IndexByte(separators, local[i]) >= 0 {
			at := Fold(mail.Address{Local: local[:i], Domain: a.Domain})
			names = slices.Insert(names, 1, base{at, local[i+1:]})
		}
	}
	return names
}

// find looks a name up as it is and then without its sub-address, of several
// the shortest: with "-" as the separator mary-ann-news may be ann's news or
// mary-ann's. It gives the folded name found, and the sub-address cut off.
// What is not found is given whole, or as the name that every domain has.
func (e *expansion) find(a mail.Address, separators string) (at mail.Address, n name, detail string, ok bool, err error) {
	names := bases(a, separators)
	for _, b := range names {
		if n, ok, err = e.name(b.Address); ok || err != nil || isRole(b.Local) {
			return b.Address, n, b.detail, ok, err
		}
	}
	return names[0].Address, name{}, "", false, nil
}

// reach adds an account.
func (e *expansion) reach(id mail.AccountID, detail string) (hit bool, err error) {
	if e.reached[id] {
		return true, nil
	}
	a, ok, err := e.account(id)
	if err != nil || !ok {
		return false, err
	}
	if e.reached == nil {
		e.reached = map[mail.AccountID]bool{}
	}
	e.reached[id] = true
	e.out.Accounts = append(e.out.Accounts, Target{Account: id, Address: a.Address, Detail: detail, Quota: a.Quota, MaxMessages: a.MaxMessages})
	return true, nil
}

// role adds who answers for a domain: its postmaster, or else its first
// account, or else the server's.
func (e *expansion) role(d mail.Domain, depth int) (hit bool, err error) {
	key := mail.Address{Local: "\x00role", Domain: d} // no name has a NUL
	if hit, ok := e.seen[key]; ok {
		return hit, nil
	}
	e.see(key, false)
	defer func() { e.seen[key] = hit }()
	dom, _, err := e.domain(d)
	if err != nil {
		return false, err
	}
	if !dom.Postmaster.IsNull() {
		if hit, err = e.follow(dom.Postmaster, "", depth+1); err != nil || hit {
			return hit, err
		}
	}
	oldest, err := e.oldest(d)
	if err != nil {
		return false, err
	}
	if !oldest.IsNull() {
		if hit, err = e.follow(oldest, "", 0); err != nil || hit {
			return hit, err
		}
	}
	accounts, err := e.accounts(1)
	if err != nil || len(accounts) == 0 {
		return false, err
	}
	return e.reach(accounts[0].ID, "")
}

// server adds who answers for the server: the postmaster of the domain of its
// first account.
func (e *expansion) server(op string) error {
	accounts, err := e.accounts(1)
	if err != nil {
		return err
	}
	if len(accounts) == 0 {
		return fault.New(fault.NotFound, op, "this server has no accounts yet")
	}
	_, err = e.role(accounts[0].Address.Domain, 0)
	return err
}
