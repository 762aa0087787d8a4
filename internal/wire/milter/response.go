package milter

import (
	"encoding/binary"
	"strings"
)

// Kind is what a milter answers.
type Kind byte

// What a milter may say. The first group ends a question; the second asks for a
// change and comes before the answer to EndBody only; Progress asks for patience.
const (
	Continue   Kind = 'c'
	Accept     Kind = 'a' // ask no more about this message
	Discard    Kind = 'd'
	Reject     Kind = 'r'
	TempFail   Kind = 't'
	ReplyCode  Kind = 'y' // a reply of its own
	Skip       Kind = 's' // show no more of the body
	Shutdown   Kind = '4' // 421, and end the connection
	ConnFailed Kind = 'f' // as if the connection had failed

	AddRcpt       Kind = '+'
	AddRcptParams Kind = '2'
	RemoveRcpt    Kind = '-'
	ReplaceBody   Kind = 'b'
	AddHeader     Kind = 'h'
	InsertHeader  Kind = 'i'
	ChangeHeader  Kind = 'm'
	ChangeFrom    Kind = 'e'
	Quarantine    Kind = 'q'

	Progress Kind = 'p'
)

// IsChange says whether k is of those that come before an answer.
func (k Kind) IsChange() bool {
	switch k {
	case AddRcpt, AddRcptParams, RemoveRcpt, ReplaceBody, AddHeader, InsertHeader, ChangeHeader, ChangeFrom, Quarantine:
		return true
	}
	return false
}

// Needs is what a milter must have been allowed to say k.
func (k Kind) Needs() Actions {
	switch k {
	case AddRcpt:
		return MayAddRcpt
	case AddRcptParams:
		return MayAddRcptParams
	case RemoveRcpt:
		return MayRemoveRcpt
	case ReplaceBody:
		return MayChangeBody
	case AddHeader, InsertHeader:
		return MayAddHeader
	case ChangeHeader:
		return MayChangeHeader
	case ChangeFrom:
		return MayChangeFrom
	case Quarantine:
		return MayQuarantine
	}
	return 0
}

// Response is one thing that a milter said.
type Response struct {
	Kind  Kind
	Text  string // of ReplyCode, without its line end; the reason of Quarantine
	Path  string // of the recipient changes and ChangeFrom, as in MAIL and RCPT
	Name  string // of a header field
	Value string // of a header field; in ChangeHeader "" means away with it
	Index uint32 // of a header field: among its name's, from 1, or for InsertHeader among all
	Body  []byte // of ReplaceBody; lies in the packet
}

// ParseResponse reads what a milter said.
func ParseResponse(code byte, data []byte) (Response, error) {
	r := Response{Kind: Kind(code)}
	var ok bool
	rest := data
	switch r.Kind {
	case Continue, Accept, Discard, Reject, TempFail, Skip, Shutdown, ConnFailed, Progress:
		return r, nil
	case ReplyCode:
		if r.Text, _, ok = cut(data); !ok || !isReply(r.Text) {
			return r, syntax("the reply %.80q", data)
		}
		return r, nil
	case Quarantine:
		if r.Text, _, ok = cut(data); !ok {
			return r, syntax("a reason without end")
		}
		return r, nil
	case ReplaceBody:
		r.Body = data
		return r, nil
	case AddRcpt, AddRcptParams, RemoveRcpt, ChangeFrom:
		if r.Path, _, ok = cut(data); !ok || r.Path == "" {
			return r, syntax("an address without end")
		}
		return r, nil
	case InsertHeader, ChangeHeader:
		if len(data) < 4 {
			return r, syntax("a header field without its place")
		}
		r.Index, rest = binary.BigEndian.Uint32(data), data[4:]
	case AddHeader:
	default:
		return r, syntax("the answer %q", code)
	}
	if r.Name, rest, ok = cut(rest); ok {
		r.Value, _, ok = cut(rest)
	}
	if !ok || !isName(r.Name) {
		return r, syntax("a header field %.80q", data)
	}
	return r, nil
}

// isReply says whether s is a negative reply of SMTP.
func isReply(s string) bool {
	return len(s) >= 3 && (s[0] == '4' || s[0] == '5') && isDigit(s[1]) && isDigit(s[2]) && (len(s) == 3 || s[3] == ' ' || s[3] == '-')
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isName says whether s can name a header field (RFC 5322 §2.2).
func isName(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) < 0
}
