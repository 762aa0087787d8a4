package imapd_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// TestManyBodies fetches more content than is read at once, small and large.
func TestManyBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		defer w.close()
		var letters []string
		for i := range 450 {
			size := 3000 + i*37%5000
			if i%50 == 7 {
				size = 300_000
			}
			letters = append(letters, fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", i, strings.Repeat(fmt.Sprint(i, " "), size/4)))
			w.deliver("INBOX", letters[i], 0)
		}
		c := w.connect()
		_, _ = c.conn.Write([]byte("a LOGIN alice@example.test secret\r\nb EXAMINE INBOX\r\n"))
		synctest.Wait()
		c.take()
		for range 2 {
			_, _ = c.conn.Write([]byte("c FETCH 1:* (BODY.PEEK[])\r\n"))
			synctest.Wait()
			got, _ := c.take()
			for i, l := range letters {
				want := fmt.Sprintf("* %d FETCH (BODY[] {%d}\r\n%s)\r\n", i+1, len(l), l)
				if !strings.HasPrefix(got, want) {
					t.Fatalf("message %d: %.80q, want %.80q", i+1, got, want)
				}
				got = got[len(want):]
			}
			if got != "c OK FETCH done\r\n" {
				t.Errorf("then %q", got)
			}
		}
		_ = c.conn.Close()
		<-c.done
	})
}
