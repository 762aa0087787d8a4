package dsn

import (
	"bytes"
	"io"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Complaint is a feedback report (RFC 5965): a provider tells that somebody
// called a message spam.
type Complaint struct {
	Type       string // abuse, fraud, virus, other, not-spam, auth-failure, in lower case
	Agent      string // User-Agent, of who reports
	MailFrom   mail.Address
	Recipients []mail.Address // Original-Rcpt-To; providers that keep complainers secret leave it out
	SourceIP   string
	Arrival    time.Time
	Returned   message.Header // of the message complained about
}

// IsComplaint says whether somebody did not want the message: not-spam says the
// contrary, and failures of authentication nothing of the recipient (RFC 6591).
func (c *Complaint) IsComplaint() bool {
	switch c.Type {
	case "not-spam", "auth-failure", "":
		return false
	}
	return true
}

// maxComplainers is how many recipients ParseComplaint takes.
const maxComplainers = 100

// ParseComplaint reads the feedback report in a message. It is fault.NotFound if
// there is none, fault.Invalid if it has no type; other errors come from r.
func ParseComplaint(ix *message.Index, r io.ReaderAt) (*Complaint, error) {
	const op = "dsn.ParseComplaint"
	var told Report
	var c *Complaint
	var err error
	ix.Walk(func(_ []int, p *message.Part) bool {
		if p.Type == "message" && p.Subtype == "feedback-report" && c == nil {
			var b []byte
			if b, err = body(p, r); err == nil {
				c = complaint(b)
			}
		} else {
			err = told.takeReturned(p, r)
		}
		return err == nil
	})
	switch {
	case err != nil:
		return nil, fault.Wrap(op, err)
	case c == nil:
		return nil, fault.New(fault.NotFound, op, "the message holds no feedback report")
	case c.Type == "":
		return nil, fault.New(fault.Invalid, op, "the feedback report has no type")
	}
	c.Returned = told.Returned
	return c, nil
}

func complaint(b []byte) *Complaint {
	h := message.ParseHeader(bytes.TrimLeft(b, "\r\n"))
	c := &Complaint{Type: strings.ToLower(strings.TrimSpace(h.Get("Feedback-Type"))), Agent: h.Get("User-Agent"), SourceIP: h.Get("Source-IP")}
	c.MailFrom, _ = final(h.Get("Original-Mail-From"))
	c.Arrival, _ = message.ParseDate(h.Get("Arrival-Date"))
	if c.Arrival.IsZero() {
		c.Arrival, _ = message.ParseDate(h.Get("Received-Date"))
	}
	for _, v := range h.All("Original-Rcpt-To") {
		if a, _ := final(v); !a.IsNull() && len(c.Recipients) < maxComplainers {
			c.Recipients = append(c.Recipients, a)
		}
	}
	return c
}
