// Package judge decides what becomes of a message from the evidence that was
// gathered. It is pure: the same evidence has the same verdict, always.
package judge

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Stage is when a verdict is asked for.
type Stage uint8

// The stages. At the first two only a refusal is given; all else is for later.
const (
	AtMail Stage = iota // nothing but the peer and the reverse-path is known
	AtRcpt              // the evidence is about one recipient
	AtData              // the message is here
)

// Action is what is to become of a message.
type Action uint8

// The actions, the weightier the later: what is certain weighs more than what
// may change, and a refusal, which the sender hears of, more than silence.
const (
	Accept  Action = iota
	Junk           // laid in the \Junk mailbox
	Hold           // kept in the queue until an operator has looked
	Defer          // refused for the time being
	Discard        // taken, and thrown away
	Reject         // refused
)

// String is the word for a.
func (a Action) String() string {
	return [...]string{"accept", "junk", "hold", "defer", "discard", "reject"}[a]
}

// Evidence is all that is known about a message, a field a source.
type Evidence struct {
	Sender  *Sender   // who sent it and who wrote it; nil: nobody looked
	Filters []Opinion // of programs outside, in the order of the configuration
}

// Opinion is what a program outside said.
type Opinion struct {
	Filter   string        // its name
	Wants    Action        // Accept: it has no objection
	Reply    smtp.Reply    // its own words for a refusal; zero if it has none
	Reason   string        // for our own eyes
	Changes  []string      // that it made, in words
	Took     time.Duration // until it answered
	Failed   bool          // it said nothing; Reason is why
	TooLarge bool          // it was not asked, for the message's size; Failed is set too
}

// Settings are how the operator wants to have it.
type Settings struct {
	Required []string // filters without whose opinion a message is not taken

	IgnoreDMARC bool     // what domains want done with forged mail is not done
	JunkAt      float64  // points that make a message junk; 0: none do
	RejectAt    float64  // points for which it is refused; 0: none are enough
	Sealers     []string // domains whose word counts on what was in order before they changed it (ARC)
}

// Verdict is the decision and its reasons. Reply is set if it refuses.
type Verdict struct {
	Action  Action
	Reply   smtp.Reply
	Because []Reason
}

// Reason is one piece of evidence that led to a verdict.
type Reason struct {
	Source string // who gave it
	Text   string // in words for an operator; may be empty
}

// String is the reason in one line.
func (r Reason) String() string {
	if r.Text == "" {
		return r.Source
	}
	return r.Source + ": " + r.Text
}

// Refuses says whether v is a refusal.
func (v Verdict) Refuses() bool { return v.Action == Defer || v.Action == Reject }

// Why is all reasons in one line.
func (v Verdict) Why() string {
	words := make([]string, len(v.Because))
	for i, r := range v.Because {
		words[i] = r.String()
	}
	return strings.Join(words, "; ")
}

// Judge decides. The weightiest piece of evidence has its way, of two alike the
// first. Before the message is here, only refusals count: a filter that wants it
// held or thrown away says so again.
func Judge(at Stage, e *Evidence, s *Settings) Verdict {
	var v Verdict
	if at == AtData && e.Sender != nil {
		v = e.Sender.judge(s)
	}
	for _, o := range e.Filters {
		wants, reply := weigh(o, s)
		if at != AtData && wants != Defer && wants != Reject {
			continue
		}
		if wants > v.Action {
			v.Action, v.Reply = wants, reply
		}
		if wants != Accept {
			v.Because = append(v.Because, Reason{o.Filter, o.Reason})
		}
	}
	if !v.Refuses() {
		v.Reply = smtp.Reply{}
	}
	return v
}

// weigh says what one opinion comes to, and how a refusal is worded.
func weigh(o Opinion, s *Settings) (Action, smtp.Reply) {
	switch {
	case o.Failed && !slices.Contains(s.Required, o.Filter):
		return Accept, smtp.Reply{}
	case o.TooLarge: // waiting would not make it smaller
		return Reject, smtp.Answer(552, smtp.Enhanced{5, 3, 4}, "the message is too large to be examined")
	case o.Failed:
		return Defer, smtp.Answer(451, smtp.Enhanced{4, 7, 1}, "the message cannot be examined now; please try again later")
	case o.Wants == Defer:
		return Defer, o.words(smtp.Answer(451, smtp.Enhanced{4, 7, 1}, "the message is not taken now; please try again later"))
	case o.Wants == Reject:
		return Reject, o.words(smtp.Answer(550, smtp.Enhanced{5, 7, 1}, "the message is not wanted here"))
	}
	return o.Wants, smtp.Reply{}
}

// words is the filter's own reply if it is of the class that its wish needs,
// else ours. An enhanced code that is missing or of another class is ours too.
func (o Opinion) words(ours smtp.Reply) smtp.Reply {
	r := o.Reply
	if r.Code/100 != ours.Code/100 {
		return ours
	}
	if int(r.Enhanced[0]) != r.Code/100 {
		r.Enhanced = ours.Enhanced
	}
	if strings.TrimSpace(strings.Join(r.Text, "")) == "" {
		r.Text = ours.Text
	}
	return r
}

// maxChanges is how many of a filter's changes are told one by one.
const maxChanges = 5

// String tells what each source said, in one line, for the history.
func (e *Evidence) String() string {
	var words []string
	if e.Sender != nil {
		words = append(words, e.Sender.String())
	}
	for _, o := range e.Filters {
		words = append(words, o.String())
	}
	return strings.Join(words, "; ")
}

// String is the opinion in one line.
func (o Opinion) String() string {
	said := o.Wants.String()
	switch {
	case o.TooLarge:
		said = "not asked"
	case o.Failed:
		said = "failed"
	case o.Wants == Accept:
		said = "ok"
	}
	said = o.Filter + ": " + said
	if o.Reason != "" {
		said += " (" + o.Reason + ")"
	}
	if n := len(o.Changes); n > 0 {
		said += " [" + strings.Join(o.Changes[:min(n, maxChanges)], ", ")
		if n > maxChanges {
			said += fmt.Sprintf(" and %d more", n-maxChanges)
		}
		said += "]"
	}
	if o.Took > 0 {
		said += ", " + o.Took.Round(time.Millisecond).String()
	}
	return said
}
