package imapd

import (
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

func needMessage(w *want, _ *imap.FetchItem) { w.message = true }

// writeEmailID is EMAILID (RFC 8474 §5.1).
func writeEmailID(c *session, _ *imap.FetchItem, r *row, _ *body) error {
	c.enc.Raw(" (").Raw(emailID(r.Placement.Message)).Raw(")")
	return nil
}

// writeThreadID is THREADID (RFC 8474 §5.2).
func writeThreadID(c *session, _ *imap.FetchItem, r *row, _ *body) error {
	if r.message.ID == 0 { // it has gone since
		c.enc.Raw(" NIL")
		return nil
	}
	c.enc.Raw(" (").Raw(threadID(r.message.Thread)).Raw(")")
	return nil
}

// writeSaveDate is SAVEDATE (RFC 8514 §4.2): every mailbox has it.
func writeSaveDate(c *session, _ *imap.FetchItem, r *row, _ *body) error {
	c.enc.SP().DateTime(r.Saved)
	return nil
}

// needPreview needs the kept preview; where there is none, the content is parsed,
// unless the client would rather not wait (RFC 8970 §4.1).
func needPreview(w *want, it *imap.FetchItem) {
	if it.Lazy {
		w.lazy = true
	} else {
		w.texts = true
	}
}

// writePreview is PREVIEW (RFC 8970 §3).
func writePreview(c *session, it *imap.FetchItem, r *row, b *body) error {
	if it.Lazy && !b.listed && b.index == nil {
		b.glance()
	}
	switch c.enc.SP(); {
	case b.listed:
		c.enc.String(b.view.Preview())
	case b.index != nil:
		c.enc.String(b.index.Preview)
	default:
		c.enc.Raw("NIL")
	}
	return nil
}
