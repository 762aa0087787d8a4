package dnsd

import (
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/ekiden-mail/ekiden/internal/limit"
)

// A stranger can ask by UDP in another's name, so that our answers hit him. Answers
// that say the same to the same network are limited; every second one beyond that
// is cut short, which a true asker understands (he comes by TCP) and which is no more
// than was asked.
const (
	rateWindow = 4      // seconds over which the limit is an average
	maxRates   = 50_000 // networks and answers that are counted
)

// reply is what is counted: who is told what.
type reply struct {
	network netip.Prefix
	says    uint64
}

// fate of an answer.
type fate int

const (
	send fate = iota
	slip
	drop
)

var seed = maphash.MakeSeed()

// says stands for what an answer says: of what is not there, in a zone, it is all
// the same.
func says(zone, name string, typ uint16, there bool) uint64 {
	if !there {
		return maphash.String(seed, zone)
	}
	return maphash.String(seed, name) + uint64(typ)
}

func (s *Server) rate(now time.Time, to netip.Addr, p *packed) fate {
	if s.o.Limits.Responses < 0 || s.o.Guards.Allows != nil && s.o.Guards.Allows(to) {
		return send
	}
	k := p.of
	k.network = limit.Network(to)
	if _, ok := s.rates.Take(now, k, 1); ok {
		return send
	}
	if now.UnixNano()>>10&1 == 0 {
		return slip
	}
	return drop
}
