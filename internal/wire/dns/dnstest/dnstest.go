// Package dnstest answers from zones written as text, for the tests of what
// asks the domain name system.
package dnstest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// Resolver is a dns.Resolver that knows what it was told. It may be used by
// several goroutines.
type Resolver struct {
	mu     sync.Mutex
	zone   map[string][]dns.Record
	fails  map[key]error
	secure bool
	bare   map[string]bool // names that are not signed
	asked  []string
}

type key struct {
	name string
	t    dns.Type // 0: every type
}

// New reads a zone: a record a line, `name type data`, ` ;` before a comment.
//
//	example.org         MX    10 mx.example.org
//	mx.example.org      A     192.0.2.1
//	alias.example.org   CNAME example.org
//	example.org         TXT   v=spf1 -all
//	_25._tcp.mx         TLSA  030101ab12
//	broken.example.org  SERVFAIL        or SERVFAIL MX, or BOGUS, or BOGUS A
//	slow.example.org    TIMEOUT         waits until the context ends
//	bare.example.org    INSECURE        is not signed, whatever Secure says
//
// A name that is not there gives ErrNoName unless a name below it is. It panics
// on what it does not understand.
func New(zone string) *Resolver {
	r := &Resolver{}
	r.Set(zone)
	return r
}

// errTimeout marks names that never answer.
var errTimeout = errors.New("timeout")

// Set puts another zone in the place of the old.
func (r *Resolver) Set(zone string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.zone, r.fails, r.bare = map[string][]dns.Record{}, map[key]error{}, map[string]bool{}
	for line := range strings.Lines(zone) {
		line, _, _ = strings.Cut(" "+line, " ;")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if err := r.add(dns.Normal(f[0]), f[1:]); err != nil {
			panic(fmt.Sprintf("dnstest: %s: %v", line, err))
		}
	}
}

// Secure makes every answer secure.
func (r *Resolver) Secure() { r.mu.Lock(); r.secure = true; r.mu.Unlock() }

// Asked lists the questions so far, as "name TYPE".
func (r *Resolver) Asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.asked...)
}

func (r *Resolver) add(name string, f []string) error {
	if len(f) == 0 {
		return errors.New("no type")
	}
	failures := map[string]error{"SERVFAIL": dns.ErrServer, "BOGUS": dns.ErrBogus, "TIMEOUT": errTimeout}
	if err, ok := failures[f[0]]; ok {
		k := key{name: name}
		if len(f) > 1 {
			k.t, _ = dns.ParseType(f[1])
		}
		r.fails[k] = err
		return nil
	}
	if f[0] == "INSECURE" {
		r.bare[name] = true
		return nil
	}
	t, ok := dns.ParseType(f[0])
	if !ok || len(f) < 2 {
		return errors.New("not a record")
	}
	rec := dns.Record{Type: t, TTL: time.Hour}
	err := fill(&rec, f[1:])
	r.zone[name] = append(r.zone[name], rec)
	return err
}

func fill(rec *dns.Record, f []string) (err error) {
	number := func(i int) uint16 {
		if i >= len(f) {
			err = errors.New("too short")
			return 0
		}
		n, bad := strconv.ParseUint(f[i], 10, 16)
		if bad != nil {
			err = bad
		}
		return uint16(n)
	}
	switch last := f[len(f)-1]; rec.Type {
	case dns.TypeA, dns.TypeAAAA:
		rec.Addr, err = netip.ParseAddr(last)
	case dns.TypeMX:
		rec.Pref, rec.Target = number(0), dns.Normal(last)
	case dns.TypeSRV:
		rec.Pref, rec.Weight, rec.Port, rec.Target = number(0), number(1), number(2), dns.Normal(last)
	case dns.TypeTXT:
		rec.Text = strings.Join(f, " ")
	case dns.TypeTLSA:
		rec.Data, err = hex.DecodeString(strings.Join(f, ""))
	default:
		rec.Target = dns.Normal(last)
	}
	return err
}

// maxAliases is how many CNAMEs are followed.
const maxAliases = 8

// Lookup answers from the zone.
func (r *Resolver) Lookup(ctx context.Context, name string, t dns.Type) (dns.Answer, error) {
	name = dns.Normal(name)
	a, err := r.lookup(name, t)
	if errors.Is(err, errTimeout) {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return dns.Answer{}, ctx.Err()
	}
	return a, err
}

func (r *Resolver) lookup(name string, t dns.Type) (dns.Answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, name+" "+t.String())
	secure := r.secure
	for range maxAliases + 1 {
		secure = secure && !r.bare[name]
		if err := errors.Join(r.fails[key{name: name}], r.fails[key{name, t}]); err != nil {
			return dns.Answer{}, err
		}
		a := dns.Answer{Name: name, Secure: secure}
		alias, there := "", false
		for _, rec := range r.zone[name] {
			there = true
			if rec.Type == t {
				a.Records = append(a.Records, rec)
			} else if rec.Type == dns.TypeCNAME {
				alias = rec.Target
			}
		}
		switch {
		case len(a.Records) > 0:
			return a, nil
		case alias != "":
			name = alias
		case there || r.hasBelow(name):
			return dns.Answer{Name: name, Secure: secure}, dns.ErrNoData
		default:
			return dns.Answer{Name: name, Secure: secure}, dns.ErrNoName
		}
	}
	return dns.Answer{}, dns.ErrServer
}

func (r *Resolver) hasBelow(name string) bool {
	for other := range r.zone {
		if strings.HasSuffix(other, "."+name) {
			return true
		}
	}
	return false
}
