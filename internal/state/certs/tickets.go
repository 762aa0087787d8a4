package certs

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// How long a key of session tickets makes tickets, and how many keys before it
// still open theirs: a client that was here yesterday is known again, and the
// day after it is forgotten what its ticket could tell.
const (
	ticketTurn = 12 * time.Hour
	ticketKeys = 3
)

// ticketRow is the length of a key's time and the key itself.
const ticketRow = 8 + 32

// Tickets gives the keys of session tickets, the one that makes tickets first,
// and makes a new one when its time has come. They are kept in the store, so
// that clients are known after a restart, when all of them come back at once,
// and on all nodes of a cluster.
func (r *Rows) Tickets(ctx context.Context, now time.Time) (keys [][32]byte, err error) {
	var fresh [32]byte
	_, _ = rand.Read(fresh[:])
	err = r.update(ctx, func(tx kv.Tx) error {
		keys = nil
		row := kv.NewKey(kv.CertShard()).Uint8('k')
		v, _, err := tx.Get(row)
		if err != nil {
			return err
		}
		var rows []byte
		var next time.Time
		for ; len(v) >= ticketRow; v = v[ticketRow:] {
			made := time.Unix(int64(binary.BigEndian.Uint64(v)), 0)
			if age := now.Sub(made); age < 0 || age >= ticketKeys*ticketTurn {
				continue // or the clock was wrong
			}
			if next.IsZero() {
				next = made.Add(ticketTurn)
			}
			rows = append(rows, v[:ticketRow]...)
			keys = append(keys, [32]byte(v[8:ticketRow]))
		}
		if next.After(now) {
			return nil
		}
		keys = append([][32]byte{fresh}, keys[:min(len(keys), ticketKeys-1)]...)
		rows = rows[:(len(keys)-1)*ticketRow]
		head := append(binary.BigEndian.AppendUint64(nil, uint64(now.Unix())), fresh[:]...)
		tx.Set(row, append(head, rows...))
		return nil
	})
	return keys, fault.Wrap("certs.Tickets", err)
}
