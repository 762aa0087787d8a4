package deliver

import (
	"fmt"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// maxComment is the longest list of keywords that stands in a line (RFC 5322
// §2.1.1), in octets.
const maxComment = 900

// received writes the trace field of RFC 5321 §4.4. The recipient is named only
// when there is but one, so that blind copies stay blind (§7.2).
func received(a *mail.Arrival, hostname string) []byte {
	var b strings.Builder
	if !a.Peer.Addr.IsValid() {
		// A letter of our own came through no door.
		fmt.Fprintf(&b, "Received: by %s id %s;\r\n\t%s\r\n", hostname, a.ID, message.FormatDate(a.At))
		return []byte(b.String())
	}
	if a.NoClient {
		fmt.Fprintf(&b, "Received: by %s with %s", hostname, protocol(a))
	} else {
		fmt.Fprintf(&b, "Received: from %s (%s%s)\r\n", helo(a.Peer.Helo), reverseName(a.Peer), addressLiteral(a.Peer))
		fmt.Fprintf(&b, "\tby %s with %s", hostname, protocol(a))
	}
	if n := len(a.Envelope.Solicit); n > 0 && n < maxComment { // RFC 3865 §2.6
		fmt.Fprintf(&b, "\r\n\t(SOLICIT=%s)\r\n\t", a.Envelope.Solicit)
	} else {
		b.WriteString(" ")
	}
	fmt.Fprintf(&b, "id %s", a.ID)
	if a.Peer.TLSInfo != "" {
		fmt.Fprintf(&b, "\r\n\t(%s)", a.Peer.TLSInfo)
	}
	if len(a.Envelope.To) == 1 && a.Envelope.To[0].Address.IsASCII() {
		fmt.Fprintf(&b, "\r\n\tfor <%s>", a.Envelope.To[0].Address)
	}
	if a.Envelope.Prioritized { // RFC 6710 §7
		fmt.Fprintf(&b, "\r\n\tPRIORITY %d", a.Envelope.Priority)
	}
	fmt.Fprintf(&b, ";\r\n\t%s\r\n", message.FormatDate(a.At))
	return []byte(b.String())
}

// protocol is the registered name of how the message came (RFC 3848, RFC 6531
// §4.3).
func protocol(a *mail.Arrival) string {
	p := a.Peer
	base := "SMTP"
	if p.LMTP {
		base = "LMTP"
	}
	switch {
	case a.Envelope.UTF8:
		base = "UTF8" + base
	case p.ESMTP && !p.LMTP:
		base = "E" + base
	}
	if p.TLS {
		base += "S"
	}
	if p.Account != 0 {
		base += "A"
	}
	return base
}

// helo gives a name that is fit for a header field, whatever the peer called
// itself.
func helo(name string) string {
	if name == "" || len(name) > mail.MaxDomain {
		return "unknown"
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;\"`, c) >= 0 {
			return "unknown"
		}
	}
	return name
}

// reverseName is the name of the peer's address and a blank, where it is known.
func reverseName(p mail.Peer) string {
	if name := helo(p.Name); p.Name != "" && name != "unknown" {
		return name + " "
	}
	return ""
}

func addressLiteral(p mail.Peer) string {
	addr := p.Addr.Addr().Unmap().WithZone("")
	if addr.Is6() {
		return "[IPv6:" + addr.String() + "]"
	}
	return "[" + addr.String() + "]"
}
