package imapd

import (
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
	c.enc.Untagged().Raw("OK [INPROGRESS")
	if !strings.Contains(c.tag, "]") {
		c.enc.Raw(" (").String(c.tag).SP().Number(int64(done)).SP().Number(int64(goal)).Raw(")")
	}
	c.enc.Raw("] still at it\r\n")
	_ = c.enc.Flush() // its error sticks
}
