package imapd

import (
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

const (
	// batchOctets is about how much content is read before any of it goes out.
	batchOctets = 256 << 10
	// firstOctets is how much of a long message is read with its batch.
	firstOctets = 128 << 10
	// mostAhead is how many sessions may hold a second batch at the same time.
	mostAhead = 32
)

// batch is the content of some messages of a page.
type batch struct {
	messages []mailbox.Message
	opened   []mailbox.Opened // those that nobody took yet
	room     []byte
	err      error
}

// ahead reads the content of a page, batch by batch; the next one while the client
// is given what came before, unless many sessions do so.
type ahead struct {
	c       *session
	rows    []row // of which no batch was begun
	now     *batch
	next    *batch
	reading sync.WaitGroup
	begun   bool // next is being read, or was
}

func (c *session) readAhead(rows []row, m *shelf) *ahead {
	a := &ahead{c: c, rows: rows, now: &m.batches[0], next: &m.batches[1]}
	a.now.opened, a.next.opened = nil, nil
	return a
}

// take gives the content of the next message. It is good until that of the next
// batch but one is taken.
func (a *ahead) take() (*mailbox.Opened, error) {
	if len(a.now.opened) == 0 {
		if !a.begun {
			a.read(a.next, a.cut())
		}
		a.reading.Wait()
		a.now, a.next, a.begun = a.next, a.now, false
		if a.now.err != nil {
			return nil, a.now.err
		}
		a.begin()
	}
	o := &a.now.opened[0]
	a.now.opened = a.now.opened[1:]
	return o, nil
}

// begin reads the next batch beside the session, if there is one and it may.
func (a *ahead) begin() {
	if len(a.rows) == 0 {
		return
	}
	select {
	case a.c.s.ahead <- struct{}{}:
	default:
		return
	}
	rows := a.cut()
	a.begun = true
	a.reading.Go(func() {
		defer func() {
			<-a.c.s.ahead
			if r := recover(); r != nil { // ends this command, as it would the session
				a.next.opened, a.next.err = nil, fault.As(fault.Internal, "imapd.ahead", fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
			}
		}()
		a.read(a.next, rows)
		for i := range a.next.opened {
			// Long content is looked at when it is its turn: what is wrong shows then.
			if o := &a.next.opened[i]; o.Err == nil {
				_ = probe(&o.Content)
			}
		}
	})
}

// cut takes the rows of a batch.
func (a *ahead) cut() []row {
	n, octets := 0, int64(0)
	for n < len(a.rows) && octets < batchOctets {
		octets += min(a.rows[n].Size, firstOctets)
		n++
	}
	rows := a.rows[:n]
	a.rows = a.rows[n:]
	return rows
}

// read opens the content of rows.
func (a *ahead) read(b *batch, rows []row) {
	b.messages = b.messages[:0]
	for i := range rows {
		b.messages = append(b.messages, rows[i].message)
	}
	b.opened, b.room, b.err = a.c.o.Mailbox.OpenMessages(a.c.work, a.c.sel.account, b.messages, b.room[:0])
}

// stop waits for what is being read, and closes what nobody took.
func (a *ahead) stop() {
	a.reading.Wait()
	for _, b := range []*batch{a.now, a.next} {
		for i := range b.opened {
			if b.opened[i].Err == nil {
				_ = b.opened[i].Close()
			}
		}
		b.opened = nil
	}
}
