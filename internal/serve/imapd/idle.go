package imapd

import (
	"errors"
	"os"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// idleLook is how often IDLE looks for news by itself, as hints of the store
// may be lost.
const idleLook = time.Minute

// maxDone limits the line that ends IDLE, in octets.
const maxDone = 1 << 10

// idling is an IDLE in hand. The session does not hold its goroutine meanwhile, as
// its stack is as large as the largest command needed: see Server.hold.
type idling struct {
	req   imap.Request
	began time.Time
	end   func() // no hints any more

	err   error // how the last wait ended
	woken bool  // by a hint
}

// errParked says that the session waits without its goroutine.
var errParked = errors.New("imapd: waiting in IDLE")

// idle is IDLE (RFC 2177).
func (c *session) idle(req imap.Request) (reply, error) {
	// Hints come before the first look, so that nothing falls between.
	watched := c.account()
	if c.sel != nil {
		watched = c.sel.account
	}
	c.idling = &idling{req: req, began: time.Now(), end: c.o.Mailbox.Wake(watched, c.wire.wake)}
	c.enc.Raw("+ idling\r\n")
	c.wire.wait(true)
	return c.idleOn(c.tellIdle())
}

// tellIdle tells the news; errParked unless the client has begun to say something.
func (c *session) tellIdle() error {
	if err := c.news(true); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	if c.lines.Buffered() > 0 {
		return nil
	}
	return errParked
}

// waitIdle waits for the client to say something, for a hint, or for a look to be
// due.
func (c *session) waitIdle() {
	c.lines.Rest()
	c.wire.listen(idleLook)
	c.idling.err = c.lines.More()
	c.idling.woken = c.wire.heard(c.idling.err != nil)
}

// resume goes on where waitIdle has ended.
func (c *session) resume() error {
	i := c.idling
	err := i.err
	switch {
	case err == nil:
	case c.stop.Err() != nil:
		err = c.endingOf(c.stop.Err())
	case !errors.Is(err, os.ErrDeadlineExceeded):
	case !i.woken && time.Since(i.began) >= c.o.Limits.Idle:
	default:
		if err = c.still(); err == nil {
			err = c.tellIdle()
		}
	}
	r, err := c.idleOn(err)
	if errors.Is(err, errParked) {
		return err
	}
	return c.finish(i.req, r, err)
}

// idleOn ends IDLE, unless the session waits on.
func (c *session) idleOn(err error) (reply, error) {
	if errors.Is(err, errParked) {
		return reply{}, err
	}
	var done []byte
	if err == nil {
		done, err = c.dec.Line(maxDone)
	}
	c.idling.end()
	c.idling = nil
	c.wire.wait(false)
	switch {
	case err != nil:
		return reply{}, err
	case !strings.EqualFold(string(done), "DONE"):
		return bad("DONE expected"), nil
	}
	return ok("IDLE done"), nil
}
