package imapd

import (
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
	"github.com/ekiden-mail/ekiden/internal/wire/order"
)

// threadings are the algorithms of THREAD.
var threadings = map[string]func([]order.Message) []*order.Thread{
	"ORDEREDSUBJECT": order.OrderedSubject,
	"REFERENCES":     order.References,
	"REFS":           order.Refs,
}

// threadFields are the header fields that threads are made of.
var threadFields = []string{"Date", "Subject", "Message-ID", "References", "In-Reply-To"}

// thread is THREAD and UID THREAD (RFC 5256 §3).
func (c *session) thread(cmd *imap.ThreadCommand) (reply, error) {
	if r := c.refuses(&cmd.SearchCommand); r.status != "" {
		return r, nil
	}
	f, err := c.newFinder(c.sel, cmd.Keys)
	if err != nil {
		return reply{}, err
	}
	f.rows = true
	if err := f.find(); err != nil {
		return reply{}, err
	}
	messages := make([]order.Message, 0, len(f.hits))
	err = f.headers(threadFields, func(h *hit, header message.Header) { messages = append(messages, threaded(h, header)) })
	if err != nil {
		return reply{}, err
	}
	c.enc.Untagged().Raw("THREAD")
	threads := threadings[cmd.Algorithm](messages)
	if len(threads) > 0 {
		c.enc.SP()
	}
	for _, t := range threads {
		f.tellThread(t, cmd.UID)
	}
	c.enc.CRLF()
	return f.done("THREAD"), nil
}

// threaded is a hit as the algorithms see it.
func threaded(h *hit, header message.Header) order.Message {
	subject := header.Get("Subject")
	m := order.Message{
		Subject: order.Casemap(message.BaseSubject(subject)), Reply: message.IsReply(subject), Sent: sentDate(h, header),
		References: normal(message.MessageIDs(header.Get("References"))),
	}
	if ids := normal(message.MessageIDs(header.Get("Message-ID"))); len(ids) > 0 {
		m.ID = ids[0]
	}
	if len(m.References) == 0 {
		if ids := normal(message.MessageIDs(header.Get("In-Reply-To"))); len(ids) > 0 {
			m.References = ids[:1]
		}
	}
	return m
}

func normal(ids []string) []string {
	for i := range ids {
		ids[i] = order.Normal(ids[i])
	}
	return ids
}

// tellThread writes thread-list (RFC 5256 §5).
func (f *finder) tellThread(t *order.Thread, uid bool) {
	f.c.enc.Raw("(")
	for sep := ""; ; sep = " " {
		if t.Message >= 0 {
			f.c.enc.Raw(sep).Number(int64(f.id(&f.hits[t.Message], uid)))
		}
		if len(t.Children) != 1 {
			break
		}
		t = t.Children[0]
	}
	if len(t.Children) > 0 && t.Message >= 0 {
		f.c.enc.SP()
	}
	for _, child := range t.Children {
		f.tellThread(child, uid)
	}
	f.c.enc.Raw(")")
}
