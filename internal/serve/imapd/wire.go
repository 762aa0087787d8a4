package imapd

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// wire is the connection with its deadlines: a read waits for the idle time, a
// write for the write time. While the session waits for a command, the end of
// the server ends the wait.
type wire struct {
	net.Conn
	stop  context.Context
	flush func() error // writes what waits to be written; called before a read, by the reader
	over  bool         // Conn is a layer over the socket
	idle  time.Duration
	write time.Duration
	until time.Time // reads end then at the latest, unless zero: nobody has logged in

	mu      sync.Mutex
	waiting bool          // nothing is in hand
	cut     bool          // the read in progress was broken off
	listens bool          // the session would be woken
	woken   bool          // and was
	look    time.Duration // reads of one that listens end then at the latest, unless zero
}

// past is a deadline that is over.
func past() time.Time { return time.Unix(1, 0) }

// wait says whether the session waits for a command from now on.
func (w *wire) wait(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting, w.cut = on, false
}

// waits says whether nothing is in hand.
func (w *wire) waits() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting
}

// opened says that somebody logged in: from now on only the idle time counts.
func (w *wire) opened() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until = time.Time{}
}

// closed says that nobody is logged in any more.
func (w *wire) closed(until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until = until
}

// interrupt ends a read if the session only waits. It may be called by others
// than the session.
func (w *wire) interrupt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting {
		_ = w.Conn.SetReadDeadline(past())
	}
}

// listen says that the session may be woken while it reads, and shall be after
// look at the latest, unless that is zero.
func (w *wire) listen(look time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listens, w.look = true, look
}

// wake ends a read of a session that listens, or the next.
func (w *wire) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.woken = true; w.listens {
		_ = w.Conn.SetReadDeadline(past())
	}
}

// heard ends listening, and says whether the session was woken; if it takes
// that, it has to look for what there is.
func (w *wire) heard(take bool) (woken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listens = false
	if woken = w.woken; take {
		w.woken = false
	}
	return woken
}

// breakOff ends the read in progress or the next one, until wait is called.
func (w *wire) breakOff() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	_ = w.Conn.SetReadDeadline(past())
}

// replace puts TLS over the connection.
func (w *wire) replace(c net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Conn, w.over = c, true
}

// Read reads what comes within the idle time. Before it waits, answers given so
// far go out.
func (w *wire) Read(p []byte) (int, error) {
	if w.flush != nil {
		if err := w.flush(); err != nil {
			return 0, err
		}
	}
	if err := w.arm(); err != nil {
		return 0, err
	}
	return w.Conn.Read(p)
}

func (w *wire) arm() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	deadline := time.Now().Add(w.idle)
	if !w.until.IsZero() && deadline.After(w.until) {
		deadline = w.until
	}
	if w.listens && w.look > 0 && w.look < w.idle {
		deadline = time.Now().Add(w.look)
	}
	if w.cut || w.waiting && w.stop.Err() != nil || w.listens && w.woken {
		deadline = past()
	}
	return w.Conn.SetReadDeadline(deadline)
}

// piece is what the peer has to take within the write time, in octets.
const piece = 16 << 10

// Write writes p within the write time for each piece. What goes to the socket
// itself goes at once, and on as long as pieces of it are taken in time; TLS and
// compression cannot go on behind a write that was broken off.
func (w *wire) Write(p []byte) (int, error) {
	n := 0
	for {
		now := p[n:]
		if w.over {
			now = now[:min(len(now), piece)]
		}
		if err := w.Conn.SetWriteDeadline(time.Now().Add(w.write)); err != nil {
			return n, err
		}
		k, err := w.Conn.Write(now)
		n += k
		if !w.over && k >= piece && errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil || n == len(p) {
			return n, err
		}
	}
}
