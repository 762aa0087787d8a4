package directory

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Screening is how strangers' mail for a domain, or for one of its accounts, is
// judged. What it leaves open the level above says: account, domain, server.
type Screening struct {
	// DMARC is Heed or Ignore: whether what domains want done with mail that is
	// forged in their name is done.
	DMARC string `json:"dmarc,omitempty"`
	// JunkAt and RejectAt are points against a sender; below zero means never.
	JunkAt   float64 `json:"junk,omitempty"`
	RejectAt float64 `json:"reject,omitempty"`
}

// Words of Screening.
const (
	Heed   = "heed"
	Ignore = "ignore"
)

// maxPoints is the highest bound that means anything.
const maxPoints = 1000

func (s Screening) check(op string) error {
	if s.DMARC != "" && s.DMARC != Heed && s.DMARC != Ignore {
		return fault.Newf(fault.Invalid, op, "%.20q is neither heed nor ignore", s.DMARC)
	}
	if s.JunkAt > maxPoints || s.RejectAt > maxPoints {
		return fault.Newf(fault.Invalid, op, "at most %d points", maxPoints)
	}
	return nil
}

// Over gives s with what it leaves open taken from above.
func (s Screening) Over(above Screening) Screening {
	if s.DMARC == "" {
		s.DMARC = above.DMARC
	}
	if s.JunkAt == 0 {
		s.JunkAt = above.JunkAt
	}
	if s.RejectAt == 0 {
		s.RejectAt = above.RejectAt
	}
	return s
}

// ScreeningOf is how mail for an address is judged: as its account says, where it
// has one, and where that leaves it open, as its domain does. An alias is judged as
// its domain says: those behind it may be many.
func (s *Store) ScreeningOf(ctx context.Context, to mail.Address) (Screening, error) {
	var set Screening
	err := s.view(ctx, func(r rows) error {
		d, ours, err := r.domain(to.Domain)
		set = d.Settings.Screening
		if err != nil || !ours {
			return err
		}
		e := expansion{rows: r}
		_, n, _, ok, err := e.find(to, d.Settings.Separators())
		if err != nil || !ok || n.account == 0 {
			return err
		}
		a, _, err := r.account(n.account)
		set = a.Screening.Over(set)
		return err
	})
	return set, fault.Wrap("directory.ScreeningOf", err)
}
