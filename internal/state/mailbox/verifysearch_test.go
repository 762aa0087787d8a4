package mailbox

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// searchRows does something to the rows of alice's index.
func (b *bench) searchRows(fn func(tx kv.Tx, shard kv.Shard)) {
	b.t.Helper()
	shard := kv.SearchShard(alice)
	b.must(b.db.Update(b.t.Context(), []kv.Shard{shard}, func(tx kv.Tx) error { fn(tx, shard); return nil }))
}

func (b *bench) wantProblem(words string) {
	b.t.Helper()
	if found := b.problems(); !strings.Contains(strings.Join(found, "\n"), words) {
		b.t.Errorf("%q is not among the problems %q", words, found)
	}
}

// Verify knows what has to be in the search index, and who has to be told of.
func TestVerifySearch(t *testing.T) {
	b := newBench(t)
	for i := range 5 {
		b.add("INBOX", b.letter(fmt.Sprint("Subject: number ", i), "hello"))
	}
	b.audit()
	b.must(b.db.Update(t.Context(), nil, func(tx kv.Tx) error { tx.Delete(lagKey(alice)); return nil }))
	b.wantProblem("are not indexed")
	b.update(func(tx *Tx) error { tx.lag(); return nil })
	b.indexAll()
	b.add("INBOX", NewMessage{Content: b.put(""), Received: when}) // without a text, so in no segment
	b.indexAll()
	b.audit()
	b.add("INBOX", b.letter("Subject: one more", "hello"))
	_, err := b.Expunge(t.Context(), alice, alice, b.box("INBOX").ID, []UID{1}, true)
	b.must(err)
	b.indexAll()
	b.audit()

	var cursor []byte
	b.searchRows(func(tx kv.Tx, shard kv.Shard) {
		key := kv.NewKey(shard).Uint8('c')
		cursor, _, _ = tx.Get(key)
		tx.Set(key, kv.Value{}.Byte(cursor[0]).Uint(1_000).Uint(1_000))
	})
	b.wantProblem("ahead of the account's last message")
	b.searchRows(func(tx kv.Tx, shard kv.Shard) {
		tx.Set(kv.NewKey(shard).Uint8('c'), cursor)
		for _, tag := range []byte("sd") {
			tx.Clear(kv.Prefix(kv.NewKey(shard).Uint8(tag)))
		}
	})
	b.wantProblem("message 2 is not in it")
	if found := strings.Join(b.problems(), "\n"); strings.Contains(found, "message 1 ") || strings.Contains(found, "message 6 ") {
		t.Errorf("a message that is gone, or has no text, is missed: %s", found)
	}
	b.must(b.Reindex(t.Context(), alice))
	b.audit()
	b.indexAll()
	b.audit()
}
