// Package arc verifies and makes Authenticated Received Chains: what servers on a
// message's way say about it, each sealed by its own (RFC 8617).
package arc

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/trust/dkim"
	"github.com/ekiden-mail/ekiden/internal/wire/dns"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Code is the state of a chain (RFC 8617 §4.4).
type Code string

// The states.
const (
	None Code = "none"
	Pass Code = "pass"
	Fail Code = "fail"
)

// MaxSets is how many servers may have sealed a message (RFC 8617 §4.2.1).
const MaxSets = 50

// The fields of a set, in the order in which seals sign them (RFC 8617 §5.1.1).
const (
	authResults = "ARC-Authentication-Results"
	signature   = "ARC-Message-Signature"
	seal        = "ARC-Seal"
)

// set is what one server added: the fields as they came.
type set struct {
	fields [3]string // by the constants above
	mail   *dkim.Signature
	seal   *dkim.Signature
	cv     string
}

var names = [3]string{authResults, signature, seal}

// Chain is the chain of one message.
type Chain struct {
	sets   []*set // by instance
	err    error  // it is broken, whatever the keys say
	all    dkim.Fields
	latest []reading // of the latest signature
}

// reading is a signature as it may be meant, and the body's hash for it.
type reading struct {
	*dkim.Signature
	body *dkim.BodyHash
}

// Result is what was found about a chain.
type Result struct {
	Code    Code
	Sealers []string // domains of the seals, the first server's first
	Results string   // what the last server found out, as in Authentication-Results; only of a chain that passes
	Problem string
}

// Read collects the chain of a header and says to body what it wants.
func Read(h message.Header, body *dkim.Body) *Chain {
	c := &Chain{}
	found := map[int]*set{}
	last := 0
	for _, f := range h.Fields() {
		for kind, name := range names {
			if !strings.EqualFold(f.Name, name) {
				continue
			}
			n, err := c.add(found, kind, f)
			if err != nil && c.err == nil {
				c.err = fmt.Errorf("%s: %w", name, err)
			}
			last = max(last, n)
		}
	}
	if last == 0 && c.err == nil {
		return c
	}
	for i := 1; i <= last; i++ {
		c.sets = append(c.sets, found[i])
	}
	if c.err == nil {
		c.err = c.check()
	}
	if c.err == nil {
		c.all = dkim.NewFields(h)
		latest := c.sets[last-1].mail
		c.latest = []reading{{latest, body.Want(latest.Body, latest.Limit)}}
		if !latest.Tags.Has("c") {
			// DKIM's default is simple; the test suite, and who follows it, means relaxed.
			relaxed := *latest
			relaxed.Head, relaxed.Body = dkim.Relaxed, dkim.Relaxed
			c.latest = append(c.latest, reading{&relaxed, body.Want(dkim.Relaxed, latest.Limit)})
		}
	}
	return c
}

// add takes one field into its set and gives the set's instance.
func (c *Chain) add(found map[int]*set, kind int, f message.Field) (int, error) {
	var s *dkim.Signature
	var err error
	instance := ""
	switch names[kind] {
	case authResults:
		first, _, ok := strings.Cut(f.Value(), ";")
		name, value, _ := strings.Cut(first, "=")
		if !ok || strings.TrimSpace(name) != "i" {
			return 0, errors.New("it does not begin with its instance")
		}
		instance = strings.TrimSpace(value)
	case signature:
		s, err = dkim.ParseSignature(f.Raw, dkim.ARCMail)
		instance = s.Tags.Value("i")
	case seal:
		s, err = dkim.ParseSignature(f.Raw, dkim.ARCSeal)
		instance = s.Tags.Value("i")
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(instance)
	if err != nil || n < 1 || n > MaxSets || instance[0] == '+' {
		return 0, fmt.Errorf("its instance %.20q is not a number from 1 to %d", instance, MaxSets)
	}
	if found[n] == nil {
		found[n] = &set{}
	}
	if found[n].fields[kind] != "" {
		return 0, fmt.Errorf("there are two of instance %d", n)
	}
	found[n].fields[kind] = f.Raw
	switch names[kind] {
	case signature:
		found[n].mail = s
	case seal:
		found[n].seal, found[n].cv = s, s.Tags.Value("cv")
	}
	return n, nil
}

// check looks at the structure of the chain (RFC 8617 §5.2, steps 2 and 3).
func (c *Chain) check() error {
	for i, s := range c.sets {
		if s == nil {
			return fmt.Errorf("there is no set %d", i+1)
		}
		for kind, name := range names {
			if s.fields[kind] == "" {
				return fmt.Errorf("set %d has no %s", i+1, name)
			}
		}
	}
	if n := len(c.sets); c.sets[n-1].cv == string(Fail) {
		return fmt.Errorf("%s found it broken", c.sets[n-1].seal.Domain)
	}
	for i, s := range c.sets {
		want := Pass
		if i == 0 {
			want = None
		}
		if s.cv != string(want) {
			return fmt.Errorf("seal %d says %.20q, not %s", i+1, s.cv, want)
		}
		if s.seal.Tags.Has("h") { // RFC 8617 §4.1.3
			return fmt.Errorf("seal %d lists fields", i+1)
		}
		for _, name := range s.mail.Signed { // RFC 8617 §4.1.2
			if strings.EqualFold(name, seal) {
				return fmt.Errorf("signature %d covers seals", i+1)
			}
		}
	}
	return nil
}

// Len is how many sets the chain has.
func (c *Chain) Len() int { return len(c.sets) }

// Verify checks the chain (RFC 8617 §5.2). The body must have been closed. What
// the DNS does not answer fails it too (§5.2.1).
func (c *Chain) Verify(ctx context.Context, r dns.Resolver) Result {
	res := Result{Code: None}
	if len(c.sets) == 0 && c.err == nil {
		return res
	}
	err := c.err
	if err == nil {
		err = c.verify(ctx, r)
	}
	if err != nil {
		return Result{Code: Fail, Problem: err.Error()}
	}
	res.Code = Pass
	for _, s := range c.sets {
		res.Sealers = append(res.Sealers, s.seal.Domain)
	}
	last := message.Field{Raw: c.sets[len(c.sets)-1].fields[0]}
	_, res.Results, _ = strings.Cut(last.Value(), ";")
	res.Results = strings.TrimSpace(res.Results)
	return res
}

func (c *Chain) verify(ctx context.Context, r dns.Resolver) error {
	n := len(c.sets)
	keys := keyring{ctx: ctx, r: r, known: map[string]*dkim.Key{}}
	var err error
	for _, latest := range c.latest {
		if !latest.HoldsBody(latest.body) {
			err = errors.New("the body was changed after the last server")
			continue
		}
		if err = keys.verify(latest.Signature, latest.Data(c.all)); err == nil {
			break
		}
		err = fmt.Errorf("signature %d of %s: %w", n, latest.Domain, err)
	}
	if err != nil {
		return err
	}
	sealed := c.sealed()
	for i := n - 1; i >= 0; i-- {
		s := c.sets[i].seal
		data := append(sealed[i][:len(sealed[i]):len(sealed[i])], s.Own(dkim.Relaxed)...)
		if err := keys.verify(s, data); err != nil {
			return fmt.Errorf("seal %d of %s: %w", i+1, s.Domain, err)
		}
	}
	return nil
}

// sealed is what each seal is over, but for itself. The parts are of one array.
func (c *Chain) sealed() [][]byte {
	var all []byte
	ends := make([]int, len(c.sets))
	for i, s := range c.sets {
		all = dkim.AppendField(all, s.fields[0], dkim.Relaxed)
		all = dkim.AppendField(all, s.fields[1], dkim.Relaxed)
		ends[i] = len(all)
		all = dkim.AppendField(all, s.fields[2], dkim.Relaxed)
	}
	parts := make([][]byte, len(ends))
	for i, end := range ends {
		parts[i] = all[:end]
	}
	return parts
}

// keyring asks for each key once.
type keyring struct {
	ctx   context.Context
	r     dns.Resolver
	known map[string]*dkim.Key
}

func (k *keyring) verify(s *dkim.Signature, data []byte) error {
	name := s.Selector + "/" + s.Domain
	key := k.known[name]
	if key == nil {
		var err error
		if key, err = dkim.FindKey(k.ctx, k.r, s.Selector, s.Domain); err != nil {
			return err
		}
		k.known[name] = key
	}
	return key.Verify(s, data)
}
