package smtp

import (
	"strings"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// eachParam takes parameters apart (RFC 5321 §4.1.2) and gives each to set, its
// keyword in upper case. hasValue tells "KEY=" from "KEY".
func eachParam(s string, set func(key, value string, hasValue bool) Reply) Reply {
	seen := map[string]bool{}
	for p := range strings.FieldsSeq(s) {
		key, value, hasValue := strings.Cut(p, "=")
		key = strings.ToUpper(key)
		if !isKeyword(key) || hasValue && !isParamValue(value) {
			return Answer(501, Enhanced{5, 5, 4}, "A parameter cannot be understood")
		}
		if seen[key] {
			return Answer(501, Enhanced{5, 5, 4}, "The parameter %s is there twice", key)
		}
		seen[key] = true
		if r := set(key, value, hasValue); !r.IsZero() {
			return r
		}
	}
	return Reply{}
}

func isKeyword(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !(c >= 'A' && c <= 'Z' || isDigit(c) || c == '-' && i > 0) {
			return false
		}
	}
	return s != ""
}

// isParamValue says whether s has no control characters and no "=". RFC 6531
// §3.3 lets octets over 127 stand.
func isParamValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == '=' || c == 0x7f {
			return false
		}
	}
	return s != ""
}

func badParam(key string) Reply {
	return Answer(501, Enhanced{5, 5, 4}, "The parameter %s cannot be understood", key)
}

func unknownParam(key string) Reply {
	return Answer(555, Enhanced{5, 5, 4}, "The parameter %.40s is not known here", key)
}

// parse reads the parameters of MAIL.
func (o *MailOptions) parse(s string, x Extensions) Reply {
	if s == "" {
		return Reply{}
	}
	return eachParam(s, func(key, value string, hasValue bool) Reply {
		ok := true
		switch {
		case key == "SIZE" && x.Size: // RFC 1870 §4
			o.Size, ok = parseNumber(value)
		case key == "BODY" && x.EightBit: // RFC 6152 §2
			o.EightBit = strings.EqualFold(value, "8BITMIME")
			o.Binary = strings.EqualFold(value, "BINARYMIME") && x.Binary // RFC 3030 §3
			ok = o.EightBit || o.Binary || strings.EqualFold(value, "7BIT")
		case key == "SMTPUTF8" && x.UTF8: // RFC 6531 §3.4
			o.UTF8, ok = true, !hasValue
		case key == "AUTH" && x.Auth: // RFC 4954 §5
			o.Auth, ok = DecodeXtext(value)
			ok = ok && value != ""
		case key == "RET" && x.DSN: // RFC 3461 §4.3
			o.HeadersOnly, o.Full = strings.EqualFold(value, "HDRS"), strings.EqualFold(value, "FULL")
			ok = o.HeadersOnly || o.Full
		case key == "ENVID" && x.DSN: // RFC 3461 §4.4
			o.EnvelopeID, ok = DecodeXtext(value)
			ok = ok && value != "" && len(value) <= 100 && isPrintable(o.EnvelopeID)
		default:
			return o.demand(key, value, hasValue, x)
		}
		if !ok {
			return badParam(key)
		}
		return Reply{}
	})
}

// demand reads the parameters that ask something of the way a message takes.
func (o *MailOptions) demand(key, value string, hasValue bool, x Extensions) Reply {
	ok := true
	switch {
	case key == "REQUIRETLS" && x.RequireTLS: // RFC 8689 §2
		o.RequireTLS, ok = true, !hasValue
	case key == "REQUIRETLS" && x.TLS: // it is there once TLS is
		return Answer(530, Enhanced{5, 7, 10}, "REQUIRETLS can be asked for only after STARTTLS")
	case key == "BY" && x.DeliverBy: // RFC 2852 §4
		o.By, ok = parseBy(value)
	case key == "HOLDFOR" && x.FutureRelease: // RFC 4865 §3
		o.HoldFor, ok = parseHoldFor(value)
		ok = ok && o.HoldUntil.IsZero()
	case key == "HOLDUNTIL" && x.FutureRelease:
		o.HoldUntil, ok = parseHoldUntil(value)
		ok = ok && o.HoldFor == 0
	case key == "MT-PRIORITY" && x.Priority: // RFC 6710 §7
		o.Priority, o.Prioritized = ParsePriority(value)
		if !o.Prioritized {
			return Answer(501, Enhanced{5, 5, 2}, "MT-PRIORITY wants a number from -9 to 9") // RFC 6710 §4.1
		}
	case key == "SOLICIT" && x.NoSoliciting: // RFC 3865 §2.3
		o.Solicit, ok = value, ValidSolicitation(value)
	default:
		return unknownParam(key)
	}
	if !ok {
		return badParam(key)
	}
	return Reply{}
}

// isPrintable says whether s is graphic and white space of ASCII (RFC 3461 §4.4).
func isPrintable(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < ' ' && c != '\t') || c > '~' {
			return false
		}
	}
	return true
}

// parse reads the parameters of RCPT.
func (o *RcptOptions) parse(s string, x Extensions) Reply {
	if s == "" {
		return Reply{}
	}
	return eachParam(s, func(key, value string, _ bool) Reply {
		ok := true
		switch {
		case key == "NOTIFY" && x.DSN:
			o.Notify, ok = parseNotify(value)
		case key == "ORCPT" && x.DSN:
			o.Original, ok = parseOriginal(value)
		default:
			return unknownParam(key)
		}
		if !ok {
			return badParam(key)
		}
		return Reply{}
	})
}

// parseNotify reads NEVER, or a list of the others (RFC 3461 §4.1).
func parseNotify(s string) (mail.Notify, bool) {
	var n mail.Notify
	for word := range strings.SplitSeq(s, ",") {
		switch strings.ToUpper(word) {
		case "NEVER":
			n |= mail.NotifyNever
		case "SUCCESS":
			n |= mail.NotifySuccess
		case "FAILURE":
			n |= mail.NotifyFailure
		case "DELAY":
			n |= mail.NotifyDelay
		default:
			return 0, false
		}
	}
	return n, n&mail.NotifyNever == 0 || n == mail.NotifyNever
}

// parseOriginal reads addr-type;xtext (RFC 3461 §4.2) and keeps the type. With
// SMTPUTF8 the type utf-8 has an encoding of its own (RFC 6533 §3), which is
// kept as it came.
func parseOriginal(s string) (string, bool) {
	kind, addr, ok := strings.Cut(s, ";")
	if !ok || !isKeyword(strings.ToUpper(kind)) || addr == "" || len(s) > 500 {
		return "", false
	}
	if strings.EqualFold(kind, "utf-8") {
		return s, true
	}
	addr, ok = DecodeXtext(addr)
	if strings.ContainsAny(addr, "\r\n\x00") {
		return "", false
	}
	return kind + ";" + addr, ok
}
