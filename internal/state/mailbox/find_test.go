package mailbox

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/pebblekv"
	"github.com/ekiden-mail/ekiden/internal/state/search"
)

func (b *bench) indexAll() {
	b.t.Helper()
	for more := true; more; {
		var err error
		more, err = b.IndexMessages(b.t.Context(), alice)
		b.must(err)
	}
}

func (b *bench) lagging() []mail.AccountID {
	b.t.Helper()
	found, err := b.Lagging(b.t.Context(), 0, 10)
	b.must(err)
	return found
}

func (b *bench) wantFound(text string, upTo uint64, sure ...uint64) {
	b.t.Helper()
	r, err := b.Search(b.t.Context(), alice, search.Query{In: search.Body, Text: text})
	b.must(err)
	if r.UpTo != upTo || !slices.Equal(r.Sure, sure) {
		b.t.Errorf("%q: %+v, want %d up to %d", text, r, sure, upTo)
	}
}

// rowsUnder counts the rows of a shard, or of a range that lies in none.
func (b *bench) rowsUnder(s kv.Shard, prefix []byte) (n int) {
	b.must(b.db.View(b.t.Context(), s, func(r kv.Reader) error {
		n = 0
		for _, err := range r.Scan(kv.Prefix(prefix)) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	}))
	return n
}

func TestIndexMessages(t *testing.T) {
	b := newBench(t)
	box := b.box("INBOX").ID
	add := func(body string) {
		m := b.letter("Subject: hello", body)
		b.update(func(t *Tx) error { _, err := t.Add(box, m); return err })
	}
	if len(b.lagging()) != 0 {
		t.Error("an empty account lags")
	}
	add("one word\r\n")
	add("two words\r\n")
	if !slices.Equal(b.lagging(), []mail.AccountID{alice}) {
		t.Error(b.lagging())
	}
	var before ModSeq
	b.view(func(t *Tx) error { before = t.Version(); return nil })
	b.indexAll()
	b.wantFound("WORD", 2, 1, 2)
	b.wantFound("wo w", 2)
	b.view(func(tx *Tx) error {
		if tx.Version() != before {
			t.Error("the index has changed the account")
		}
		return nil
	})
	if len(b.lagging()) != 0 {
		t.Error("lags still")
	}
	// What comes meanwhile is not lost from the list.
	add("three words\r\n")
	b.wantFound("words", 2, 2)
	more, removed, err := b.indexed(t.Context(), alice, 2)
	if b.must(err); !more || removed || len(b.lagging()) != 1 {
		t.Error(more, removed, b.lagging())
	}
	b.indexAll()
	b.wantFound("words", 3, 2, 3)
	b.must(b.Reindex(t.Context(), alice))
	b.wantFound("words", 0)
	b.indexAll()
	b.wantFound("words", 3, 2, 3)
	// An account that goes leaves nothing, also when the indexer comes late.
	add("four\r\n")
	b.must(b.RemoveAccount(t.Context(), alice))
	b.indexAll()
	if n := b.rowsUnder(kv.SearchShard(alice), kv.SearchShard(alice)) + b.rowsUnder(nil, []byte(lagging)); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// At whatever moment the power goes, what is not indexed afterwards is known not
// to be, and catching up finds all.
func TestIndexCrash(t *testing.T) {
	disk := vfs.NewCrashableMem()
	n := uint64(0)
	for round := range 8 {
		db, err := pebblekv.Open("db", pebblekv.Options{FS: disk, Cache: 1 << 20, MemTable: 256 << 10})
		if err != nil {
			t.Fatal(err)
		}
		b := openBench(t, db)
		b.update(func(t *Tx) error { return t.Provision() })
		box := b.box("INBOX").ID
		for range 5 {
			m := b.letter("Subject: hello", fmt.Sprintf("word%d common\r\n", n+1))
			b.update(func(t *Tx) error { _, err := t.Add(box, m); return err })
			n++
			if round%2 == 0 {
				_, err := b.IndexMessages(context.Background(), alice)
				b.must(err)
			}
		}
		left := disk.CrashClone(vfs.CrashCloneCfg{})
		if len(b.lagging()) == 0 && round%2 == 1 {
			t.Error("the account does not lag")
		}
		_ = b.blobs.Close()
		_ = db.Close()
		disk = left
		if db, err = pebblekv.Open("db", pebblekv.Options{FS: disk}); err != nil {
			t.Fatal(err)
		}
		b = openBench(t, db)
		// Whoever starts asks the list and nobody else.
		for range b.lagging() {
			b.indexAll()
		}
		all := make([]uint64, n)
		for i := range all {
			all[i] = uint64(i) + 1
		}
		b.wantFound("ommo", n, all...)
		b.wantFound(fmt.Sprintf("word%d ", n)[:4], n, all...)
		_ = b.blobs.Close()
		_ = db.Close()
	}
}

// TestFew: blocks that count none of what is looked for are left out, and no message
// that has it is.
func TestFew(t *testing.T) {
	b := newBench(t)
	b.Store.run = 10
	for i := range 40 {
		m := b.letter(fmt.Sprintf("Message-ID: <%d@x>", i), "x")
		m.Flags = seen
		b.add("INBOX", m)
	}
	box := b.box("INBOX").ID
	few := func(want string) {
		t.Helper()
		b.view(func(tx *Tx) error {
			unseen, _, err := tx.FewUnseen(box)
			b.must(err)
			gone, ok, err := tx.FewDeleted(box)
			b.must(err)
			equal(t, "runs", fmt.Sprint(unseen, gone, ok), want)
			return nil
		})
	}
	change := func(u UID, op FlagOp, f mail.Flags) {
		_, _, err := b.SetFlags(t.Context(), alice, alice, box, []UID{u}, FlagChange{Op: op, Flags: f}, 0)
		b.must(err)
	}
	few("[] [] true")
	change(15, FlagsRemove, seen)
	change(31, FlagsAdd, deleted)
	few("[{11 20}] [{31 40}] true")
	change(15, FlagsAdd, seen)
	change(1, FlagsSet, deleted)
	few("[{1 10}] [{1 10} {31 40}] true")
}
