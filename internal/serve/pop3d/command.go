package pop3d

import (
	"bytes"
	"strings"
)

// command is one line of the client's. Argument is all that follows the
// keyword's one space, untouched: a password may begin or end with spaces.
type command struct {
	Keyword  string // in upper case
	Argument string
}

// maxKeyword is the longest keyword that can be a command, with room to spare.
const maxKeyword = 16

// parse splits a line (RFC 1939 §3: a keyword of letters, here with the digits
// of UTF8, then perhaps a space and an argument). It says false for what can
// be no command.
func parse(line []byte) (command, bool) {
	word, rest, spaced := bytes.Cut(line, []byte(" "))
	if len(word) == 0 || len(word) > maxKeyword {
		return command{}, false
	}
	for _, c := range word {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
			return command{}, false
		}
	}
	c := command{Keyword: strings.ToUpper(string(word))}
	if spaced {
		c.Argument = string(rest)
	}
	return c, true
}

// String prints what parse reads.
func (c command) String() string {
	if c.Argument == "" {
		return c.Keyword
	}
	return c.Keyword + " " + c.Argument
}

// numbers reads exactly n decimal numbers out of the argument.
func (c command) numbers(n int) ([]int, bool) {
	words := strings.Fields(c.Argument)
	if len(words) != n {
		return nil, false
	}
	values := make([]int, n)
	for i, w := range words {
		v, ok := number(w)
		if !ok {
			return nil, false
		}
		values[i] = v
	}
	return values, true
}

// number reads a decimal number of at most nine digits: more messages, or
// lines of one, are not to be had.
func number(s string) (int, bool) {
	if len(s) == 0 || len(s) > 9 {
		return 0, false
	}
	v := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		v = v*10 + int(s[i]-'0')
	}
	return v, true
}
