package smtp

import (
	"strconv"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Longest command lines that are taken, in octets without CRLF. RFC 5321
// §4.5.3.1.4 promises 512, and extensions add to it, RFC 3865 alone 1,007; AUTH
// carries base64 (RFC 4954 §4).
const (
	MaxCommandLine = 4096
	MaxAuthLine    = 12288
)

// Verb is a command's name.
type Verb uint8

// The verbs. Unknown is any other word.
const (
	Unknown Verb = iota
	Helo
	Ehlo
	Lhlo
	Mail
	Rcpt
	Data
	Bdat
	Rset
	Noop
	Quit
	Vrfy
	Expn
	Help
	StartTLS
	Auth
	NumVerbs
)

var verbNames = [NumVerbs]string{
	"unknown", "HELO", "EHLO", "LHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT", "VRFY", "EXPN", "HELP",
	"STARTTLS", "AUTH",
}

// String is the verb in upper case.
func (v Verb) String() string { return verbNames[v] }

// Extensions are what a server announced that has parameters of its own. A
// parameter of an extension that was not announced is unknown (RFC 5321 §4.1.1.11).
type Extensions struct {
	Size, EightBit, UTF8, Auth, DSN bool

	Binary        bool // BINARYMIME with CHUNKING (RFC 3030)
	RequireTLS    bool // RFC 8689
	TLS           bool // STARTTLS can be said, and REQUIRETLS after it
	DeliverBy     bool // RFC 2852
	FutureRelease bool // RFC 4865
	Priority      bool // MT-PRIORITY (RFC 6710)
	NoSoliciting  bool // RFC 3865
}

// Command is one line of a client. Which fields are filled depends on Verb.
type Command struct {
	Verb      Verb
	Arg       string       // HELO, EHLO, LHLO, VRFY, EXPN, HELP, NOOP: as it came; Unknown: the word
	Path      mail.Address // MAIL, RCPT; postmaster has no domain
	NonASCII  bool         // the path was written with octets over 127: SMTPUTF8 only
	Mail      MailOptions  // MAIL
	Rcpt      RcptOptions  // RCPT
	Mechanism string       // AUTH, in upper case
	Initial   string       // AUTH: base64 as it came; "=" is an empty one, "" none
	Size      int64        // BDAT
	Last      bool         // BDAT
}

// ParseCommand reads one line without its CRLF. A reply that is not zero refuses
// it. The grammar is RFC 5321's with these tolerances, which real clients need
// and which change no meaning: blanks at the end of a line, blanks after the
// colon of MAIL FROM: and RCPT TO:, several blanks for one, a path without angle
// brackets, and dots anywhere in a local part (addresses of Japanese telephone
// companies have them).
func ParseCommand(text []byte, x Extensions) (Command, Reply) {
	s := strings.TrimRight(string(text), " \t")
	word, arg, _ := strings.Cut(s, " ")
	c := Command{Verb: verbOf(word)}
	arg = strings.TrimLeft(arg, " \t")
	switch c.Verb {
	case Unknown:
		c.Arg = word
		return c, Answer(500, Enhanced{5, 5, 2}, "That is no command of SMTP")
	case Mail:
		return parseMail(c, arg, x)
	case Rcpt:
		return parseRcpt(c, arg, x)
	case Bdat:
		return parseBdat(c, arg)
	case Auth:
		return parseAuth(c, arg)
	case Data, Rset, Quit, StartTLS:
		if arg != "" {
			return c, Answer(501, Enhanced{5, 5, 4}, "%s takes no argument", c.Verb)
		}
	case Helo, Ehlo, Lhlo, Vrfy, Expn:
		if arg == "" {
			return c, Answer(501, Enhanced{5, 5, 4}, "%s needs an argument", c.Verb)
		}
	}
	c.Arg = arg
	return c, Reply{}
}

func verbOf(word string) Verb {
	for v := Unknown + 1; v < NumVerbs; v++ {
		if strings.EqualFold(word, verbNames[v]) {
			return v
		}
	}
	return Unknown
}

// parseBdat reads "BDAT size [LAST]" (RFC 3030 §2). Where the size cannot be
// read, nobody knows where the chunk ends: then the reply is 501 and the
// connection must be closed.
func parseBdat(c Command, arg string) (Command, Reply) {
	f := strings.Fields(arg)
	if len(f) == 0 || len(f) > 2 || len(f) == 2 && !strings.EqualFold(f[1], "LAST") {
		return c, Answer(501, Enhanced{5, 5, 4}, "Say BDAT size, or BDAT size LAST")
	}
	n, ok := parseNumber(f[0])
	if !ok {
		return c, Answer(501, Enhanced{5, 5, 4}, "That is no size of a chunk")
	}
	c.Size, c.Last = n, len(f) == 2
	return c, Reply{}
}

// parseNumber reads 1 to 20 digits (RFC 1870 §4). What is more than can be
// counted is the largest number.
func parseNumber(s string) (int64, bool) {
	if s == "" || len(s) > 20 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return 0, false
		}
	}
	n, _ := strconv.ParseInt(s, 10, 64) // on overflow the largest number
	return n, true
}

// parseAuth reads "AUTH mechanism [initial-response]" (RFC 4954 §4).
func parseAuth(c Command, arg string) (Command, Reply) {
	f := strings.Fields(arg)
	if len(f) == 0 || len(f) > 2 || len(f[0]) > 20 {
		return c, Answer(501, Enhanced{5, 5, 4}, "Say AUTH mechanism, or AUTH mechanism initial-response")
	}
	c.Mechanism = strings.ToUpper(f[0])
	if len(f) == 2 {
		c.Initial = f[1]
	}
	return c, Reply{}
}
