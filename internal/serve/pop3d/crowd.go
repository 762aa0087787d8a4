package pop3d

import "time"

// yieldAfter is how long a stranger may take to log in when places run short.
const yieldAfter = 10 * time.Second

// makeRoom cuts off the one who has been here longest without a login, if that
// is longer than yieldAfter, so that those who never log in cannot hold all
// places.
func (s *Server) makeRoom() {
	oldest := s.o.Now().Add(-yieldAfter)
	var slowest *conn
	s.all.Each(func(c *conn) {
		if c.stranger() && c.began.Before(oldest) {
			oldest, slowest = c.began, c
		}
	})
	if slowest != nil {
		slowest.stopReading("timeout")
	}
}

// stranger says whether nobody has logged in.
func (c *conn) stranger() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.known
}

// arrived notes that somebody has.
func (c *conn) arrived() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = true
}
