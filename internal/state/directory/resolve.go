package directory

import (
	"context"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Resolve says where an address leads. It is looked for as it is, then without
// its sub-address, then among the names every domain has (postmaster, abuse),
// then the domain's catch-all is taken. Aliases are followed to MaxDepth; loops
// are cut, and what an alias leads to more than once is named once.
// fault.NotFound: no such recipient here; fault.Denied: not a domain of ours;
// fault.TooLarge: beyond MaxTargets.
func (s *Store) Resolve(ctx context.Context, a mail.Address) (Resolution, error) {
	const op = "directory.Resolve"
	var res Resolution
	err := s.view(ctx, func(r rows) error {
		e := expansion{rows: r, seen: map[mail.Address]bool{}, reached: map[mail.AccountID]bool{}}
		if err := e.begin(a); err != nil {
			return err
		}
		res = e.out
		return nil
	})
	return res, fault.Wrap(op, err)
}

// MayUse says whether an account may write from an address: its own, its
// sub-addresses, and every address that leads to it.
func (s *Store) MayUse(ctx context.Context, id mail.AccountID, a mail.Address) (bool, error) {
	res, err := s.Resolve(ctx, a)
	switch {
	case fault.Is(err, fault.NotFound), fault.Is(err, fault.Denied), fault.Is(err, fault.TooLarge):
		return false, nil
	case err != nil:
		return false, err
	}
	for _, t := range res.Accounts {
		if t.Account == id {
			return true, nil
		}
	}
	return false, nil
}

// IsRole says whether a is an address that every domain has: postmaster or
// abuse.
func IsRole(a mail.Address) bool { return isRole(foldLocal(a.Local)) }

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
	role := isRole(foldLocal(a.Local))
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
	if e.steps++; e.steps > maxSteps || len(e.out.Accounts)+len(e.out.Remote) > MaxTargets {
		return false, fault.New(fault.TooLarge, "directory.Resolve", "that address leads to too many others")
	}
	if depth > MaxDepth {
		return false, nil
	}
	if _, ok, err := e.domain(a.Domain); err != nil {
		return false, err
	} else if !ok {
		if !e.seen[a] {
			e.seen[a] = true
			e.out.Remote = append(e.out.Remote, a)
		}
		return true, nil
	}
	at, n, own, ok, err := e.find(a)
	if err != nil {
		return false, err
	}
	if own != "" {
		detail = own
	}
	switch {
	case !ok && isRole(at.Local):
		return e.role(at.Domain, depth)
	case !ok:
		at.Local = ""
		if n, ok, err = e.name(at); err != nil || !ok {
			return false, err
		}
	}
	if n.account != 0 {
		return e.reach(n.account, detail)
	}
	return e.spread(at, n.targets, detail, depth)
}

// spread follows the targets of the alias at. One that was followed before is
// not followed again, which cuts loops.
func (e *expansion) spread(at mail.Address, targets []mail.Address, detail string, depth int) (hit bool, err error) {
	if hit, ok := e.seen[at]; ok {
		return hit, nil
	}
	e.seen[at] = false
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

// find looks a name up as it is and then without its sub-address. It gives the
// folded name it looked for last, and the sub-address it cut off.
func (e *expansion) find(a mail.Address) (at mail.Address, n name, detail string, ok bool, err error) {
	at = Fold(a)
	if n, ok, err = e.name(at); ok || err != nil {
		return at, n, "", ok, err
	}
	base, detail, cut := strings.Cut(a.Local, "+")
	if !cut || base == "" {
		return at, n, "", false, nil
	}
	at.Local = foldLocal(base)
	n, ok, err = e.name(at)
	return at, n, detail, ok, err
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
	e.seen[key] = false
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
