// Package fault says what went wrong in a way every protocol can translate.
package fault

import (
	"context"
	"errors"
	"fmt"
)

// Kind says what went wrong. The list is closed; grow it only together with
// every door's table.
type Kind uint8

// The kinds. Internal, the zero kind, is our own bug or what nobody classified.
const (
	Internal Kind = iota
	Unavailable
	Corrupt
	Invalid
	Unsupported
	NotFound
	Expunged
	Exists
	Unauthenticated
	Denied
	Conflict
	OverQuota
	TooLarge
	TooMany
	CrossShard
	numKinds
)

var kindNames = [numKinds]string{
	"internal", "unavailable", "corrupt", "invalid", "unsupported", "not found", "expunged", "exists",
	"unauthenticated", "denied", "conflict", "over quota", "too large", "too many", "cross shard",
}

// sentences are what a stranger is told where an error has no words of its own.
var sentences = [numKinds]string{
	"something went wrong here; please try again later",
	"not available just now; please try again later",
	"stored data is damaged; the operator has to look at it",
	"that is not valid",
	"that is not supported here",
	"there is no such thing",
	"that message is gone",
	"that exists already",
	"authentication failed",
	"not permitted",
	"somebody else changed that at the same time; please try again",
	"the mailbox is full",
	"that is too large",
	"too many at once; please try again later",
	"that spans two places; please try again later",
}

// String is the kind's name.
func (k Kind) String() string {
	if k >= numKinds {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return kindNames[k]
}

// Kinds lists all kinds, for the tests of the doors' tables.
func Kinds() []Kind {
	all := make([]Kind, numKinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// Error carries a kind for machines, a sentence for strangers, and a cause for the log.
type Error struct {
	Kind   Kind
	Op     string // "mailbox.Copy"
	Public string // may be shown to anyone; empty means the kind's own sentence
	Err    error
}

// Error gives the whole chain, for the log.
func (e *Error) Error() string {
	s := e.Op
	if s != "" {
		s += ": "
	}
	if e.Err == nil || e.Kind != Internal {
		s += e.Kind.String()
	}
	if e.Public != "" {
		s += " (" + e.Public + ")"
	}
	if e.Err != nil {
		if e.Kind != Internal || e.Public != "" {
			s += ": "
		}
		s += e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error of kind k with a sentence that may be shown to anyone.
func New(k Kind, op, public string) error { return &Error{Kind: k, Op: op, Public: public} }

// Newf is New with a format.
func Newf(k Kind, op, format string, args ...any) error {
	return &Error{Kind: k, Op: op, Public: fmt.Sprintf(format, args...)}
}

// Wrap gives err an operation and keeps its kind. A nil err stays nil. A
// context that ended becomes Unavailable.
func Wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: KindOf(err), Op: op, Err: err}
}

// As wraps err with a kind of the caller's choice. A nil err stays nil.
func As(k Kind, op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: k, Op: op, Err: err}
}

// KindOf finds the kind in err's chain.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Unavailable
	}
	return Internal
}

// Is says whether err is of kind k. A nil err is of no kind.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }

// Public is the sentence that may be shown to anyone: the outermost one given
// in the chain, or the kind's own.
func Public(err error) string {
	if s, ok := Sentence(err); ok {
		return s
	}
	return sentences[KindOf(err)]
}

// Sentence is the outermost sentence given in the chain, if any was.
func Sentence(err error) (string, bool) {
	var e *Error
	for errors.As(err, &e) {
		if e.Public != "" {
			return e.Public, true
		}
		err = e.Err
	}
	return "", false
}
