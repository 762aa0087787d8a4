package main

import (
	"fmt"
	"io"

	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// Screening are options of how strangers' mail is judged.
type Screening struct {
	DMARC    *string  `name:"dmarc" enum:"heed,ignore,default" placeholder:"heed|ignore|default" help:"Whether what domains want done with mail that is forged in their name is done; default for what the level above says."`
	JunkAt   *float64 `placeholder:"POINTS" help:"Points against a sender that make a message junk; 0 for what the level above says, -1 for none."`
	RejectAt *float64 `placeholder:"POINTS" help:"Points for which a message is refused; 0 for what the level above says, -1 for none."`
}

// screening gives the options in the API's words.
func (o Screening) screening() map[string]any {
	in := map[string]any{}
	if d := o.DMARC; d != nil {
		if in["dmarc"] = *d; *d == "default" {
			in["dmarc"] = ""
		}
	}
	if o.JunkAt != nil {
		in["junk_at"] = *o.JunkAt
	}
	if o.RejectAt != nil {
		in["reject_at"] = *o.RejectAt
	}
	return in
}

// showScreening writes what is not as the level above says.
func showScreening(w io.Writer, s apid.Screening) {
	if s.DMARC != "" {
		row(w, "forged mail (DMARC)", map[string]string{"heed": "as its domain wants", "ignore": "is taken"}[s.DMARC])
	}
	if s.JunkAt != 0 {
		row(w, "junk from", points(s.JunkAt))
	}
	if s.RejectAt != 0 {
		row(w, "refused from", points(s.RejectAt))
	}
}

func points(n float64) string {
	if n < 0 {
		return "never"
	}
	return fmt.Sprintf("%g points", n)
}
