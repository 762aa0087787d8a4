package filter

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/milter"
)

// usual are the macros that a milter is told if it does not choose.
func usual(at milter.Stage) []string {
	switch at {
	case milter.AtConnect:
		return []string{"j", "_", "{daemon_name}", "{daemon_addr}", "{daemon_port}", "v", "{client_addr}", "{client_port}", "{client_name}", "{client_ptr}"}
	case milter.AtHelo:
		return []string{"{tls_version}", "{cipher}", "{cipher_bits}"}
	case milter.AtMail:
		return []string{"i", "{auth_type}", "{auth_authen}", "{auth_author}", "{mail_addr}", "{mail_host}", "{mail_mailer}"}
	case milter.AtRcpt:
		return []string{"i", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"}
	}
	return []string{"i"}
}

// appendMacros writes the macros that belong in front of c; those without a
// value are not told.
func (t *Talk) appendMacros(dst []byte, msg *Message, to *mail.Recipient, c milter.Command) []byte {
	at, ok := c.Stage()
	if !ok {
		return dst
	}
	names, chosen := t.options.Macros[at]
	if !chosen {
		names = usual(at)
	}
	data := []byte{byte(c)}
	for _, name := range names {
		if v := macro(name, msg, to); v != "" {
			data = milter.AppendStrings(data, braced(name), v)
		}
	}
	if len(data) == 1 {
		return dst
	}
	return milter.AppendPacket(dst, milter.Macro, data)
}

// braced gives a macro's name as it goes over the wire.
func braced(name string) string {
	if len(name) > 1 && name[0] != '{' {
		return "{" + name + "}"
	}
	return name
}

// macro is the value of one of sendmail's macros, "" if there is none.
func macro(symbol string, msg *Message, to *mail.Recipient) string {
	p := msg.Peer
	symbol = strings.Trim(symbol, "{}")
	switch symbol {
	case "i":
		return msg.ID.String()
	case "j", "daemon_name", "if_name":
		return msg.Hostname
	case "v":
		return "Ekiden"
	case "_":
		return name(p) + " [" + address(p.Addr) + "]"
	case "s":
		return p.Helo
	case "client_addr":
		return address(p.Addr)
	case "client_port":
		return port(p.Addr)
	case "client_name", "client_ptr":
		return name(p)
	case "daemon_addr", "if_addr":
		return address(p.Local)
	case "daemon_port":
		return port(p.Local)
	case "tls_version", "cipher", "cipher_bits":
		return tlsMacro(symbol, p)
	case "auth_type":
		return p.Login
	case "auth_authen", "auth_author":
		return p.User.String()
	case "f", "mail_addr":
		return msg.Envelope.From.String()
	case "mail_host":
		return string(msg.Envelope.From.Domain)
	case "mail_mailer", "rcpt_mailer":
		return "smtp"
	case "rcpt_addr", "rcpt_host":
		if to == nil {
			return ""
		}
		if symbol == "rcpt_host" {
			return string(to.Address.Domain)
		}
		return to.Address.String()
	}
	return ""
}

// name is the peer's, "unknown" if it has none.
func name(p *mail.Peer) string {
	if p.Name == "" {
		return "unknown"
	}
	return p.Name
}

func address(p netip.AddrPort) string {
	if !p.IsValid() {
		return ""
	}
	return p.Addr().Unmap().WithZone("").String()
}

func port(p netip.AddrPort) string {
	if !p.IsValid() {
		return ""
	}
	return strconv.Itoa(int(p.Port()))
}

// tlsMacro takes "TLS1.3 TLS_AES_128_GCM_SHA256" apart.
func tlsMacro(name string, p *mail.Peer) string {
	version, cipher, _ := strings.Cut(p.TLSInfo, " ")
	switch {
	case !p.TLS || p.TLSInfo == "":
		return ""
	case name == "cipher":
		return cipher
	case name == "tls_version":
		return strings.Replace(version, "TLS", "TLSv", 1)
	case strings.Contains(cipher, "AES_128"):
		return "128"
	}
	return "256"
}
