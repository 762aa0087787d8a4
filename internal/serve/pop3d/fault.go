package pop3d

import "github.com/ekiden-mail/ekiden/internal/fault"

// codes are the response codes (RFC 2449 §8, RFC 3206) that go with each kind
// of error. A kind without a code is a plain -ERR.
var codes = map[fault.Kind]string{
	fault.Internal:        "SYS/TEMP",
	fault.Unavailable:     "SYS/TEMP",
	fault.Corrupt:         "SYS/PERM",
	fault.Unauthenticated: "AUTH",
	fault.Conflict:        "IN-USE",
	fault.TooMany:         "LOGIN-DELAY",
	fault.CrossShard:      "SYS/TEMP",
}

// negative is the -ERR line for err, without its CRLF.
func negative(err error) string {
	line := "-ERR "
	code, ok := codes[fault.KindOf(err)]
	if fault.Public(err) == utf8Needed {
		code, ok = "UTF8", true
	}
	if ok {
		line += "[" + code + "] "
	}
	return line + printable(fault.Public(err))
}

// printable keeps a reply on its line and in ASCII (RFC 1939 §3).
func printable(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b[:min(len(b), 400)])
}
