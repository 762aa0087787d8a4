// Package iprev finds out whether the names of a peer lead back to its address:
// those of the reverse tree (RFC 8601 §3) and the one by which it greets.
package iprev

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// Code is a result (RFC 8601 §2.7.3).
type Code string

// The results.
const (
	Pass      Code = "pass"
	Fail      Code = "fail"
	TempError Code = "temperror"
	PermError Code = "permerror"
)

// MaxNames is how many names of an address are looked at.
const MaxNames = 5

// Result is what was found.
type Result struct {
	Code    Code
	Name    string // that leads back, or the first that does not; "" if there is none
	Problem string
}

// Check looks for a name of the address that leads back to it.
func Check(ctx context.Context, r dns.Resolver, ip netip.Addr) Result {
	ip = ip.Unmap().WithZone("")
	answer, err := r.Lookup(ctx, dns.Reverse(ip), dns.TypePTR)
	switch {
	case dns.Absent(err), err == nil && len(answer.Records) == 0:
		return Result{Code: PermError, Problem: "the address has no name"}
	case err != nil:
		return Result{Code: TempError, Problem: dns.Brief(err).Error()}
	}
	res := Result{Code: Fail, Name: answer.Records[0].Target}
	var unsure error
	for i, rec := range answer.Records {
		if i == MaxNames {
			break
		}
		back, err := leadsTo(ctx, r, rec.Target, ip)
		if back {
			return Result{Code: Pass, Name: rec.Target}
		}
		unsure = errors.Join(unsure, err)
	}
	if res.Problem = "the name does not lead back to the address"; unsure != nil {
		res.Code, res.Problem = TempError, unsure.Error()
	}
	return res
}

// Helo looks whether the name by which a peer greets leads to its address. An
// address literal passes if it is that address.
func Helo(ctx context.Context, r dns.Resolver, helo string, ip netip.Addr) Result {
	ip = ip.Unmap().WithZone("")
	res := Result{Name: helo}
	if inner, ok := strings.CutPrefix(helo, "["); ok {
		inner = strings.TrimSuffix(inner, "]")
		if tag := "ipv6:"; len(inner) > len(tag) && strings.EqualFold(inner[:len(tag)], tag) {
			inner = inner[len(tag):]
		}
		if addr, err := netip.ParseAddr(inner); err == nil && addr.Unmap() == ip {
			res.Code = Pass
		} else {
			res.Code, res.Problem = Fail, "the literal is not the peer's address"
		}
		return res
	}
	name := dns.Normal(helo)
	if !strings.Contains(name, ".") || !dns.IsName(name) {
		res.Code, res.Problem = PermError, "the name is no host's"
		return res
	}
	back, err := leadsTo(ctx, r, name, ip)
	switch {
	case back:
		res.Code = Pass
	case err != nil:
		res.Code, res.Problem = TempError, err.Error()
	default:
		res.Code, res.Problem = Fail, "the name does not lead to the peer"
	}
	return res
}

// leadsTo says whether a name has the address. An error is that it is not known.
func leadsTo(ctx context.Context, r dns.Resolver, name string, ip netip.Addr) (bool, error) {
	t := dns.TypeA
	if ip.Is6() {
		t = dns.TypeAAAA
	}
	answer, err := r.Lookup(ctx, name, t)
	if dns.Absent(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s of %s: %w", t, name, dns.Brief(err))
	}
	for _, rec := range answer.Records {
		if rec.Addr == ip {
			return true, nil
		}
	}
	return false, nil
}
