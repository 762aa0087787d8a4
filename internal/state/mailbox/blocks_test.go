package mailbox

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// runsOf is what Runs gives for uids.
func runsOf(uids []UID) (runs []Run) {
	for _, u := range uids {
		if n := len(runs); n > 0 && runs[n-1].Last == u-1 {
			runs[n-1].Last = u
			continue
		}
		runs = append(runs, Run{u, u})
	}
	return runs
}

// TestThinnedOut expunges most of a large mailbox in several orders: what is
// left lies in few blocks, and new messages come behind it.
func TestThinnedOut(t *testing.T) {
	orders := map[string]func(uids []UID){
		"up":   func([]UID) {},
		"down": func(uids []UID) { slices.Reverse(uids) },
		"random": func(uids []UID) {
			rand.New(rand.NewPCG(1, 2)).Shuffle(len(uids), func(i, j int) { uids[i], uids[j] = uids[j], uids[i] })
		},
	}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.run = 64
			b.addMany("INBOX", 64*30)
			id := b.box("INBOX").ID
			blocks := func() (n int) {
				b.view(func(tx *Tx) error {
					s, err := tx.live(id)
					if err != nil {
						return err
					}
					all, err := tx.allBlocks(s)
					n = len(all)
					return err
				})
				return n
			}
			equal(t, "blocks", blocks(), 30)
			var out []UID
			for _, u := range b.uids(id) {
				if u%16 != 3 {
					out = append(out, u)
				}
			}
			order(out)
			for part := range slices.Chunk(out, 37) {
				_, err := b.Expunge(t.Context(), alice, alice, id, part, true)
				b.must(err)
				left := b.uids(id)
				if n := blocks(); n > 6*len(left)/64+2 {
					t.Fatalf("%d messages lie in %d blocks", len(left), n)
				}
				for i, u := range left {
					if i%97 == 0 {
						equal(t, fmt.Sprint("placement ", u), b.placement(id, u).UID, u)
					}
				}
			}
			equal(t, "messages", len(b.uids(id)), 64*30/16)
			b.audit()
			b.addMany("INBOX", 200)
			_, err := b.Expunge(t.Context(), alice, alice, id, b.uids(id), true)
			b.must(err)
			equal(t, "blocks of none", blocks(), 0)
			b.audit()
		})
	}
}

func (b *bench) placement(id BoxID, u UID) (p Placement) {
	b.view(func(t *Tx) (err error) { p, err = t.Placement(id, u); return err })
	return p
}
