package imapd

import (
	"fmt"
	"strings"
	"time"
)

// progressEvery is how often a long command says how far it is.
const progressEvery = 10 * time.Second

// progress tells the client that done of goal is done, if it has not heard for
// a while (RFC 9585). A tag that cannot stand in a response code is left out.
func (c *session) progress(done, goal int) {
	if time.Since(c.asked) < progressEvery || done >= goal {
		return
	}
	c.asked = time.Now()
	code := "INPROGRESS"
	if !strings.ContainsAny(c.tag, `]"\`) {
		code += fmt.Sprintf(` ("%s" %d %d)`, c.tag, done, goal)
	}
	c.tellOK(code, "still at it")
	_ = c.enc.Flush() // its error sticks
}
