package smtp

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// By is the value of BY (RFC 2852 §4). The zero value is none.
type By struct {
	Mode    byte  // 'R' returns what is late, 'N' notifies; 0: BY was not said
	Seconds int64 // from -999,999,999 to 999,999,999; positive in mode R
	Trace   bool
}

// String is the value as the parameter has it.
func (b By) String() string {
	s := strconv.FormatInt(b.Seconds, 10) + ";" + string(rune(b.Mode))
	if b.Trace {
		s += "T"
	}
	return s
}

// maxSeconds is the longest time that BY and HOLDFOR can say.
const maxSeconds = 999_999_999

// parseBy reads by-time ";" by-mode ["T"].
func parseBy(s string) (b By, ok bool) {
	number, mode, ok := strings.Cut(s, ";")
	digits := strings.TrimPrefix(number, "-")
	if digits == number {
		digits = strings.TrimPrefix(number, "+")
	}
	n, fine := parseNumber(digits)
	if !ok || !fine || len(digits) > 9 {
		return b, false
	}
	if strings.HasPrefix(number, "-") {
		n = -n
	}
	mode = strings.ToUpper(mode)
	mode, b.Trace = strings.CutSuffix(mode, "T")
	if mode != "R" && mode != "N" {
		return b, false
	}
	b.Mode, b.Seconds = mode[0], n
	return b, b.Mode == 'N' || n > 0 // RFC 2852 §4: with R nothing and less is a syntax error
}

// parseHoldFor reads 1 to 999,999,999 seconds (RFC 4865 §3).
func parseHoldFor(s string) (time.Duration, bool) {
	n, ok := parseNumber(s)
	if !ok || len(s) > 9 || s[0] == '0' {
		return 0, false
	}
	return time.Duration(n) * time.Second, true
}

// parseHoldUntil reads a date and time in UTC (RFC 4865 §3, RFC 3339 §5.6).
func parseHoldUntil(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, strings.ToUpper(s))
	_, offset := t.Zone()
	return t.UTC(), err == nil && offset == 0 && t.Year() > 1970
}

// ParsePriority reads a priority-value, from -9 to 9 (RFC 6710 §7).
func ParsePriority(s string) (int8, bool) {
	digit := strings.TrimPrefix(s, "-")
	if len(digit) != 1 || !isDigit(digit[0]) || s == "-0" {
		return 0, false
	}
	n := int8(digit[0] - '0')
	if digit != s {
		n = -n
	}
	return n, true
}

// MaxSolicitation is the longest list of solicitation class keywords, in octets
// (RFC 3865 §2.2).
const MaxSolicitation = 1000

// ValidSolicitation says whether s is a list of solicitation class keywords, with
// commas between (RFC 3865 §2.2).
func ValidSolicitation(s string) bool {
	if len(s) > MaxSolicitation {
		return false
	}
	for word := range strings.SplitSeq(s, ",") {
		for i := 0; i < len(word); i++ {
			c := word[i] | 0x20
			letter := c >= 'a' && c <= 'z'
			if !letter && (i == 0 || !isDigit(word[i]) && strings.IndexByte(".-_:", word[i]) < 0) {
				return false
			}
		}
		if word == "" {
			return false
		}
	}
	return true
}

// Unsolicited gives the keywords of list that are among unwanted, which the
// server has announced; "" if none is. Case is ignored.
func Unsolicited(list string, unwanted []string) string {
	var found []string
	for word := range strings.SplitSeq(list, ",") {
		for _, no := range unwanted {
			if strings.EqualFold(word, strings.TrimSpace(no)) && word != "" {
				found = append(found, word)
				break
			}
		}
	}
	return strings.Join(found, ",")
}

// Demands are what o asks of the way that a message takes, if it was said at now.
func (o MailOptions) Demands(now time.Time) mail.Demands {
	d := mail.Demands{Binary: o.Binary, Full: o.Full, Priority: o.Priority, Prioritized: o.Prioritized, Solicit: o.Solicit}
	if o.By.Mode != 0 {
		d.By = mail.DeliverBy{
			At: now.Add(time.Duration(o.By.Seconds) * time.Second), Return: o.By.Mode == 'R', Trace: o.By.Trace,
		}
	}
	switch {
	case o.HoldFor > 0:
		d.Release = now.Add(o.HoldFor)
		d.Requested = fmt.Sprintf("for;%d", o.HoldFor/time.Second)
	case !o.HoldUntil.IsZero():
		d.Release = o.HoldUntil
		d.Requested = "until;" + o.HoldUntil.Format(time.RFC3339)
	}
	return d
}

// Remaining is the BY that is left of a deliver-by-time at now (RFC 2852
// §4.1.4); zero if there is none.
func Remaining(by mail.DeliverBy, now time.Time) By {
	if by.IsZero() {
		return By{}
	}
	b := By{Mode: 'N', Seconds: int64(by.At.Sub(now) / time.Second), Trace: by.Trace}
	if by.Return {
		b.Mode = 'R'
	}
	b.Seconds = max(-maxSeconds, min(b.Seconds, maxSeconds))
	return b
}

// MinBy reads the parameter of DELIVERBY: the least by-time that the server
// takes in mode R (RFC 2852 §2); 0 if it says none.
func MinBy(param string) int64 {
	first, _, _ := strings.Cut(strings.TrimSpace(param), ",")
	if n, ok := parseNumber(first); ok && len(first) <= 9 {
		return n
	}
	return 0
}

// Limits are what a server says it takes (RFC 9422 §4); 0 is not said.
type Limits struct {
	Mails   int // MAILMAX: MAIL commands of a session
	Rcpts   int // RCPTMAX: RCPT commands of a transaction
	Domains int // RCPTDOMAINMAX: domains of recipients in a session
}

// String is the parameter of LIMITS; "" if there is nothing to say. What is over
// six digits is as good as no limit.
func (l Limits) String() string {
	var words []string
	for _, w := range []struct {
		name  string
		value int
	}{{"MAILMAX", l.Mails}, {"RCPTMAX", l.Rcpts}, {"RCPTDOMAINMAX", l.Domains}} {
		if w.value > 0 && w.value <= 999_999 {
			words = append(words, fmt.Sprintf("%s=%d", w.name, w.value))
		}
	}
	return strings.Join(words, " ")
}

// ParseLimits reads the parameter of LIMITS. What is malformed as a whole says
// nothing, and what is malformed in one limit leaves that out (RFC 9422 §3.7).
func ParseLimits(param string) (l Limits) {
	for word := range strings.FieldsSeq(param) {
		name, value, _ := strings.Cut(word, "=")
		if strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r > '~' || r == ';' }) || name == "" {
			return Limits{}
		}
		n, ok := parseNumber(value)
		if !ok || len(value) > 6 || value[0] == '0' {
			continue
		}
		switch strings.ToUpper(name) {
		case "MAILMAX":
			l.Mails = int(n)
		case "RCPTMAX":
			l.Rcpts = int(n)
		case "RCPTDOMAINMAX":
			l.Domains = int(n)
		}
	}
	return l
}

// Envelope is what a mail transaction begins with that is opened at now.
func (o MailOptions) Envelope(from mail.Address, now time.Time) mail.Envelope {
	return mail.Envelope{
		From: from, ID: o.EnvelopeID, Headers: o.HeadersOnly, UTF8: o.UTF8, EightBit: o.EightBit, RequireTLS: o.RequireTLS,
		Quoted: o.Quoted, Demands: o.Demands(now),
	}
}

// Recipient is a forward-path with what was asked about it.
func (o RcptOptions) Recipient(to mail.Address) mail.Recipient {
	return mail.Recipient{Address: to, Original: o.Original, Notify: o.Notify, Quoted: o.Quoted}
}

// Grant lowers a priority that is over most, the highest that the client may
// ask for, and gives what MAIL is answered then instead of ok (RFC 6710 §4.1).
func (o *MailOptions) Grant(most int8, ok Reply) Reply {
	if o.Priority <= most {
		return ok
	}
	o.Priority = most
	return Answer(250, Enhanced{2, 3, 6}, "%d is the priority that the message is given", most)
}
