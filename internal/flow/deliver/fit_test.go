package deliver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// nested is a message of n messages within one another.
func nested(n int) string {
	return strings.Repeat("Content-Type: message/rfc822\r\n\r\n", n) + "Subject: the innermost\r\n\r\nx\r\n"
}

// multipart is a message of n parts in a row.
func multipart(n int) string {
	return "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", n) + "--b--\r\n"
}

func TestFit(t *testing.T) {
	f := Fit{HeaderSize: 1000, Fields: 20, Parts: 100, Depth: 10, Received: 5}
	for name, c := range map[string]struct{ content, want string }{
		"plain":            {"Subject: x\r\n\r\nx\r\n", ""},
		"no header":        {"\r\nx\r\n", ""},
		"many parts":       {multipart(99), ""},
		"too many parts":   {multipart(100), "554 5.6.0 the message has more than the 100 parts that are taken here"},
		"parts uncounted":  {multipart(20_000), "554 5.6.0 the message has more than the 100 parts that are taken here"},
		"deep":             {nested(10), ""},
		"too deep":         {nested(11), "554 5.6.0 the message has parts nested deeper than the 10 levels that are taken here"},
		"depth unmeasured": {nested(200), "554 5.6.0 the message has parts nested deeper than the 10 levels that are taken here"},
		"many fields":      {strings.Repeat("X: y\r\n", 20) + "\r\n", ""},
		"too many fields":  {strings.Repeat("X: y\r\n", 21) + "\r\n", "554 5.6.0 the header has more than the 20 fields that are taken here"},
		"too large":        {"X: " + strings.Repeat("y", 1000) + "\r\n\r\nx\r\n", "552 5.3.4 the header is larger than the 1000 octets that are taken here"},
		"a large body":     {"X: y\r\n\r\n" + strings.Repeat("y\r\n", 1000), ""},
		"some way":         {strings.Repeat("Received: x\r\n", 5) + "\r\n", ""},
		"circles":          {strings.Repeat("received: x\r\n", 6) + "\r\n", "554 5.4.6 this message goes in circles: over 5 Received fields"},
	} {
		for _, prefix := range []string{"", strings.Repeat("Received: ours\r\n", 30)} {
			text := prefix + c.content
			ix, err := message.Parse(strings.NewReader(text), int64(len(text)))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if r := f.refuse(ix, int64(len(prefix))); !r.IsZero() {
				got = r.String()
			}
			if got != c.want {
				t.Errorf("%s, behind %d octets: %q", name, len(prefix), got)
			}
			if r := (Fit{}).refuse(ix, 0); !r.IsZero() {
				t.Errorf("%s without limits: %v", name, r)
			}
		}
	}
	if parts, depth := measure(&message.Part{}); fmt.Sprint(parts, depth) != "1 0" {
		t.Errorf("one part: %d, %d", parts, depth)
	}
}
