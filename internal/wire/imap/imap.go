// Package imap is the grammar of IMAP4rev1 and its extensions both ways:
// commands in, responses out, and back again for the test client.
package imap

import (
	"fmt"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Limits of what a client may send. Beyond them a command is answered BAD or
// NO [TOOBIG], or the connection is closed when its end cannot be found any more.
const (
	MaxLine     = 64 << 10  // octets of a line, without its literals
	MaxCommand  = 256 << 10 // octets of a command in all, APPEND's message apart
	MaxLiterals = 64 << 10  // octets of all literals of a command, APPEND's message apart
	MaxDiscard  = 1 << 20   // octets of a non-synchronising literal we read only to throw it away
	MaxDepth    = 50        // nesting of lists and of search keys
	MaxSet      = 10_000    // elements of a sequence set
	MaxList     = 1_000     // elements of any other list
	MaxTag      = 128       // octets of a tag
)

// Request is one command with its tag.
type Request struct {
	Tag     string
	Command Command
}

// Command is one of the types of this package that end in "Command".
type Command interface {
	// Name is the command's name in upper case, without UID.
	Name() string
	encode(e *Encoder)
}

// Flags are the flags of a STORE or an APPEND: system flags as a set, keywords
// as they came. \Recent and flags of unknown systems are dropped, since no
// client can set them (RFC 3501 §7.1, PERMANENTFLAGS).
type Flags struct {
	System   mail.Flags
	Recent   bool // \Recent; only a server says so
	Keywords []string
}

// BadError says that a command is not of the grammar. The conversation goes on.
type BadError struct {
	Tag    string // empty if not even the tag could be read
	Text   string
	TooBig bool // a literal was over the limit
}

// Error gives the reason.
func (e *BadError) Error() string { return "imap: " + e.Text }

// FatalError says that the end of a command cannot be found, so that the
// conversation cannot go on. Text may be shown to the client.
type FatalError struct{ Text string }

// Error gives the reason.
func (e *FatalError) Error() string { return "imap: " + e.Text }

func badf(format string, args ...any) error {
	return &BadError{Text: fmt.Sprintf(format, args...)}
}
