// Package mtasts reads what a domain says of how mail to it must be secured: the
// record that a policy is there, and the policy (RFC 8461). It fetches nothing.
package mtasts

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Limits on what a domain may publish.
const (
	MaxPolicy = 64 << 10                 // octets of a policy (RFC 8461 §3.3)
	MaxAge    = 31_557_600 * time.Second // RFC 8461 §3.2
	maxID     = 32                       // RFC 8461 §3.1
	maxMX     = 200                      // patterns of a policy
	maxLine   = 1000                     // octets
)

// Mode is what is to be done about a host that does not fit the policy (RFC 8461
// §5).
type Mode uint8

// The modes.
const (
	None    Mode = iota // nothing: the domain takes its policy back
	Testing             // it is told, and mail is sent all the same
	Enforce             // mail is not sent there
)

// ParseMode reads a mode.
func ParseMode(s string) (Mode, bool) {
	for i, word := range modeWords {
		if s == word {
			return Mode(i), true
		}
	}
	return 0, false
}

var modeWords = [...]string{"none", "testing", "enforce"}

// String is the mode as a policy has it.
func (m Mode) String() string { return modeWords[m] }

// RecordName is where a domain's record lies.
func RecordName(d mail.Domain) string { return "_mta-sts." + string(d) }

// PolicyURL is where its policy lies (RFC 8461 §3.3). Redirects do not count.
func PolicyURL(d mail.Domain) string {
	return "https://mta-sts." + string(d) + "/.well-known/mta-sts.txt"
}

// RecordID finds in the TXT records of RecordName the id of the policy that is
// in force (RFC 8461 §3.1). Without exactly one record that fits there is none.
func RecordID(texts []string) (id string, ok bool) {
	n := 0
	for _, text := range texts {
		if rest, is := strings.CutPrefix(text, "v=STSv1;"); is {
			n++
			id, ok = fieldID(rest)
		}
	}
	return id, ok && n == 1
}

// fieldID finds the id among the fields of a record.
func fieldID(fields string) (string, bool) {
	for field := range strings.SplitSeq(fields, ";") {
		key, value, _ := strings.Cut(strings.Trim(field, " \t"), "=")
		if key != "id" {
			continue
		}
		return value, value != "" && len(value) <= maxID && strings.IndexFunc(value, notAlnum) < 0
	}
	return "", false
}

func notAlnum(r rune) bool {
	return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
}

// Policy is what a domain demands.
type Policy struct {
	Mode   Mode
	MX     []string // host names and patterns, in lower case
	MaxAge time.Duration
}

// Parse reads a policy (RFC 8461 §3.2). fault.Invalid says what is wrong with it;
// then the domain has none.
func Parse(text []byte) (Policy, error) {
	p, err := parse(string(text))
	if err != nil {
		return Policy{}, fault.As(fault.Invalid, "mtasts.Parse", err)
	}
	return p, nil
}

func parse(text string) (p Policy, err error) {
	if len(text) > MaxPolicy {
		return p, errors.New("the policy is too large")
	}
	seen := map[string]bool{}
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(line, "\r \t")
		if line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok || len(line) > maxLine {
			return p, errors.New("a line of the policy is no field")
		}
		key, value = strings.TrimSpace(key), strings.Trim(value, " \t")
		// The first of several counts, but for mx (RFC 8461 §3.2).
		if seen[key] && key != "mx" {
			continue
		}
		if err := p.set(key, value, !seen["version"]); err != nil {
			return p, err
		}
		seen[key] = true
	}
	switch {
	case !seen["version"] || !seen["mode"] || !seen["max_age"]:
		return p, errors.New("the policy lacks version, mode or max_age")
	case len(p.MX) == 0 && p.Mode != None:
		return p, errors.New("the policy names no mail host")
	}
	return p, nil
}

// set takes in one field. Those that nobody has defined are for later versions.
func (p *Policy) set(key, value string, first bool) error {
	if first && (key != "version" || value != "STSv1") {
		return errors.New("the policy does not begin with version: STSv1")
	}
	switch key {
	case "mode":
		m, ok := ParseMode(value)
		if !ok {
			return errors.New("the mode of the policy is unknown")
		}
		p.Mode = m
	case "max_age":
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return errors.New("the max_age of the policy is no number")
		}
		p.MaxAge = min(time.Duration(n)*time.Second, MaxAge)
	case "mx":
		host, ok := pattern(value)
		if !ok || len(p.MX) == maxMX {
			return errors.New("an mx of the policy is no host name")
		}
		p.MX = append(p.MX, host)
	}
	return nil
}

// pattern gives a host name, or one whose first label is a star, in lower case
// and A-labels.
func pattern(s string) (string, bool) {
	host, wild := strings.CutPrefix(s, "*.")
	d, err := mail.ParseDomain(host)
	if err != nil || d.IsLiteral() {
		return "", false
	}
	if wild {
		return "*." + string(d), true
	}
	return string(d), true
}

// Allows says whether mail may go to an MX host (RFC 8461 §4.1). A star stands
// for one whole label.
func (p Policy) Allows(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	_, parent, _ := strings.Cut(host, ".")
	for _, mx := range p.MX {
		if rest, wild := strings.CutPrefix(mx, "*."); wild && rest == parent || mx == host {
			return true
		}
	}
	return false
}

// String writes the policy as it is served (RFC 8461 §3.2).
func (p Policy) String() string {
	var b strings.Builder
	b.WriteString("version: STSv1\r\nmode: " + p.Mode.String() + "\r\n")
	for _, mx := range p.MX {
		b.WriteString("mx: " + mx + "\r\n")
	}
	b.WriteString("max_age: " + strconv.FormatInt(int64(p.MaxAge/time.Second), 10) + "\r\n")
	return b.String()
}
