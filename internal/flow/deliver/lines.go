package deliver

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// makeLines makes lines of a binary message for the accounts that it goes to: no
// literal of IMAP may hold a NUL, and POP3 is lines. What waits to be relayed
// stays as it came.
func (p *Plan) makeLines(ctx context.Context) error {
	p.lines = p.content
	if !p.arrival.Envelope.Binary || len(p.targets) == 0 {
		return nil
	}
	blobs := p.d.o.Blobs
	content, err := blobs.OpenHandle(ctx, p.content)
	if err != nil {
		return err
	}
	defer content.Close()
	if is, err := message.IsLines(content, p.content.Size()); is || err != nil {
		return err
	}
	text, _, err := message.Textual(content, p.content.Size())
	if err != nil {
		return err
	}
	w, err := blobs.Create(ctx)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err = p.d.Copy(w, text); err != nil {
		return err
	}
	var h blob.Handle
	if h, err = w.Commit(); err == nil {
		p.lines = h
	}
	return err
}
