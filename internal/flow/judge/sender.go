package judge

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/trust/arc"
	"github.com/ekiden-mail/ekiden/internal/trust/dkim"
	"github.com/ekiden-mail/ekiden/internal/trust/dmarc"
	"github.com/ekiden-mail/ekiden/internal/trust/dnsbl"
	"github.com/ekiden-mail/ekiden/internal/trust/iprev"
	"github.com/ekiden-mail/ekiden/internal/trust/spf"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Sender is what is known of who sent a message and who wrote it. A part that was
// not looked at is its zero value.
type Sender struct {
	IP       netip.Addr
	Greeting string // the HELO name
	MailFrom string // the reverse-path; "" is the null one
	From     int    // From fields that the message has
	Authors  int    // different domains in them

	Reverse iprev.Result
	Helo    iprev.Result
	HeloSPF spf.Result
	SPF     spf.Result
	DKIM    []dkim.Result
	Over    int // signatures that nobody looked at
	ARC     arc.Result
	DMARC   dmarc.Result
	Listed  []dnsbl.Listing
	Unasked []string // what was not found out about lists, in words
}

// Results is the evidence as Authentication-Results has it (RFC 8601 §2.7).
func (s *Sender) Results() []message.AuthResult {
	var all []message.AuthResult
	add := func(method, result, comment, reason string, props ...message.AuthProp) {
		if result != "" {
			all = append(all, message.AuthResult{Method: method, Result: result, Comment: comment, Reason: reason, Props: props})
		}
	}
	if s.MailFrom != "" {
		add("spf", string(s.SPF.Code), s.SPF.Mechanism, s.SPF.Problem, prop("smtp", "mailfrom", s.MailFrom))
	} else { // RFC 7208 §2.4
		add("spf", string(s.HeloSPF.Code), s.HeloSPF.Mechanism, s.HeloSPF.Problem, prop("smtp", "helo", s.Greeting))
	}
	for _, d := range s.DKIM {
		if d.Code == dkim.None {
			add("dkim", "none", "the message has no signature", "")
			continue
		}
		add("dkim", string(d.Code), keyWords(d), d.Problem, prop("header", "d", d.Domain), prop("header", "i", d.Identity),
			prop("header", "s", d.Selector), prop("header", "a", d.Algorithm), prop("header", "b", d.Short))
	}
	add("dmarc", string(s.DMARC.Code), s.vouched(), s.DMARC.Problem, prop("header", "from", s.DMARC.Author), prop("policy", "dmarc", string(s.DMARC.Policy)))
	ip := ""
	if s.IP.IsValid() {
		ip = s.IP.String()
	}
	add("arc", string(s.ARC.Code), strings.Join(s.ARC.Sealers, " "), s.ARC.Problem, prop("smtp", "remote-ip", ip))
	add("iprev", string(s.Reverse.Code), s.Reverse.Name, s.Reverse.Problem, prop("policy", "iprev", ip))
	return all
}

func prop(kind, name, value string) message.AuthProp {
	return message.AuthProp{Type: kind, Name: name, Value: value}
}

// keyWords says with what key a signature was made.
func keyWords(d dkim.Result) string {
	if d.Bits == 0 {
		return ""
	}
	words := fmt.Sprintf("%d-bit key", d.Bits)
	if d.Testing {
		words += ", testing"
	}
	if d.Secure {
		words += ", secure"
	}
	return words
}

// vouched says by what means the author's domain vouches for a message.
func (s *Sender) vouched() string {
	d := s.DMARC
	if d.Code != dmarc.Pass {
		return ""
	}
	var by []string
	if d.SPF {
		by = append(by, "SPF")
	}
	if d.DKIM {
		by = append(by, "DKIM")
	}
	return "by " + strings.Join(by, " and ")
}
