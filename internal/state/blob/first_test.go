package blob

import (
	"bytes"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// TestReferFirst: whoever refers first, and however many believe they do, the blob is
// there once, and stays as long as one of them holds it.
func TestReferFirst(t *testing.T) {
	engines(t, func(t *testing.T, db kv.DB) {
		s := open(t, db, newMemory())
		defer s.Close()
		for _, b := range [][]byte{text(500), noise(300_000, 7)} {
			var hs []Handle
			for range 2 { // neither finds the other
				h, err := s.Put(ctx, b)
				if err != nil {
					t.Fatal(err)
				}
				hs = append(hs, h)
			}
			for n, h := range hs {
				err := db.Update(ctx, []kv.Shard{account}, func(tx kv.Tx) error {
					ReferFirst(tx, h, owner(byte(2*n)))
					Refer(tx, h, owner(byte(2*n+1)))
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			id := hs[0].ID()
			for n := range byte(3) {
				release(t, db, id, n)
			}
			if got, err := contentOf(s, id); err != nil || !bytes.Equal(got, b) {
				t.Fatalf("%d octets, %v", len(got), err)
			}
			if _, err := s.Verify(ctx, func(id mail.BlobID, err error) { t.Errorf("%v: %v", id, err) }); err != nil {
				t.Error(err)
			}
		}
	})
}
