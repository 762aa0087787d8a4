package imapd

import (
	"context"
	"errors"
	"strings"
	"time"
)

// idleLook is how often IDLE looks for news by itself, as hints of the store
// may be lost.
const idleLook = time.Minute

// maxDone limits the line that ends IDLE, in octets.
const maxDone = 1 << 10

// heard is what the reading side of IDLE got.
type heard struct {
	line string
	err  error
}

// idle is IDLE (RFC 2177). A goroutine of its own waits for DONE; it has ended
// before idle returns.
func (c *session) idle() (reply, error) {
	ctx, cancel := context.WithCancel(c.work)
	defer cancel()
	// Watching begins before the first look, so that nothing falls between.
	watched := c.account()
	if c.sel != nil {
		watched = c.sel.account
	}
	hints := c.o.Mailbox.Watch(ctx, watched)
	c.enc.Raw("+ idling\r\n")
	said := make(chan heard, 1)
	c.wire.wait(true)
	c.wire.flush = nil // writing is not the reader's now
	defer func() { c.wire.flush = c.flush }()
	go func() {
		ln, err := c.dec.Line(maxDone)
		said <- heard{string(ln), err}
	}()
	h, err := idleUntil(c, hints, said)
	if err != nil {
		c.wire.breakOff()
		<-said
	}
	c.wire.wait(false)
	switch {
	case err != nil:
		return reply{}, err
	case h.err != nil:
		return reply{}, h.err
	case !strings.EqualFold(h.line, "DONE"):
		return bad("DONE expected"), nil
	}
	return ok("IDLE done"), nil
}

// idleUntil tells the news until the client says something. An error means that
// the other side still reads.
func idleUntil[Hint any](c *session, hints <-chan Hint, said <-chan heard) (heard, error) {
	look := time.NewTicker(idleLook)
	defer look.Stop()
	for {
		if err := c.news(true); err != nil {
			return heard{}, err
		}
		if err := c.flush(); err != nil {
			return heard{}, err
		}
		select {
		case h := <-said:
			return h, nil
		case _, open := <-hints:
			if !open {
				return heard{}, errors.New("the watch ended")
			}
		case <-look.C:
			if err := c.still(); err != nil {
				return heard{}, err
			}
		case <-c.stop.Done():
			return heard{}, c.endingOf(c.stop.Err())
		}
	}
}
