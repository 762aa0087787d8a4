package smtp

import (
	"fmt"
	"strings"
)

// Enhanced is an enhanced status code (RFC 3463), class.subject.detail. The
// zero value is none.
type Enhanced [3]uint16

// String is "class.subject.detail".
func (e Enhanced) String() string { return fmt.Sprintf("%d.%d.%d", e[0], e[1], e[2]) }

// Reply is one answer of a server: a code (RFC 5321 §4.2), an enhanced status
// code where there is one, and one or more lines of text without line ends.
type Reply struct {
	Code     int
	Enhanced Enhanced
	Text     []string
}

// Answer makes a reply of one line.
func Answer(code int, enhanced Enhanced, format string, args ...any) Reply {
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	return Reply{Code: code, Enhanced: enhanced, Text: []string{text}}
}

// IsZero says whether r is no reply at all.
func (r Reply) IsZero() bool { return r.Code == 0 }

// OK says whether r is positive (2xx or 3xx).
func (r Reply) OK() bool { return r.Code >= 200 && r.Code < 400 }

// Temporary says whether r is a transient negative completion (4xx).
func (r Reply) Temporary() bool { return r.Code >= 400 && r.Code < 500 }

// Permanent says whether r is a permanent negative completion (5xx).
func (r Reply) Permanent() bool { return r.Code >= 500 && r.Code < 600 }

// String is the reply on one line, as logs and reports quote it.
func (r Reply) String() string {
	text := strings.Join(r.Text, " ")
	if r.Enhanced == (Enhanced{}) {
		return fmt.Sprintf("%d %s", r.Code, text)
	}
	return fmt.Sprintf("%d %s %s", r.Code, r.Enhanced, text)
}
