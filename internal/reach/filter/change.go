package filter

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/milter"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// refusal makes an opinion of an answer that refuses.
func refusal(answer milter.Response) Opinion {
	o := Opinion{Says: Reject}
	switch answer.Kind {
	case milter.TempFail:
		o.Says = Defer
	case milter.Shutdown:
		o.Says, o.Reply = Defer, smtp.Answer(421, smtp.Enhanced{4, 7, 0}, "this connection is not wanted")
	case milter.ReplyCode:
		if o.Reply = parseReply(answer.Text); o.Reply.Temporary() {
			o.Says = Defer
		}
		o.Reason = short(o.Reply.String())
	}
	return o
}

// maxReplyLines bounds a reply that a filter words.
const maxReplyLines = 32

// parseReply reads a reply as smfi_setreply and smfi_setmlreply write it, of
// which the code was looked at. A percent sign is doubled there.
func parseReply(text string) smtp.Reply {
	r := smtp.Reply{Code: int(text[0]-'0')*100 + int(text[1]-'0')*10 + int(text[2]-'0')}
	for i, l := range strings.Split(text, "\n") {
		if i == maxReplyLines {
			break
		}
		l = strings.TrimRight(l, "\r")
		l = strings.ReplaceAll(l[min(len(l), 4):], "%%", "%")
		if e, rest, ok := smtp.ParseEnhanced(l); ok && int(e[0]) == r.Code/100 {
			r.Enhanced, l = e, rest
		}
		r.Text = append(r.Text, l)
	}
	return r
}

// change notes one change that the milter asks for.
func (t *Talk) change(msg *Message, a milter.Response) error {
	if a.Kind.Needs()&t.options.Actions == 0 {
		return fmt.Errorf("%w: it said that it would not ask for %q", milter.ErrSyntax, byte(a.Kind))
	}
	e := Edit{Index: int(a.Index), Name: a.Name}
	var err error
	switch a.Kind {
	case milter.Quarantine:
		t.opinion.Says, t.opinion.Reason = max(t.opinion.Says, Hold), short(a.Text)
		return nil
	case milter.ReplaceBody:
		return t.replaceBody(msg, a.Body)
	case milter.AddRcpt, milter.AddRcptParams:
		e.Change = AddRecipient
		e.Address, err = parsePath(a.Path)
	case milter.RemoveRcpt:
		e.Change = RemoveRecipient
		e.Address, err = parsePath(a.Path)
	case milter.ChangeFrom:
		e.Change = ChangeSender
		if strings.Trim(a.Path, "<> ") != "" {
			e.Address, err = parsePath(a.Path)
		}
	case milter.AddHeader:
		e.Change, e.Value = AddField, t.taken(a.Value)
	case milter.InsertHeader:
		e.Change, e.Value, e.Index = InsertField, t.taken(a.Value), e.Index+1
	case milter.ChangeHeader:
		if e.Change, e.Index = ChangeField, max(e.Index, 1); a.Value != "" {
			e.Value = t.taken(a.Value)
		}
	}
	if t.added += e.size(); len(t.opinion.Edits) == MaxEdits || t.added > MaxAdded {
		return errors.New("too many changes")
	}
	t.opinion.Edits = append(t.opinion.Edits, e)
	return err
}

// taken is a field's value as messages have it.
func (t *Talk) taken(value string) string {
	if t.options.Protocol&milter.LeadingSpace == 0 {
		value = " " + value
	}
	return Fold(value)
}

// Fold makes a value fit for a header field: its lines end in CRLF, each behind
// the first begins with white space, none is empty, and no control is left.
func Fold(value string) string {
	var b strings.Builder
	for i, l := range strings.Split(strings.Trim(value, "\r\n"), "\n") {
		l = strings.Map(func(r rune) rune {
			if r < ' ' && r != '\t' || r == 0x7f {
				return -1
			}
			return r
		}, l)
		if i > 0 {
			if strings.Trim(l, " \t") == "" {
				continue
			}
			b.WriteString("\r\n")
			if l[0] != ' ' && l[0] != '\t' {
				b.WriteByte('\t')
			}
		}
		b.WriteString(l)
	}
	return b.String()
}

// parsePath reads an address as milters write it, with or without its brackets.
func parsePath(s string) (mail.Address, error) {
	s = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "<"), ">")
	return mail.ParseAddress(s)
}

// replaceBody takes one more piece of a new body.
func (t *Talk) replaceBody(msg *Message, piece []byte) error {
	if t.body == nil {
		w, err := msg.NewBody()
		if err != nil {
			return err
		}
		t.body = w
		t.opinion.Edits = append(t.opinion.Edits, Edit{Change: ReplaceBody})
	}
	_, err := t.body.Write(piece)
	return err
}
