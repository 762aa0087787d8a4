package apid

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Letter is a message that a program on this machine sends. Names without a
// domain are names of this machine.
type Letter struct {
	From        string // "<>" is the null reverse-path, "" whoever asks
	Name        string // of the sender, for a From field that is missing
	To          []string
	Notify      mail.Notify
	HeadersOnly bool
	EnvelopeID  string
	Content     io.Reader // with LF or CRLF at the ends of lines
}

// Sent is what became of a letter.
type Sent struct {
	ID         string   `json:"id" doc:"as trace takes it; empty if nothing was taken"`
	Recipients []SentTo `json:"recipients"`
}

// SentTo is what became of it for one recipient.
type SentTo struct {
	Recipient string `json:"recipient"`
	Code      int    `json:"code" doc:"of SMTP: 2xx taken, 4xx not now, 5xx never"`
	Status    string `json:"status" doc:"the enhanced status code (RFC 3463)"`
	Text      string `json:"text"`
}

type submissionRequest struct {
	From   string   `query:"from" maxLength:"1000" doc:"the reverse-path; <> is the null one; otherwise that of whoever asks"`
	Name   string   `query:"name" maxLength:"1000" doc:"of the sender, for a From field that is missing"`
	To     []string `query:"to,explode" minItems:"1" maxItems:"1000" doc:"a recipient"`
	Notify string   `query:"notify" doc:"never, or some of success, failure and delay with commas between (RFC 3461)"`
	Ret    string   `query:"ret" enum:"full,hdrs" doc:"how much of the message a report carries"`
	EnvID  string   `query:"envid" maxLength:"100"`
	body   bodyOf
}

// Resolve takes the body.
func (r *submissionRequest) Resolve(ctx huma.Context) []error { return r.body.Resolve(ctx) }

// maxLetterTime is how long a program may take to hand its message over, which
// it has whole.
const maxLetterTime = 5 * time.Minute

// submissions registers the way of programs on this machine.
func (s *server) submissions() {
	if s.o.Send == nil {
		return
	}
	o := operation(http.MethodPost, "/submissions", "send-message", "messages", "Send a message")
	o.Description = "The body is the message. Bcc fields go, Date, Message-ID and From are added where they are missing. " +
		"If any recipient cannot be taken for the time being, nothing is sent."
	o.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"message/rfc822": {Schema: &huma.Schema{Type: "string", Format: "binary"}}}}
	o.BodyReadTimeout, o.MaxBodyBytes = maxLetterTime, -1
	register(s, o, func(ctx context.Context, in *submissionRequest) (Sent, error) {
		notify, err := parseNotify(in.Notify)
		if err != nil {
			return Sent{}, err
		}
		return s.o.Send(ctx, Letter{
			From: in.From, Name: in.Name, To: in.To, Notify: notify, HeadersOnly: in.Ret == "hdrs", EnvelopeID: in.EnvID, Content: in.body.r,
		})
	})
}

func parseNotify(s string) (n mail.Notify, err error) {
	if s == "" {
		return 0, nil
	}
	words := map[string]mail.Notify{
		"never": mail.NotifyNever, "success": mail.NotifySuccess, "failure": mail.NotifyFailure, "delay": mail.NotifyDelay,
	}
	for w := range strings.SplitSeq(s, ",") {
		if words[w] == 0 {
			return 0, fault.Newf(fault.Invalid, "apid", "%.40q is none of never, success, failure and delay", w)
		}
		n |= words[w]
	}
	return n, nil
}
