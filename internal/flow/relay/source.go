package relay

import (
	"errors"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/smtpc"
)

// Source is where connections come from, and what we call ourselves there: the
// name must be the one that the addresses lead back to.
type Source struct {
	Addrs    []netip.Addr // one, or one a family; none: the system chooses
	Hostname string       // must differ from the other sources'
	Senders  []string     // domains of reverse-paths; none: all that no other source is for
}

// source chooses where a message leaves from. Of several it is always the same
// for the same sender and the same next hop, so that each destination knows us.
func (r *Relay) source(from mail.Domain, k trunk) Source {
	pool := r.sourcesFor(func(s Source) bool {
		return slices.ContainsFunc(s.Senders, func(d string) bool { return strings.EqualFold(d, string(from)) })
	})
	if len(pool) == 0 {
		pool = r.sourcesFor(func(s Source) bool { return len(s.Senders) == 0 })
	}
	if len(pool) == 0 {
		s := Source{Hostname: r.o.Hostname}
		if r.o.Local.IsValid() {
			s.Addrs = []netip.Addr{r.o.Local}
		}
		return s
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(string(from) + " " + string(k.hop)))
	return pool[int(h.Sum32()%uint32(len(pool)))]
}

func (r *Relay) sourcesFor(is func(Source) bool) (all []Source) {
	for _, s := range r.o.Sources {
		if is(s) {
			all = append(all, s)
		}
	}
	return all
}

// forFamily is the address for connections to a; the zero Addr lets the system
// choose.
func (s Source) forFamily(a netip.Addr) netip.Addr {
	for _, own := range s.Addrs {
		if own.Unmap().Is4() == a.Unmap().Is4() {
			return own
		}
	}
	return netip.Addr{}
}

// reaches says whether a is of a family that s has.
func (s Source) reaches(a netip.Addr) bool {
	if len(s.Addrs) == 0 || s.Addrs[0].IsUnspecified() {
		return true
	}
	return s.forFamily(a).IsValid()
}

// locals are the addresses as a connection wants them.
func (s Source) locals() (first, second netip.Addr) {
	switch len(s.Addrs) {
	case 0:
		return first, second
	case 1:
		return s.Addrs[0], second
	}
	return s.Addrs[0], s.Addrs[1]
}

// besides are the other addresses of a host that may be tried when addr is slow to
// answer: those for which the same is asked of the line.
func (t *transfer) besides(h route.Host, addr netip.AddrPort) (also []string) {
	for _, a := range h.Addrs {
		if a != addr && !t.skips(a) && a.Addr().IsLoopback() == addr.Addr().IsLoopback() && len(t.tried)+len(also) < maxAddrs {
			also = append(also, a.String())
		}
	}
	return also
}

// reachedAt is the address that answered, where others were tried beside addr.
// Those that failed with it need not be tried again.
func (t *transfer) reachedAt(addr netip.AddrPort, conn *smtpc.Conn, err error) netip.AddrPort {
	var un *smtpc.UnreachedError
	if errors.As(err, &un) {
		for _, a := range un.Addrs {
			if at, err := netip.ParseAddrPort(a); err == nil && at != addr {
				t.tried = append(t.tried, at)
			}
		}
	}
	if err == nil {
		if at, ok := conn.Remote(); ok && at != addr {
			t.tried = append(t.tried, at)
			return at
		}
	}
	return addr
}
