package imapd

import "github.com/ekiden-mail/ekiden/internal/fault"

// codes are the response codes (RFC 5530, RFC 9051 §7.1) that go with each kind
// of error. Invalid is the client's fault and BAD; all others are NO.
var codes = map[fault.Kind]string{
	fault.Internal:        "SERVERBUG",
	fault.Unavailable:     "UNAVAILABLE",
	fault.Corrupt:         "CORRUPTION",
	fault.Unsupported:     "CANNOT",
	fault.NotFound:        "NONEXISTENT",
	fault.Expunged:        "EXPUNGEISSUED",
	fault.Exists:          "ALREADYEXISTS",
	fault.Unauthenticated: "AUTHENTICATIONFAILED",
	fault.Denied:          "NOPERM",
	fault.Conflict:        "INUSE",
	fault.OverQuota:       "OVERQUOTA",
	fault.TooLarge:        "TOOBIG",
	fault.TooMany:         "LIMIT",
	fault.CrossShard:      "SERVERBUG",
}

// maxText limits what an error says to the client, in octets.
const maxText = 400

// refusal is the reply to err.
func refusal(err error) reply {
	text := fault.Public(err)
	text = text[:min(len(text), maxText)]
	if fault.Is(err, fault.Invalid) {
		return reply{"BAD", "", text}
	}
	return reply{"NO", codes[fault.KindOf(err)], text}
}

// ours says whether err is something that the operator should hear of.
func ours(err error) bool {
	switch fault.KindOf(err) {
	case fault.Internal, fault.Corrupt, fault.CrossShard:
		return true
	}
	return false
}
