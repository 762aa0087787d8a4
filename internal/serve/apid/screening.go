package apid

import "github.com/ekiden-mail/ekiden/internal/state/directory"

// Screening is how strangers' mail is judged.
type Screening struct {
	DMARC    string  `json:"dmarc" enum:"heed,ignore," doc:"whether what domains want done with mail that is forged in their name is done; empty: what the level above says"`
	JunkAt   float64 `json:"junk_at" doc:"points against a sender that make a message junk; 0: what the level above says; negative: none do"`
	RejectAt float64 `json:"reject_at" doc:"points for which it is refused; 0: what the level above says; negative: none are enough"`
}

// changedScreening are those that a request names.
type changedScreening struct {
	DMARC    *string  `json:"dmarc,omitempty" enum:"heed,ignore,"`
	JunkAt   *float64 `json:"junk_at,omitempty" minimum:"-1" maximum:"1000"`
	RejectAt *float64 `json:"reject_at,omitempty" minimum:"-1" maximum:"1000"`
}

func (c *changedScreening) apply(s *directory.Screening) {
	if c != nil {
		assign(&s.DMARC, c.DMARC)
		assign(&s.JunkAt, c.JunkAt)
		assign(&s.RejectAt, c.RejectAt)
	}
}
