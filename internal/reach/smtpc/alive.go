package smtpc

import (
	"context"
	"syscall"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// Alive says whether the connection stands as far as can be seen without a word:
// the server has neither closed it nor said anything unasked, which would be that
// it closes (421, RFC 5321 §3.8). What was broken in between is not seen.
func (c *Conn) Alive() bool {
	if c.in.Buffered() > 0 {
		return false
	}
	sc, ok := c.raw.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		silent = err == syscall.EAGAIN || err == syscall.EINTR
	})
	return err == nil && silent
}

// Noop asks the server whether it is there (RFC 5321 §4.1.1.9), and waits for at
// most the given time. An error means that the connection is of no more use.
func (c *Conn) Noop(ctx context.Context, within time.Duration) error {
	defer c.guard(ctx)()
	_, err := c.out.WriteString("NOOP\r\n")
	if err == nil {
		err = c.out.Flush()
	}
	if err == nil {
		r, rerr := c.read(within)
		if err = rerr; err == nil && r.Code != 250 {
			return &Refusal{Command: "NOOP", Reply: r}
		}
	}
	return fault.As(fault.Unavailable, "smtpc.Noop", err)
}
