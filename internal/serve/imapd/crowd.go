package imapd

import "time"

// yieldAfter is how long a stranger may take to log in when places run short.
const yieldAfter = 10 * time.Second

// makeRoom cuts off the one who has been here longest without a login, if that
// is longer than yieldAfter, so that those who never log in cannot hold all
// places.
func (s *Server) makeRoom() {
	oldest := time.Now().Add(s.o.Limits.PreAuth - yieldAfter)
	var slowest *session
	s.all.Each(func(c *session) {
		if until := c.wire.loginBy(); !until.IsZero() && until.Before(oldest) {
			oldest, slowest = until, c
		}
	})
	if slowest != nil {
		slowest.wire.breakOff()
	}
}

// loginBy is when somebody must have logged in; zero if somebody has.
func (w *wire) loginBy() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.until
}
