package smtpd

import (
	"errors"
	"fmt"
	"io"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// errAborted is what a message in chunks ends with when its sender gives it up.
var errAborted = errors.New("the transaction was aborted")

// data takes a message by DATA (RFC 5321 §4.1.1.4).
func (s *session) data() {
	s.answer(354, smtp.Enhanced{}, "Send the message; a line with a dot alone ends it")
	s.link.content(s.srv.limits.Data)
	r := smtp.NewDataReader(s.link.in, s.srv.limits.MessageSize)
	txn, taken := s.take()
	replies := txn.Data(s.ctx, r)
	s.finish(replies, taken, r.Err(), func() error { return r.Drain(s.srv.limits.Drain) })
}

// take gives the transaction away to its Data. Whatever comes of it, it is over.
func (s *session) take() (txn Transaction, taken int) {
	txn, taken = s.txn, s.taken
	s.txn = nil
	return txn, taken
}

// finish answers for a message. err is how reading it ended, drain reads what is
// left of it.
func (s *session) finish(replies []smtp.Reply, taken int, err error, drain func() error) {
	from := s.from
	s.abort()
	s.from = from // the replies are about it
	defer func() { s.from = mail.Address{} }()
	var unfit *smtp.ContentError
	switch {
	case errors.As(err, &unfit):
		replies = []smtp.Reply{unfit.Reply}
		err = drain()
	case err == io.EOF:
		err = nil
	case err == nil:
		// The handler stopped early. That is its right if it refuses; an
		// acceptance of what was not read would lose mail.
		for i, r := range replies {
			if r.OK() {
				replies[i] = s.broken("Data, before the content ended,", r)
			}
		}
		err = drain()
	}
	if err != nil && !errors.Is(err, smtp.ErrEndless) {
		s.lost(err)
		return
	}
	s.progress(replies)
	for _, r := range s.perRecipient(replies, taken) {
		s.reply(r)
	}
	if err != nil {
		s.end("refused content does not end")
	}
}

// perRecipient makes as many replies as the protocol wants: in LMTP one for each
// recipient taken (RFC 2033 §4.2), else one, which is positive if any is, since a
// repeat would send a copy again to those that have theirs.
func (s *session) perRecipient(replies []smtp.Reply, taken int) []smtp.Reply {
	if len(replies) != 1 && len(replies) != taken {
		err := fmt.Errorf("smtpd: %d replies for %d recipients", len(replies), taken)
		s.srv.failed(s, err)
		replies = []smtp.Reply{smtp.Fault(err)}
	}
	if s.srv.o.Mode == LMTP {
		for len(replies) < taken {
			replies = append(replies, replies[0])
		}
		return replies
	}
	best := replies[0]
	for _, r := range replies[1:] {
		if r.Code/100 < best.Code/100 {
			best = r
		}
	}
	return []smtp.Reply{best}
}

// bdat takes a message in chunks, of which c is the first (RFC 3030 §2). The
// handler reads one stream; the commands between the chunks are answered while
// it reads.
func (s *session) bdat(c smtp.Command) {
	s.link.content(s.srv.limits.Data)
	if s.state != addressed {
		s.strayChunk(c)
		return
	}
	s.state = chunking
	b := &chunks{s: s, r: smtp.NewChunkReader(s.link.in, s.srv.limits.MessageSize)}
	b.r.Binary = s.opts.Binary
	b.begin(c)
	txn, taken := s.take()
	replies := txn.Data(s.ctx, b)
	err := b.r.Err()
	switch {
	case b.err == errAborted: // what was read instead answers for itself
		s.abort()
		return
	case b.err != nil:
		err = b.err
	}
	if !b.last && len(replies) > 0 {
		replies, taken = replies[:1], 1 // each recipient has its own answer to the last chunk only
	}
	s.finish(replies, taken, err, b.drain)
}

// strayChunk throws away a chunk that comes where none may: before RCPT, or in
// the pipeline behind one that failed (RFC 3030 §2).
func (s *session) strayChunk(c smtp.Command) {
	if c.Size > s.srv.limits.Drain {
		s.answer(552, smtp.Enhanced{5, 3, 4}, "That chunk is too large; goodbye")
		s.end("chunk too large")
		return
	}
	if err := s.link.in.Discard(c.Size); err != nil {
		s.lost(err)
		return
	}
	s.fail(smtp.Answer(503, smtp.Enhanced{5, 5, 1}, "BDAT cannot come here: %s", s.outOfPlace()))
}

// chunks is the stream that BDAT's chunks make.
type chunks struct {
	s    *session
	r    *smtp.ChunkReader
	last bool
	err  error // of what came between the chunks
}

func (b *chunks) begin(c smtp.Command) {
	b.last = c.Last
	b.r.Begin(c.Size, c.Last)
}

// Read gives the content as it comes, across chunks.
func (b *chunks) Read(p []byte) (int, error) {
	for b.err == nil {
		n, err := b.r.Read(p)
		if err != smtp.ErrNextChunk {
			return n, err
		}
		b.err = b.next()
	}
	return 0, b.err
}

// next answers for the chunk that was read and goes on to the next one.
func (b *chunks) next() error {
	s := b.s
	s.answer(250, smtp.Enhanced{2, 0, 0}, "%d octets so far", b.r.Size())
	for {
		c, err := s.next()
		switch {
		case err == io.EOF: // of the connection, and by no means of the message
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case s.reason != "":
			return errAborted
		}
		switch c.Verb {
		case smtp.Unknown:
		case smtp.Bdat:
			s.link.content(s.srv.limits.Data)
			b.begin(c)
			return nil
		case smtp.Rset, smtp.Quit, smtp.Helo, smtp.Ehlo, smtp.Lhlo:
			s.pending = &c
			return errAborted
		default:
			if s.do(c); s.reason != "" {
				return errAborted
			}
		}
	}
}

// drain throws away the rest of the chunk.
func (b *chunks) drain() error {
	if b.r.Left() > b.s.srv.limits.Drain {
		return smtp.ErrEndless
	}
	return b.r.Drain()
}
