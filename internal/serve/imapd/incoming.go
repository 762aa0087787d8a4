package imapd

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// incoming is the messages of an APPEND as they come.
type incoming struct {
	c        *session
	cmd      *imap.AppendCommand
	at       location // where they go
	quota    mailbox.Quota
	usage    mailbox.Usage // before
	old      mailbox.UID   // that REPLACE replaces, or 0
	messages []mailbox.NewMessage
	octets   int64 // of them

	begun *imap.AppendMessage // the message in hand, or nil
	w     *mailbox.ContentWriter
	size  int64 // so far
	nul   bool  // it holds a NUL
}

// lostStep is an error behind which nothing of the command is left to be read.
type lostStep struct{ error }

// step takes the pieces that were read, the text at their end too, and reads on. A
// reply refuses the whole; more says that pieces follow.
func (in *incoming) step() (r reply, more bool, err error) {
	pieces := in.cmd.Pieces
	for i := range pieces {
		a := &pieces[i]
		if a.Begins != nil {
			if r, err := in.begin(a.Begins); err != nil || r.status != "" {
				return r, false, err
			}
		}
		if a.IsURL {
			r, err = in.fromURL(a.URL)
		} else {
			r, err = in.text(a)
		}
		if err != nil || r.status != "" {
			return r, false, err
		}
	}
	if in.cmd.Text() == nil { // all of it was read
		r, err = in.end()
		return r, false, err
	}
	if err := in.c.dec.Next(in.cmd); err != nil {
		return reply{}, false, &lostStep{err}
	}
	return reply{}, true, nil
}

// begin ends the message in hand and begins another.
func (in *incoming) begin(m *imap.AppendMessage) (reply, error) {
	if r, err := in.end(); err != nil || r.status != "" {
		return r, err
	}
	if len(in.messages) >= maxAppended {
		return reply{"NO", "LIMIT", "too many messages at once"}, nil
	}
	w, err := in.c.o.Mailbox.Blob(in.c.work)
	in.begun, in.w, in.size, in.nul = m, w, 0, false
	return reply{}, err
}

// text streams a text into the message in hand. Where the store fails it is still
// read to its end, so that the conversation stays in step.
func (in *incoming) text(a *imap.AppendPiece) (reply, error) {
	if a.Size == 0 && !in.begun.Catenate {
		return no("an empty message"), nil // RFC 3502 §4: this is how a client gives up
	}
	if r, err := in.room(in.size + a.Size); err != nil || r.status != "" {
		return r, err
	}
	r, err := in.c.dec.Message(a)
	if err != nil {
		return reply{}, &lostStep{err}
	}
	var kept error
	buf := in.c.s.buffers.take()
	defer in.c.s.buffers.put(buf)
	buf = buf[:cap(buf)]
	for {
		n, err := r.Read(buf)
		if kept == nil && n > 0 {
			kept = in.write(buf[:n], a.Binary)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return reply{}, &lostStep{err}
		}
	}
	if kept == nil {
		return reply{}, nil
	}
	// The text is read: what follows it is not.
	if err := in.c.dec.Next(in.cmd); err != nil {
		return reply{}, &lostStep{err}
	}
	return reply{}, fault.Wrap("imapd.append", kept)
}

// write adds to the message in hand. A NUL may only be where the client said so
// (RFC 3501 §4.3, RFC 3516 §4.4).
func (in *incoming) write(b []byte, binary bool) error {
	if bytes.IndexByte(b, 0) >= 0 {
		if in.nul = true; !binary {
			return fault.New(fault.Unsupported, "imapd.append", "the message holds a NUL")
		}
	}
	in.size += int64(len(b))
	_, err := in.w.Write(b)
	return err
}

// Write adds what comes from elsewhere in the store to the message in hand.
func (in *incoming) Write(b []byte) (int, error) {
	if err := in.write(b, true); err != nil {
		return 0, err
	}
	return len(b), nil
}

// end completes the message in hand, if there is one.
func (in *incoming) end() (reply, error) {
	if in.begun == nil {
		return reply{}, nil
	}
	if in.size == 0 {
		return no("an empty message"), nil
	}
	h, err := in.w.Commit()
	if err != nil {
		return reply{}, err
	}
	store := in.c.o.Mailbox
	if in.nul {
		// A NUL could not go out again in BODY[]: such parts are encoded.
		if h, err = in.sevenBit(h); errors.Is(err, message.ErrNotSevenBit) {
			return reply{"NO", "UNKNOWN-CTE", "there are NULs in what cannot be encoded"}, nil
		} else if err != nil {
			return reply{}, err
		}
	}
	m := mailbox.NewMessage{Content: h, Received: in.begun.Date, Flags: in.begun.Flags.System, Keywords: in.begun.Flags.Keywords}
	if m.Received.IsZero() {
		m.Received = time.Now()
	}
	if m.Index, err = store.Index(in.c.work, nil, h); err != nil {
		return reply{}, err
	}
	m.Prepare()
	in.messages, in.begun = append(in.messages, m), nil
	in.octets += h.Size()
	return reply{}, nil
}

// sevenBit stores a message anew, without NULs.
func (in *incoming) sevenBit(h mailbox.Handle) (mailbox.Handle, error) {
	raw, err := in.c.o.Mailbox.OpenHandle(in.c.work, h)
	if err != nil {
		return h, err
	}
	defer raw.Close()
	r, _, err := message.SevenBit(raw, raw.Size())
	if err != nil {
		return h, err
	}
	w, err := in.c.o.Mailbox.Blob(in.c.work)
	if err != nil {
		return h, err
	}
	defer w.Abort()
	if _, err := io.Copy(w, r); err != nil {
		return h, fault.Wrap("imapd.append", err)
	}
	return w.Commit()
}

// abort gives up what was not kept.
func (in *incoming) abort() {
	if in.w != nil {
		in.w.Abort()
	}
}
