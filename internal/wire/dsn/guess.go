package dsn

import (
	"io"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/bounce"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

const (
	maxText     = 128 << 10 // octets of a text that are looked through
	maxGuessed  = 100       // recipients that are found in it
	maxSaid     = 1000      // octets of what is said of one
	maxSaidRows = 12        // lines of it
)

// hints are what a text says, in lower case, that tells of a failure: without
// one of them it is no report, however many addresses it names.
func hints() []string {
	return []string{
		"wasn't able to deliver", "could not be delivered", "couldn't be delivered", "not be delivered", "cannot be delivered", "undeliverable", "undelivered mail",
		"delivery has failed", "delivery failed", "delivery failure", "failed to deliver", "unable to deliver", "failure notice", "returned mail",
		"did not reach", "was rejected by a remote mail server", "delivery status notification", "had permanent fatal errors", "had transient non-fatal errors",
		"has not been delivered", "not yet been delivered", "could not be sent", "message delayed", "delivery delayed", "has been delayed",
		"配信できません", "配信されません", "送信できません", "届けられません", "配送できません", "宛先不明",
	}
}

// lateHints are what it says if the message still waits.
func lateHints() []string {
	return []string{
		"has not been delivered", "not yet been delivered", "will keep trying", "will be retried", "continue to try", "keep trying", "message delayed", "delivery delayed",
		"has been delayed", "you do not need to resend", "transient non-fatal errors", "no action is required on your part", "遅れています",
	}
}

// separators begin the lines behind which the message itself stands.
func separators() []string {
	return []string{
		"--- below this line is a copy of the message", "------ this is a copy of", "--- original message", "----- original message", "-----original message",
		"----- message header", "--- the header of the original", "----- returned message", "----- unsent message", "--- enclosed is a copy", "original message headers:",
		"----- below this line", "------ message header", "----- header", "--- message header", "-------- original message", "return-path:", "received:",
	}
}

// Guess reads a report that is not made for programs: of qmail, Exim, Exchange,
// Postfix, Sendmail and their like. It is fault.NotFound where it finds none;
// other errors come from r.
func Guess(ix *message.Index, r io.ReaderAt) (*Report, error) {
	const op = "dsn.Guess"
	report := &Report{}
	var text []byte
	var err error
	ix.Walk(func(_ []int, p *message.Part) bool {
		if p.Type == "text" && p.Subtype == "plain" && text == nil {
			text, err = plain(p, r)
		} else {
			err = report.takeReturned(p, r)
		}
		return err == nil
	})
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	report.guess(string(text), message.DecodeHeader(ix.Header.Get("Subject")), ix.Header.All("X-Failed-Recipients"))
	if len(report.Recipients) == 0 {
		return nil, fault.New(fault.NotFound, op, "the message is no delivery report")
	}
	return report, nil
}

func plain(p *message.Part, r io.ReaderAt) ([]byte, error) {
	s := io.NewSectionReader(r, p.BodyStart, min(p.Size(), maxText))
	b, err := io.ReadAll(io.LimitReader(message.DecodeText(s, p.Encoding, p.Charset()), maxText))
	if b == nil {
		b = []byte{}
	}
	return b, err
}

// guess finds recipients in a text, and names those that Exim lists if it finds
// none.
func (r *Report) guess(text, subject string, failed []string) {
	told, original := split(strings.ReplaceAll(text, "\r\n", "\n"))
	lower := strings.ToLower(subject + "\n" + told)
	if !hasAny(lower, hints()) {
		return
	}
	if len(r.Returned.Fields()) == 0 && original != "" {
		r.take(message.ParseHeader([]byte(strings.ReplaceAll(original, "\n", "\r\n"))))
	}
	act := Failed
	if hasAny(lower, lateHints()) {
		act = Delayed
	}
	r.read(told, act)
	if len(r.Recipients) > 0 {
		return
	}
	for _, list := range failed {
		for _, a := range message.ParseAddressList(list) {
			if to, ok := one(a); ok && len(r.Recipients) < maxGuessed {
				r.Recipients = append(r.Recipients, Recipient{Final: to, Action: act})
			}
		}
	}
}

// read adds the recipients that a text names, and what it says of each.
func (r *Report) read(text string, act Action) {
	g := guesser{report: r, action: act}
	for line := range strings.Lines(text) {
		g.line(line)
	}
	g.end()
}

func hasAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// split parts what is said from the message that it is said of.
func split(text string) (told, original string) {
	for at := 0; at < len(text); {
		line, _, _ := strings.Cut(text[at:], "\n")
		lower := strings.ToLower(strings.TrimSpace(line))
		for _, s := range separators() {
			if !strings.HasPrefix(lower, s) {
				continue
			}
			if strings.HasSuffix(s, ":") && !strings.HasPrefix(s, "original") {
				return text[:at], text[at:]
			}
			return text[:at], strings.TrimLeft(text[min(len(text), at+len(line)):], "\n ")
		}
		at += len(line) + 1
	}
	return text, ""
}

// guesser gathers what is said of the recipient that was named last.
type guesser struct {
	report *Report
	action Action
	to     mail.Address
	said   []string
	gap    bool // an empty line stood behind what was said
}

func (g *guesser) line(s string) {
	s = strings.TrimSpace(s)
	if to, rest, ok := named(s); ok && (g.to.IsNull() || to != g.to) {
		g.end()
		g.to, g.said, g.gap = to, nil, false
		if rest != "" {
			g.said = append(g.said, rest)
		}
		return
	}
	switch {
	case g.to.IsNull():
	case s == "":
		g.gap = len(g.said) > 0
	case g.gap && bounce.Classify("", strings.Join(g.said, " ")) != bounce.Other:
		g.end() // another paragraph, and what came before says enough
	case len(g.said) < maxSaidRows:
		g.said = append(g.said, s)
	}
}

// end notes the recipient that was named last.
func (g *guesser) end() {
	if g.to.IsNull() || len(g.report.Recipients) >= maxGuessed {
		return
	}
	words := strings.Join(g.said, " ")
	words = words[:min(len(words), maxSaid)]
	words = strings.ToValidUTF8(words, "")
	rcpt := Recipient{Final: g.to, Action: g.action, Status: statusIn(words), Diagnostic: reply(words)}
	g.report.Recipients = append(g.report.Recipients, rcpt)
	g.to = mail.Address{}
}

// named says whether a line names a recipient: an address alone or in angle
// brackets at its beginning, or behind a word for it. rest is what follows.
func named(s string) (to mail.Address, rest string, ok bool) {
	for _, word := range []string{"recipient:", "to:", "final-recipient: rfc822;", "final-recipient:", "failed recipient:", "宛先:", "宛先："} {
		if len(s) > len(word) && strings.EqualFold(s[:len(word)], word) {
			s = strings.TrimSpace(s[len(word):])
			break
		}
	}
	if inner, after, found := strings.Cut(s, ">"); found && strings.HasPrefix(inner, "<") {
		a, err := mail.ParseAddress(strings.TrimPrefix(inner[1:], "mailto:"))
		after = strings.TrimSpace(after)
		if err != nil || after != "" && after[0] != ':' && after[0] != '(' && after[0] != '.' {
			return to, "", false // a line of talk that begins with an address
		}
		return a, strings.TrimLeft(after, ":. "), true
	}
	word, after, _ := strings.Cut(s, " ")
	word, angle, _ := strings.Cut(word, "<mailto:")
	alone := strings.TrimSuffix(word, ":")
	a, err := mail.ParseAddress(strings.Trim(alone, `"'()`))
	if err != nil || angle == "" && after != "" && alone == word && !strings.HasPrefix(after, "on ") && !strings.HasPrefix(after, "(") {
		return to, "", false
	}
	return a, strings.TrimSpace(after), true
}

// statusIn finds an enhanced code in a text, such as (#5.1.1); "" if there is none.
func statusIn(s string) string {
	for _, word := range strings.FieldsFunc(s, func(c rune) bool { return c != '.' && (c < '0' || c > '9') }) {
		if bounce.IsStatus(strings.Trim(word, ".")) && word[0] != '2' {
			return strings.Trim(word, ".")
		}
	}
	return ""
}

// reply is what of a text begins with a host's code, or all of it.
func reply(s string) string {
	for at := 0; at+4 <= len(s); at++ {
		if diagnosticType(s[at:]) == "smtp" && s[at] >= '4' && (at == 0 || strings.IndexByte(" #:;<(", s[at-1]) >= 0) {
			return s[at:]
		}
	}
	return s
}

// one is an address of a list, if it is one that mail can be sent to.
func one(a message.Addr) (mail.Address, bool) {
	d, err := mail.ParseDomain(a.Host)
	return mail.Address{Local: a.Mailbox, Domain: d}, err == nil && a.Mailbox != "" && len(a.Mailbox) <= mail.MaxLocalPart
}
