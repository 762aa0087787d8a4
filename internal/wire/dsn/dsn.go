// Package dsn writes and reads delivery status notifications: what became of a
// message, for people and for programs (RFC 3461, 3464, 6522, 6533).
package dsn

import (
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Action is what became of a recipient's copy (RFC 3464 §2.3.3).
type Action string

// The actions.
const (
	Failed    Action = "failed"
	Delayed   Action = "delayed"
	Delivered Action = "delivered"
	Relayed   Action = "relayed"  // handed to a host that tells nothing more
	Expanded  Action = "expanded" // given to several addresses that tell nothing more
)

// Report is the part for programs.
type Report struct {
	EnvelopeID   string // ENVID of the original transaction, decoded
	ReportingMTA string // host that reports
	Arrival      time.Time
	DeliverBy    time.Time // RFC 2852 §5; zero: not asked
	// FutureRelease is how the message was asked to be held, as "for;SECONDS" or
	// "until;DATE" (RFC 4865 §5.1.2); "" if it was not.
	FutureRelease string
	Recipients    []Recipient

	// MessageID is the id of the message that is told of, without angle
	// brackets, as its header in the report says. Parse sets it, Write takes it
	// from the original.
	MessageID string

	// Returned is the header of the message that is told of, where the report
	// brings it. Parse and Guess set it.
	Returned message.Header
}

// Recipient is what a report says of one recipient. Times may be zero.
type Recipient struct {
	Original    string // ORCPT: type;address, decoded (RFC 3461 §4.2)
	Final       mail.Address
	FinalText   string // from Parse, where it is no address we can read
	Action      Action
	Status      string // "5.1.1" (RFC 3463)
	RemoteMTA   string // host that said Diagnostic; "" if we said it
	Diagnostic  string // SMTP reply, or words of our own; one line
	LastAttempt time.Time
	RetryUntil  time.Time // of a delayed one: when we will give up
}

// MaxRecipients is how many recipients Parse takes from one report.
const MaxRecipients = 10_000

// Original is the message a report tells of, or its header only.
type Original struct {
	Content  []byte // CRLF line ends
	Headers  bool   // Content is the header only
	EightBit bool   // Content has octets over 127
}

// Letter is a whole report. Its caller gives all that depends on time or chance.
type Letter struct {
	From, To   message.Addr
	Subject    string
	Date       time.Time
	MessageID  string // without angle brackets
	References string // the original's Message-ID, without angle brackets; may be ""
	Boundary   string
	Text       string // for people
	Report     Report
	Original   Original // empty Content: left out
	UTF8       bool     // the reader takes RFC 6533's forms, which need SMTPUTF8
}

// Write writes the letter as RFC 6522 has it. Its lines are 7-bit unless the
// original is not, or UTF8 is set.
func Write(w io.Writer, l Letter) error {
	c := message.NewComposer(w)
	c.Date("Date", l.Date)
	c.Addresses("From", l.From)
	c.Addresses("To", l.To)
	c.Text("Subject", l.Subject)
	c.Field("Message-ID", "<"+l.MessageID+">")
	if l.References != "" {
		c.Field("In-Reply-To", "<"+l.References+">")
		c.Field("References", "<"+l.References+">")
	}
	c.Field("Auto-Submitted", "auto-replied") // RFC 3834 §5
	c.Field("MIME-Version", "1.0")
	c.Multipart("report", l.Boundary, message.Param{Name: "report-type", Value: "delivery-status"})

	c.Part()
	c.Text("Content-Description", "Notification")
	c.TextBody("plain", l.Text)

	c.Part()
	c.Text("Content-Description", "Delivery report")
	status := l.Report.append(nil, l.UTF8)
	c.Field("Content-Type", global("message/delivery-status", l.UTF8))
	c.Body(strings.NewReader(string(status)), encodingOf(!isASCII(string(status))))

	if len(l.Original.Content) > 0 {
		c.Part()
		if l.Original.Headers {
			c.Text("Content-Description", "Header of the message")
			c.Field("Content-Type", global("text/rfc822-headers", l.UTF8))
		} else {
			c.Text("Content-Description", "The message")
			c.Field("Content-Type", global("message/rfc822", l.UTF8))
		}
		c.Body(strings.NewReader(string(l.Original.Content)), encodingOf(l.Original.EightBit))
	}
	c.Close()
	return c.Err()
}

// global is RFC 6533's name of a type where UTF-8 may stand in it.
func global(typ string, wide bool) string {
	if !wide {
		return typ
	}
	switch typ {
	case "message/delivery-status":
		return "message/global-delivery-status"
	case "text/rfc822-headers":
		return "message/global-headers"
	}
	return "message/global"
}

func encodingOf(eightBit bool) string {
	if eightBit {
		return "8bit"
	}
	return "7bit"
}

// append writes the fields: first the message's, then each recipient's (RFC 3464 §2).
func (r *Report) append(b []byte, wide bool) []byte {
	field := func(name, value string) {
		if value != "" {
			b = message.AppendField(b, name, printable(value, wide))
		}
	}
	date := func(name string, t time.Time) {
		if !t.IsZero() {
			field(name, message.FormatDate(t))
		}
	}
	field("Original-Envelope-Id", r.EnvelopeID)
	field("Reporting-MTA", typed("dns", r.ReportingMTA))
	date("Arrival-Date", r.Arrival)
	date("Deliver-By-Date", r.DeliverBy)
	field("Future-Release-Request", r.FutureRelease)
	for _, rcpt := range r.Recipients {
		b = append(b, '\r', '\n')
		field("Original-Recipient", original(rcpt.Original, wide))
		field("Final-Recipient", address(rcpt.Final.String(), wide))
		field("Action", string(rcpt.Action))
		field("Status", rcpt.Status)
		field("Remote-MTA", typed("dns", rcpt.RemoteMTA))
		field("Diagnostic-Code", typed(diagnosticType(rcpt.Diagnostic), rcpt.Diagnostic))
		date("Last-Attempt-Date", rcpt.LastAttempt)
		date("Will-Retry-Until", rcpt.RetryUntil)
	}
	return b
}

func typed(typ, value string) string {
	if value == "" {
		return ""
	}
	return typ + "; " + value
}

// diagnosticType is smtp for replies only; our own words have a type of our
// own (RFC 3464 §2.3.6).
func diagnosticType(s string) string {
	if len(s) >= 3 && s[0] >= '2' && s[0] <= '5' && s[1] >= '0' && s[1] <= '9' && s[2] >= '0' && s[2] <= '9' && (len(s) == 3 || s[3] == ' ' || s[3] == '-') {
		return "smtp"
	}
	return "x-ekiden"
}

// original writes an ORCPT; its type is the client's word and stays.
func original(orcpt string, wide bool) string {
	typ, addr, ok := strings.Cut(orcpt, ";")
	if !ok {
		return ""
	}
	if strings.EqualFold(typ, "rfc822") || strings.EqualFold(typ, "utf-8") {
		return address(addr, wide)
	}
	return typed(typ, addr)
}

// address writes an address as rfc822 where it is ASCII, else as utf-8 in one
// of its two forms (RFC 6533 §3).
func address(s string, wide bool) string {
	switch {
	case isASCII(s):
		return typed("rfc822", s)
	case wide:
		return typed("utf-8", s)
	}
	return typed("utf-8", embed(s))
}

// embed writes utf-8-addr-xtext: \x{…} for what is not plain.
func embed(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, r := range s {
		if r > ' ' && r < 0x7f && r != '+' && r != '=' && r != '\\' {
			b.WriteRune(r)
			continue
		}
		b.WriteString(`\x{`)
		digits := ""
		for ; r > 0; r >>= 4 {
			digits = hex[r&15:r&15+1] + digits
		}
		for len(digits) < 2 {
			digits = "0" + digits
		}
		b.WriteString(digits + "}")
	}
	return b.String()
}

// unembed reads what embed writes.
func unembed(s string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, `\x{`)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		digits, after, ok := strings.Cut(rest, "}")
		v, err := strconv.ParseUint(digits, 16, 21)
		if r := rune(v); !ok || err != nil || r < ' ' || !utf8.ValidRune(r) {
			b.WriteString(`\x{`)
			s = rest
			continue
		}
		b.WriteRune(rune(v))
		s = after
	}
}

// printable makes a value fit to stand in a field: ? for what may not.
func printable(s string, wide bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r' || r == '\n' || r == '\t':
			return ' '
		case r < ' ' || r == 0x7f || r >= 0x80 && (!wide || r < 0xa0):
			return '?'
		}
		return r
	}, s)
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
