package mailbox

import (
	"fmt"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// TestLoadMany reads messages that lie side by side, far apart, twice, and not
// at all.
func TestLoadMany(t *testing.T) {
	b := newBench(t)
	ids := make([]MessageID, 40)
	for i := range ids {
		content := fmt.Sprintf("Subject: number %d\r\n\r\nbody\r\n", i)
		h, err := b.blobs.Put(t.Context(), []byte(content))
		b.must(err)
		b.update(func(tx *Tx) error {
			box, err := tx.BoxByName("INBOX")
			if err != nil {
				return err
			}
			p, err := tx.Add(box.ID, NewMessage{Content: h, Index: message.ParseBytes([]byte(content))})
			ids[i] = p.Message
			return err
		})
	}
	for _, pick := range [][]int{{}, {5}, {0, 1, 2, 3}, {9, 3, 7, 3}, {0, 39}, {39, 0, 20}} {
		var want []MessageID
		for _, i := range pick {
			want = append(want, ids[i])
		}
		want = append(want, ids[39]+100) // there is none
		b.view(func(tx *Tx) error {
			messages, err := tx.Messages(want)
			b.must(err)
			indexes, err := tx.Indexes(want)
			b.must(err)
			for n, i := range pick {
				if messages[n].ID != ids[i] || len(messages[n].Places) != 1 || indexes[n].Envelope().Subject != fmt.Sprintf("number %d", i) {
					t.Errorf("%v: place %d is message %d, %+v", pick, n, messages[n].ID, messages[n])
				}
			}
			if last := len(pick); messages[last].ID != 0 || indexes[last] != nil {
				t.Errorf("%v: a message that is not there was given", pick)
			}
			return nil
		})
	}
}
