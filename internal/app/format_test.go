package app

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/state/search"
)

var newStore = flag.String("newstore", "", "write a store by this program into testdata/stores/NAME.tar.zst, and what is in it")

const stores = "testdata/stores"

// TestOldStores opens a store by each earlier form of the program and finds all
// that was in it; testdata/stores/README.md says how to add one.
func TestOldStores(t *testing.T) {
	if *newStore != "" {
		writeStore(t, filepath.Join(stores, *newStore))
	}
	files, err := filepath.Glob(filepath.Join(stores, "*.tar.zst"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no stores: %v", err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			want, err := os.ReadFile(strings.TrimSuffix(path, ".tar.zst") + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			data := t.TempDir()
			unpackStore(t, path, data)
			c := Config{Data: data, Hostname: "mx.example.test"}
			if got := openAndTell(t, c); got != string(want) {
				t.Errorf("it holds\n%s\nwant\n%s", got, want)
			}
			findInStore(t, c)
			backUpAndRestore(t, c, string(want))
		})
	}
}

// findInStore searches a store as it is, and again when the indexer has been there.
func findInStore(t *testing.T, c Config) {
	r := rooms1(t, c)
	ctx := t.Context()
	find := func() search.Result {
		t.Helper()
		found, err := r.mailbox.Search(ctx, 2, search.Query{In: search.Body, Text: "has a file of its own"})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if got := find(); got.UpTo >= 2 && !slices.Equal(got.Sure, []uint64{2}) {
		t.Errorf("before: %+v", got)
	}
	err := r.renewIndexes(ctx)
	for more := true; more && err == nil; {
		more, err = r.indexAll(ctx)
	}
	if got := find(); got.UpTo != 3 || !slices.Equal(got.Sure, []uint64{2}) || len(got.Maybe) > 0 {
		t.Errorf("after: %+v", got)
	}
	if err := errors.Join(err, r.close()); err != nil {
		t.Fatal(err)
	}
}

// backUpAndRestore brings a store to a directory and from there into another
// data directory, where all is as it was but for UIDVALIDITY.
func backUpAndRestore(t *testing.T, c Config, want string) {
	dir := filepath.Join(t.TempDir(), "backup")
	r := rooms1(t, c)
	if _, err := r.backup(t.Context(), dir, nil); err != nil {
		t.Fatal(err)
	}
	before := validities(t, r)
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	c.Data = filepath.Join(t.TempDir(), "restored")
	if _, err := Restore(t.Context(), c, dir, nil); err != nil {
		t.Fatal(err)
	}
	if got := openAndTell(t, c); got != want {
		t.Errorf("restored, it holds\n%s\nwant\n%s", got, want)
	}
	r = rooms1(t, c)
	after := validities(t, r)
	for name, v := range after {
		if v <= before[name] {
			t.Errorf("%s had UIDVALIDITY %d and has %d", name, before[name], v)
		}
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
}

func rooms1(t *testing.T, c Config) *rooms {
	t.Helper()
	r, err := openRooms(&c, event.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func openAndTell(t *testing.T, c Config) string {
	t.Helper()
	r := rooms1(t, c)
	var out bytes.Buffer
	err := tellStore(t, r, &out)
	_, verifyErr := r.verify(t.Context(), func(p string) { t.Error(p) }, nil)
	if err := errors.Join(err, verifyErr, r.close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// validities gives the UIDVALIDITY of every mailbox, all different.
func validities(t *testing.T, r *rooms) map[string]uint32 {
	all := map[string]uint32{}
	accounts, err := r.directory.Accounts(t.Context())
	for _, a := range accounts {
		seen := map[uint32]bool{}
		err = errors.Join(err, r.mailbox.View(t.Context(), a.ID, func(tx *mailbox.Tx) error {
			boxes, err := tx.Boxes()
			for _, b := range boxes {
				all[fmt.Sprint(a.Address, "/", b.Name)] = b.UIDValidity
				if seen[b.UIDValidity] {
					t.Errorf("UIDVALIDITY %d twice", b.UIDValidity)
				}
				seen[b.UIDValidity] = true
			}
			return err
		}))
	}
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	return all
}

// tellStore writes all that is in a store as text.
func tellStore(t *testing.T, r *rooms, w io.Writer) error {
	accounts, err := r.directory.Accounts(t.Context())
	if err != nil {
		return err
	}
	for _, a := range accounts {
		fmt.Fprintf(w, "account %d %v quota %d\n", a.ID, a.Address, a.Quota)
		if err := tellAccount(t, r, a.ID, w); err != nil {
			return err
		}
	}
	aliases, err := r.directory.Aliases(t.Context())
	for _, a := range aliases {
		fmt.Fprintf(w, "alias %v %v\n", a.Address, a.Targets)
	}
	for e, listErr := range r.queue.List(t.Context(), queue.Filter{}) {
		err = errors.Join(err, listErr)
		entries, historyErr := r.history.ByArrival(t.Context(), e.Message.ID)
		err = errors.Join(err, historyErr)
		fmt.Fprintf(w, "queued %v from %v to %v, %d octets, %d entries of history\n", e.Message.ID, e.Message.From, e.Delivery.To, e.Message.Size, len(entries))
	}
	return err
}

func tellAccount(t *testing.T, r *rooms, id mail.AccountID, w io.Writer) error {
	var found []mailbox.Message
	err := r.mailbox.View(t.Context(), id, func(tx *mailbox.Tx) error {
		boxes, err := tx.Boxes()
		for _, b := range boxes {
			fmt.Fprintf(w, " mailbox %q %s subscribed %v, next %d, messages %d, unseen %d, modseq %d\n", b.Name, b.Role, b.Subscribed, b.UIDNext, b.Messages, b.Unseen, b.HighestModSeq)
			for p, e := range tx.Placements(b.ID, 1, 1<<32-1) {
				m, e2 := tx.Message(p.Message)
				err = errors.Join(err, e, e2)
				found = append(found, m)
				fmt.Fprintf(w, "  %d modseq %d flags %v %v, message %d, %d octets, received %v\n", p.UID, p.ModSeq, p.Flags, p.Keywords, p.Message, p.Size, p.Received.UTC().Format(time.RFC3339))
			}
		}
		return err
	})
	for _, m := range found {
		c, e := r.mailbox.OpenMessage(t.Context(), id, m)
		if e != nil {
			return e
		}
		b, e := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
		err = errors.Join(err, e, c.Close())
		fmt.Fprintf(w, " message %d thread %d sha256 %x\n", m.ID, m.Thread, sha256.Sum256(b))
	}
	for g, e := range r.mailbox.Gone(t.Context(), id, mailbox.GoneFilter{}) {
		err = errors.Join(err, e)
		fmt.Fprintf(w, " can be restored: message %d\n", g.Message.ID)
	}
	return err
}

// writeStore makes a store with something of everything.
func writeStore(t *testing.T, path string) {
	c := Config{Data: filepath.Join(t.TempDir(), "data"), Hostname: "mx.example.test"}
	r := rooms1(t, c)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	address := func(s string) mail.Address { a, err := mail.ParseAddress(s); must(err); return a }
	must(r.directory.AddDomain(ctx, "example.test"))
	must(r.addAccount(ctx, NewAccount{Address: address("alice@example.test"), Password: "secret"}))
	must(r.addAccount(ctx, NewAccount{Address: address("bob@example.test"), Password: "secret"}))
	must(r.directory.AddAlias(ctx, address("team@example.test"), []mail.Address{address("alice@example.test"), address("bob@example.test")}))
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for i, text := range []string{"a short one\r\n", strings.Repeat("A long one that has a file of its own.\r\n", 500), "one to be expunged\r\n"} {
		h, err := r.blobs.Put(ctx, fmt.Appendf(nil, "From: carol@far.example\r\nMessage-ID: <%d@far.example>\r\nSubject: letter %d\r\n\r\n%s", i, i, text))
		must(err)
		a := &mail.Arrival{ID: mail.NewArrivalID(), At: at, Peer: mail.Peer{Addr: netip.MustParseAddrPort("192.0.2.7:4321"), Helo: "far.example"}, Envelope: mail.Envelope{From: address("carol@far.example")}}
		for _, to := range []string{"team@example.test", "dave@elsewhere.example"}[:1+i%2] {
			a.Envelope.To = append(a.Envelope.To, mail.Recipient{Address: address(to)})
		}
		_, err = r.deliver.Deliver(ctx, a, h)
		must(err)
	}
	accounts, err := r.directory.Accounts(ctx)
	must(err)
	id := accounts[0].ID
	var inbox mailbox.Box
	must(r.mailbox.Update(ctx, id, id, func(tx *mailbox.Tx) error {
		if _, err := tx.CreateBox("Archive/日本", ""); err != nil {
			return err
		}
		inbox, err = tx.BoxByName("INBOX")
		return err
	}))
	_, _, err = r.mailbox.SetFlags(ctx, id, id, inbox.ID, []mailbox.UID{1, 2}, mailbox.FlagChange{Op: mailbox.FlagsAdd, Flags: mail.FlagSeen, Keywords: []string{"$Forwarded"}}, 0)
	must(err)
	for more := true; more; {
		more, err = r.indexAll(ctx)
		must(err)
	}
	_, err = r.mailbox.Expunge(ctx, id, id, inbox.ID, []mailbox.UID{3}, true)
	must(err)
	var out bytes.Buffer
	must(tellStore(t, r, &out))
	must(r.close())
	must(os.WriteFile(path+".txt", out.Bytes(), 0o644))
	packStore(t, path+".tar.zst", c.Data)
}

func packStore(t *testing.T, path, data string) {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err == nil {
		w := tar.NewWriter(z)
		err = errors.Join(w.AddFS(os.DirFS(data)), w.Close(), z.Close())
	}
	if err := errors.Join(err, os.WriteFile(path, b.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func unpackStore(t *testing.T, path, data string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files := tar.NewReader(z)
	for h, err := files.Next(); err != io.EOF; h, err = files.Next() {
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(data, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(name, 0o700)
		} else if err = os.MkdirAll(filepath.Dir(name), 0o700); err == nil {
			var b []byte
			if b, err = io.ReadAll(files); err == nil {
				err = os.WriteFile(name, b, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
