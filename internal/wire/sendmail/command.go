// Package sendmail is the grammar of the command that programs on a machine send
// with: its command line as all mail servers take it, the recipients that a
// header names, and what becomes of line ends.
package sendmail

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Exit codes, as sysexits.h has them and as callers know them.
const (
	OK          = 0
	Usage       = 64 // the command line is wrong
	DataErr     = 65 // the message is
	NoUser      = 67 // a recipient does not exist
	Unavailable = 69 // refused for another reason
	Software    = 70 // something of ours is broken
	TempFail    = 75 // nothing is lost, and nothing was sent: try again
	NoPerm      = 77 // that sender may not be used
	Config      = 78
)

// Mode is what is wanted.
type Mode uint8

// The modes. Queue and Aliases are there for scripts that give them after each
// change: here there is nothing to do.
const (
	Deliver Mode = iota // -bm, and where nothing is said
	Queue               // -q…, which has the queue run, and -bp, which lists it
	Aliases             // -bi and newaliases
)

// Command is a command line.
type Command struct {
	Mode       Mode
	From       string // -f, -r: an address, or <> for none; "" is not said
	Name       string // -F: of the sender, as people read it
	To         []string
	Header     bool // -t: the header's recipients too
	IgnoreDot  bool // -i, -oi: a line with a dot alone ends nothing
	Notify     mail.Notify
	HeadersRet bool   // -R hdrs
	EnvelopeID string // -V
	Config     string // -C
}

// withValue are the options that have a value, behind them or as the next word.
// Those that mean nothing here are taken and forgotten, since callers give them
// by habit.
const withValue = "fFrNRVCBhLXopdqOAbD"

// optional are those of withValue whose value is never the next word.
const optional = "oqdpb"

// ParseArgs reads what stands behind the command's name.
func ParseArgs(args []string) (Command, error) {
	var c Command
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			c.To = append(c.To, args[i+1:]...)
			break
		}
		if len(a) < 2 || a[0] != '-' {
			c.To = append(c.To, a)
			continue
		}
		for j := 1; j < len(a); j++ {
			if strings.IndexByte(withValue, a[j]) < 0 {
				if err := c.flag(a[j]); err != nil {
					return c, err
				}
				continue
			}
			value := a[j+1:]
			if value == "" && strings.IndexByte(optional, a[j]) < 0 {
				if i++; i == len(args) {
					return c, fmt.Errorf("-%c needs a value", a[j])
				}
				value = args[i]
			}
			if err := c.option(a[j], value); err != nil {
				return c, err
			}
			break
		}
	}
	return c, c.check()
}

// flag takes an option without a value.
func (c *Command) flag(f byte) error {
	switch f {
	case 't':
		c.Header = true
	case 'i':
		c.IgnoreDot = true
	case 'v', 'm', 'n', 'G', 'U', 'E', 'e', 's', 'x':
	default:
		return fmt.Errorf("unknown option -%c", f)
	}
	return nil
}

// option takes an option with its value.
func (c *Command) option(f byte, value string) error {
	switch f {
	case 'f', 'r':
		c.From = value
		if value == "" {
			c.From = "<>"
		}
	case 'F':
		c.Name = value
	case 'N':
		return c.notify(value)
	case 'R':
		switch strings.ToLower(value) {
		case "hdrs":
			c.HeadersRet = true
		case "full":
			c.HeadersRet = false
		default:
			return fmt.Errorf("-R is full or hdrs, not %.40q", value)
		}
	case 'V':
		c.EnvelopeID = value
	case 'C':
		c.Config = value
	case 'o':
		if value == "i" {
			c.IgnoreDot = true
		}
	case 'q':
		c.Mode = Queue
	case 'b':
		return c.mode(value)
	}
	return nil
}

func (c *Command) mode(value string) error {
	switch value {
	case "m", "":
	case "p":
		c.Mode = Queue
	case "i":
		c.Mode = Aliases
	default:
		return fmt.Errorf("-b%.40s is not done here", value)
	}
	return nil
}

// notify reads when a report is wanted (RFC 3461 §4.1).
func (c *Command) notify(value string) error {
	words := map[string]mail.Notify{
		"never": mail.NotifyNever, "success": mail.NotifySuccess, "failure": mail.NotifyFailure, "delay": mail.NotifyDelay,
	}
	c.Notify = 0
	for w := range strings.SplitSeq(strings.ToLower(value), ",") {
		n, ok := words[strings.TrimSpace(w)]
		if !ok {
			return fmt.Errorf("-N is never, or some of success, failure and delay, not %.40q", value)
		}
		c.Notify |= n
	}
	if c.Notify&mail.NotifyNever != 0 && c.Notify != mail.NotifyNever {
		return fmt.Errorf("-N never stands alone")
	}
	return nil
}

// maxWord bounds what is passed on of one option, in octets.
const maxWord = 1000

// check says what cannot be in a header or a command of SMTP.
func (c *Command) check() error {
	if c.Mode == Deliver && len(c.To) == 0 && !c.Header {
		return fmt.Errorf("no recipients: name them, or say -t to take those of the header")
	}
	for _, s := range append([]string{c.From, c.Name, c.EnvelopeID}, c.To...) {
		if len(s) > maxWord || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("%.40q holds what cannot be passed on", s)
		}
	}
	return nil
}
