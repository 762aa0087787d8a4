package arc

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/trust/dkim"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// TestTooLong has a chain longer than RFC 8617 §4.2.1 allows, and one whose beginning was cut
// off.
func TestTooLong(t *testing.T) {
	for from, want := range map[int]string{
		1: `ARC-Authentication-Results: its instance "51" is not a number from 1 to 50`,
		2: "there is no set 1",
	} {
		var b strings.Builder
		for i := from; i <= MaxSets+2-from; i++ {
			cv := "pass"
			if i == 1 {
				cv = "none"
			}
			fmt.Fprintf(&b, "ARC-Authentication-Results: i=%d; x.test; none\r\n", i)
			fmt.Fprintf(&b, "ARC-Message-Signature: i=%d; a=rsa-sha256; d=x.test; s=s; h=from; bh=AAAA; b=AAAA\r\n", i)
			fmt.Fprintf(&b, "ARC-Seal: i=%d; a=rsa-sha256; d=x.test; s=s; cv=%s; b=AAAA\r\n", i, cv)
		}
		_, c, _ := read(b.String() + "\r\n")
		if r := c.Verify(t.Context(), keys{}); r.Code != Fail || r.Problem != want {
			t.Errorf("from %d: %s %q", from, r.Code, r.Problem)
		}
	}
}

// FuzzChain sees that no header breaks anything, and what is found of a good one.
func FuzzChain(f *testing.F) {
	f.Add("ARC-Seal: i=1; a=rsa-sha256; d=x.test; s=s; cv=none; b=AAAA\r\n" +
		"ARC-Message-Signature: i=1; a=rsa-sha256; d=x.test; s=s; h=from; bh=AAAA; b=AAAA\r\n" +
		"ARC-Authentication-Results: i=1; x.test; none\r\nFrom: a@x.test\r\n\r\nHi.\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		var head message.HeaderScanner
		_, _ = io.WriteString(&head, text)
		var body dkim.Body
		c := Read(head.Header(), &body)
		_, _ = io.WriteString(&body, text[min(head.Size(), len(text)):])
		body.Close()
		if r := c.Verify(t.Context(), keys{"s._domainkey.x.test": "p=AAAA"}); r.Code == Pass {
			t.Errorf("passes: %q", text)
		}
		_, _ = Seal(head.Header(), c, Sealing{})
	})
}
