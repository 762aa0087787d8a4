package mailbox

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// audit fails if Verify finds anything.
func (b *bench) audit() {
	b.t.Helper()
	if found := b.problems(); len(found) > 0 {
		b.t.Fatal(strings.Join(found, "\n"))
	}
}

func (b *bench) problems() []string {
	b.t.Helper()
	ctx := context.Background()
	found, err := b.Verify(ctx, alice)
	b.must(err)
	b.must(b.VerifyReferences(ctx, func(a mail.AccountID, problem string) {
		found = append(found, fmt.Sprint(a, ": ", problem))
	}))
	return found
}

// furnished is an account with rows of every kind.
func furnished(t *testing.T) *bench {
	b := newBench(t)
	ctx := context.Background()
	b.update(func(t *Tx) error {
		for _, name := range []string{"A/B", "Gone", "Gone too"} {
			if _, err := t.CreateBox(name, RoleNone); err != nil {
				return err
			}
			if err := t.Subscribe(name, true); err != nil {
				return err
			}
		}
		return nil
	})
	in := b.box("INBOX").ID
	for i := range 6 {
		m := b.letter(fmt.Sprintf("Subject: s|Message-ID: <%d@x>|References: <0@x>", i), fmt.Sprint("body ", i))
		m.Flags, m.Keywords, m.Arrival = mail.Flags(i), []string{"one", fmt.Sprint("k", i)}, mail.ArrivalID{byte(i + 1)}
		b.add("INBOX", m)
	}
	_, _, _, err := b.Copy(ctx, alice, alice, in, []UID{1, 2, 3}, b.box("A/B").ID)
	b.must(err)
	_, err = b.Expunge(ctx, alice, alice, in, []UID{2, 5}, true)
	b.must(err)
	b.must(b.DeleteBox(ctx, alice, alice, "Gone"))
	b.audit()
	return b
}

// rowsOf is all rows of alice and of the blobs.
func (b *bench) rowsOf() (rows []kv.Pair) {
	for shard, prefix := range map[string]kv.Shard{string(kv.AccountShard(alice)): kv.AccountShard(alice), kv.Loose: nil} {
		b.must(b.db.View(b.t.Context(), prefix, func(r kv.Reader) error {
			for p, err := range r.Scan(kv.Prefix([]byte(shard))) {
				if err != nil {
					return err
				}
				rows = append(rows, p)
			}
			return nil
		}))
	}
	return rows
}

func (b *bench) write(fn func(kv.Tx)) {
	b.t.Helper()
	b.must(b.db.Update(b.t.Context(), []kv.Shard{kv.AccountShard(alice)}, func(tx kv.Tx) error { fn(tx); return nil }))
}

// A row that is lost does not go unseen, but for those that nothing else tells of.
func TestVerifyMissesEveryRow(t *testing.T) {
	b := furnished(t)
	kinds := map[byte]int{}
	for _, row := range b.rowsOf() {
		kind := byte(0)
		if rest, ok := bytes.CutPrefix(row.Key, kv.AccountShard(alice)); ok {
			kind = rest[0]
		}
		switch kinds[kind]++; {
		case kind == tagDead, kind == tagVanished, kind == tagView: // only they know
			continue
		case kind == 0 && !bytes.HasPrefix(row.Key, []byte("b/ref/")) && !bytes.HasPrefix(row.Key, []byte("b/body/")):
			continue
		}
		b.write(func(tx kv.Tx) { tx.Delete(row.Key) })
		if len(b.problems()) == 0 {
			if !b.goneBlob(row.Key) && !(kind == tagArrival && b.goneArrival(row.Value)) {
				t.Errorf("nobody misses row %q", row.Key)
			}
		}
		b.write(func(tx kv.Tx) { tx.Set(row.Key, row.Value) })
	}
	b.audit()
	for _, k := range []byte{tagAccount, tagBox, tagChanged, tagArrival, tagKeywords, tagMessage, tagName, tagRole,
		tagRun, tagSub, tagThreadID, tagMember, tagUID, tagGone, 0} {
		if kinds[k] == 0 {
			t.Errorf("there was no row of kind %q", k)
		}
	}
}

// goneBlob says whether key is of a blob that no message holds.
func (b *bench) goneBlob(key []byte) bool {
	id, ok := bytes.CutPrefix(key, []byte("b/body/"))
	if !ok {
		return false
	}
	held := false
	b.must(b.blobs.References(b.t.Context(), func(refs []blob.Reference) error {
		for _, r := range refs {
			held = held || bytes.HasPrefix(id, r.ID[:])
		}
		return nil
	}))
	return !held
}

// goneArrival says whether v is of an arrival whose message has vanished.
func (b *bench) goneArrival(v []byte) (gone bool) {
	r, err := decodeArrival(v)
	b.must(err)
	b.view(func(t *Tx) error { _, err = t.Message(r.message); return nil })
	return err != nil
}

// A row that changed does not go unseen either, whichever octet it was, but for
// what a placement alone says.
func TestVerifyFindsChanges(t *testing.T) {
	b := furnished(t)
	for _, row := range b.rowsOf() {
		rest, ok := bytes.CutPrefix(row.Key, kv.AccountShard(alice))
		if !ok || !bytes.ContainsRune([]byte{tagChanged, tagName, tagRole, tagRun, tagThreadID, tagMember}, rune(rest[0])) {
			continue
		}
		for i := range row.Value {
			bad := bytes.Clone(row.Value)
			bad[i] ^= 1
			b.write(func(tx kv.Tx) { tx.Set(row.Key, bad) })
			if len(b.problems()) == 0 && rest[0] != tagThreadID {
				t.Errorf("octet %d of row %q may change", i, row.Key)
			}
		}
		b.write(func(tx kv.Tx) { tx.Set(row.Key, row.Value) })
	}
	b.audit()
}

func TestVerifyFindsStrangers(t *testing.T) {
	b := furnished(t)
	for _, tag := range []byte{0, 'Z', 0xff} {
		key := kv.NewKey(kv.AccountShard(alice)).Uint8(tag).Uint64(1)
		b.write(func(tx kv.Tx) { tx.Set(key, nil) })
		if len(b.problems()) != 1 {
			t.Errorf("row %q went unseen", key)
		}
		b.write(func(tx kv.Tx) { tx.Delete(key) })
	}
	m := b.add("INBOX", NewMessage{Content: b.put("held by nobody"), Received: when})
	b.write(func(tx kv.Tx) { blob.Refer(tx, b.put("lone"), b.In(tx, alice).owner(m.Message+1)) })
	if len(b.problems()) != 1 {
		t.Error("a lone reference went unseen")
	}
}

// What goes on meanwhile is no problem.
func TestVerifyWhileWriting(t *testing.T) {
	b := newBench(t)
	in := b.box("INBOX").ID
	stop := make(chan struct{})
	done := make(chan error)
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			h, err := b.blobs.Put(context.Background(), []byte("hello"))
			var p Placement
			if err == nil {
				err = b.Update(context.Background(), alice, alice, func(t *Tx) (err error) {
					p, err = t.Add(in, NewMessage{Content: h, Received: when})
					return err
				})
			}
			if err == nil && p.UID%3 > 0 {
				_, err = b.Expunge(context.Background(), alice, alice, in, []UID{p.UID}, true)
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	for range 50 {
		b.audit()
	}
	close(stop)
	b.must(<-done)
}
