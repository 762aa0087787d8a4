// Package bounce says why a delivery failed, in a few words that never change,
// whatever a host called it.
package bounce

import "strings"

// Reason is why a delivery failed or waits. The words are stable: they stand in
// the history, in the REST API and in the suppression list.
type Reason string

// The reasons. Those about the address come first, then those about its domain,
// its host, the message and its sender.
const (
	None Reason = "" // nothing failed

	UnknownUser   Reason = "unknown-user"     // there is no such address
	BadAddress    Reason = "bad-address"      // the host cannot read the address, or finds it ambiguous
	Moved         Reason = "moved"            // the recipient is somewhere else now
	Disabled      Reason = "mailbox-disabled" // the address is there and out of use
	MailboxFull   Reason = "mailbox-full"     // over quota
	Restricted    Reason = "restricted"       // the recipient takes mail from some senders only
	UserRate      Reason = "recipient-rate"   // the recipient gets too much mail just now
	UnknownDomain Reason = "unknown-domain"   // the domain, or a host for it, does not exist
	NoMail        Reason = "no-mail-domain"   // the domain says that it takes no mail (RFC 7505)
	RelayDenied   Reason = "relay-denied"     // the host is not responsible for the address

	Unreachable Reason = "unreachable"   // no host answered
	DNSFailure  Reason = "dns-failure"   // the domain name system gave no answer
	Broken      Reason = "line-broken"   // the connection ended in the middle
	Busy        Reason = "busy"          // the host takes nothing just now
	HostFull    Reason = "host-full"     // the host has no space or memory left
	HostFault   Reason = "host-fault"    // the host says that it is broken or misconfigured
	Loop        Reason = "loop"          // the message goes in circles
	Expired     Reason = "expired"       // tried for as long as is tried
	Protocol    Reason = "protocol"      // the host did not understand a command
	NoTLS       Reason = "no-tls"        // the line could not be secured as it must be
	NeedsTLS    Reason = "tls-required"  // the host wants TLS
	NeedsAuth   Reason = "auth-required" // the host wants a login, or refused ours

	TooLarge    Reason = "too-large"          // the message, or what is in it
	TooMany     Reason = "too-many"           // recipients for one message
	Unsupported Reason = "unsupported"        // the host cannot take such content or addresses (8BITMIME, SMTPUTF8)
	Malformed   Reason = "malformed"          // the message breaks rules of form
	Virus       Reason = "virus"              // it carries something dangerous, or a forbidden kind of attachment
	Spam        Reason = "spam"               // its content was taken for spam
	Unproven    Reason = "unauthenticated"    // SPF, DKIM or DMARC does not prove its sender
	BadSender   Reason = "bad-sender"         // the reverse-path does not exist or is not taken
	NoReverse   Reason = "no-reverse-name"    // our address has no name, or not a fitting one
	Blocklisted Reason = "blocklisted"        // our address or domain is on a public or own list
	Reputation  Reason = "reputation"         // the host thinks badly of our address or domain
	RateLimited Reason = "rate-limited"       // too much mail from us just now
	Greylisted  Reason = "greylisted"         // the host wants to be asked again later
	Policy      Reason = "policy"             // another rule of the host
	Complaint   Reason = "complaint"          // the recipient called the message spam (RFC 5965)
	Other       Reason = "other"              // the host gave none that is known
	Accepted    Reason = "accepted-then-lost" // the host took it, and later sent a report without a reason
)

// All lists the reasons.
func All() []Reason {
	return []Reason{
		UnknownUser, BadAddress, Moved, Disabled, MailboxFull, Restricted, UserRate, UnknownDomain, NoMail, RelayDenied, Unreachable, DNSFailure,
		Broken, Busy, HostFull, HostFault, Loop, Expired, Protocol, NoTLS, NeedsTLS, NeedsAuth, TooLarge, TooMany, Unsupported, Malformed, Virus,
		Spam, Unproven, BadSender, NoReverse, Blocklisted, Reputation, RateLimited, Greylisted, Policy, Complaint, Other, Accepted,
	}
}

// Lasting says whether the reason is the address itself, so that nothing sent
// there will arrive: what a suppression list is for.
func (r Reason) Lasting() bool {
	switch r {
	case UnknownUser, BadAddress, Moved, Disabled, UnknownDomain, NoMail, Complaint:
		return true
	}
	return false
}

// Distrust says whether the host would not have the message for what it is or
// whence it comes. Its sender, if he is a stranger, may well be forged.
func (r Reason) Distrust() bool {
	switch r {
	case Virus, Spam, Unproven, BadSender, NoReverse, Blocklisted, Reputation, Policy:
		return true
	}
	return false
}

// maxWords is how much of a reply is looked at, in octets.
const maxWords = 4000

// Classify finds the reason of a reply such as "550 5.1.1 no such user". status
// is an enhanced code (RFC 3463) that is known from elsewhere, or ""; the
// reply's own is better. A success has no reason. What is specific counts more
// than what is common: the wording that only one meaning has, then the enhanced
// code, then wordings that hosts use loosely, then the code alone.
func Classify(status, reply string) Reason {
	code, own, words := cut(strings.ToLower(reply[:min(len(reply), maxWords)]))
	if own != "" {
		status = own
	}
	if class(code, status) == '2' {
		return None
	}
	if r := find(sureWords(), words); r != None {
		return r
	}
	detail := ""
	if len(status) > 2 {
		detail = status[2:]
	}
	if r := byStatus(detail); r != None {
		return r
	}
	if r := find(looseWords(), words); r != None {
		return r
	}
	if r := bySubject(detail); r != None {
		return r
	}
	return byCode(code)
}

// class is the first digit of what is known.
func class(code, status string) byte {
	switch {
	case status != "":
		return status[0]
	case code != "":
		return code[0]
	}
	return 0
}

// cut takes the codes off the front of a reply. Those of further lines, which
// are joined by blanks, stay: they are no words of the table.
func cut(s string) (code, status, words string) {
	s = strings.TrimSpace(s)
	if len(s) >= 3 && isDigits(s[:3]) && s[0] >= '2' && s[0] <= '5' && (len(s) == 3 || s[3] == ' ' || s[3] == '-' || s[3] == '#' || s[3] == ':') {
		code, s = s[:3], strings.TrimLeft(s[3:], " -#:")
	}
	end := strings.IndexFunc(s, func(c rune) bool { return c != '.' && (c < '0' || c > '9') })
	if end < 0 {
		end = len(s)
	}
	if IsStatus(s[:end]) {
		status, s = s[:end], s[end:]
	}
	return code, status, strings.TrimLeft(s, " -:")
}

// IsStatus says whether s is an enhanced code (RFC 3463 §2).
func IsStatus(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || parts[0] != "2" && parts[0] != "4" && parts[0] != "5" {
		return false
	}
	for _, p := range parts[1:] {
		if p == "" || len(p) > 3 || !isDigits(p) {
			return false
		}
	}
	return true
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// find gives the reason of the first wording that stands in s.
func find(table []wording, s string) Reason {
	for _, w := range table {
		for _, text := range w.texts {
			if hasWord(s, text) {
				return w.reason
			}
		}
	}
	return None
}

// hasWord finds w where it does not begin or end in the middle of a word.
func hasWord(s, w string) bool {
	for at := 0; ; {
		i := strings.Index(s[at:], w)
		if i < 0 {
			return false
		}
		from, to := at+i, at+i+len(w)
		if (from == 0 || !isLetter(s[from-1]) || !isLetter(w[0])) && (to == len(s) || !isLetter(s[to]) || !isLetter(w[len(w)-1])) {
			return true
		}
		at = from + 1
	}
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
