package mailbox

import (
	"iter"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// counted is a transaction that counts what is asked of it.
type counted struct {
	kv.Tx
	reads, writes, octets int
}

func (c *counted) Get(key []byte) ([]byte, bool, error) {
	c.reads++
	return c.Tx.Get(key)
}

func (c *counted) GetMany(keys [][]byte) ([][]byte, error) {
	c.reads += len(keys)
	return c.Tx.GetMany(keys)
}

func (c *counted) Scan(r kv.Range) iter.Seq2[kv.Pair, error] {
	c.reads++
	return c.Tx.Scan(r)
}

func (c *counted) Version(s kv.Shard) kv.Version {
	c.reads++
	return c.Tx.Version(s)
}

func (c *counted) Next(s kv.Shard) kv.Version {
	c.reads++
	return c.Tx.Next(s)
}

func (c *counted) Set(key, value []byte) {
	c.writes++
	c.octets += len(key) + len(value)
	c.Tx.Set(key, value)
}

func (c *counted) Delete(key []byte) {
	c.writes++
	c.octets += len(key)
	c.Tx.Delete(key)
}

// TestDeliverCost holds what a delivery asks of the store to bounds that do not
// depend on how many came before.
func TestDeliverCost(t *testing.T) {
	b := newBench(t)
	for i := range 1500 {
		m := b.delivery(i)
		m.Arrival = mail.NewArrivalID()
		m.Prepare()
		var c *counted
		b.must(b.db.Update(t.Context(), []kv.Shard{kv.AccountShard(alice)}, func(tx kv.Tx) error {
			c = &counted{Tx: tx}
			_, err := b.In(c, alice).Deliver(RoleInbox, m)
			return err
		}))
		// Three message-ids, one of them twice; a new block begins with one row more.
		// A quarter of the octets are ENVELOPE and BODYSTRUCTURE, ready to go out.
		if c.reads > 11 || c.writes > 16 || c.octets > 1250 {
			t.Fatalf("message %d: %d reads, %d writes, %d octets", i, c.reads, c.writes, c.octets)
		}
	}
}

// TestDeliver makes an account's mailboxes if need be, and falls back on INBOX.
func TestDeliver(t *testing.T) {
	b := newBench(t)
	const bob = alice + 1
	deliver := func(a mail.AccountID, r Role) (p Placement) {
		b.must(b.Update(t.Context(), 0, a, func(tx *Tx) (err error) {
			p, err = tx.Deliver(r, b.letter("Subject: x", "x"))
			return err
		}))
		return p
	}
	if p := deliver(bob, RoleInbox); p.Box != 1 || p.UID != 1 {
		t.Errorf("delivered to %v", p)
	}
	equal(t, "junk", deliver(alice, RoleJunk).Box, b.box("Junk").ID)
	b.must(b.DeleteBox(t.Context(), alice, alice, "Junk"))
	equal(t, "no junk", deliver(alice, RoleJunk).Box, b.box("INBOX").ID)
	b.audit()
}
