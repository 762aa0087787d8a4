package transfer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/mbox"
)

// store is an empty one in memory.
func store(t testing.TB) *mailbox.Store {
	t.Helper()
	db := memkv.New(memkv.Options{})
	blobs, err := blob.Open(blob.Options{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(blobs.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return mailbox.New(mailbox.Options{DB: db, Blobs: blobs})
}

// list shows an account: a line for each message, without mailboxes that are empty.
func list(t testing.TB, s *mailbox.Store, a mail.AccountID) (lines []string) {
	t.Helper()
	ctx := context.Background()
	boxes, err := Mailboxes(ctx, s, a, "", false)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range boxes {
		page, err := (&exporter{store: s, account: a}).page(ctx, b.ID, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page {
			c, err := s.OpenMessage(ctx, a, m.message)
			if err != nil {
				t.Fatal(err)
			}
			var content strings.Builder
			if _, err := c.WriteTo(&content); err != nil {
				t.Fatal(err)
			}
			c.Close()
			_, body, _ := strings.Cut(content.String(), "\r\n\r\n")
			lines = append(lines, fmt.Sprintf("%s %s %v %v %q", b.Name, m.Received.UTC().Format(time.DateTime), m.Flags.Names(), m.Keywords, body))
		}
	}
	return lines
}

// carry packs and imports.
func carry(t testing.TB, s *mailbox.Store, a mail.AccountID, pack func(io.Writer) (Problems, error)) (Imported, Problems) {
	t.Helper()
	var parcel bytes.Buffer
	read, err := pack(&parcel)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Import(context.Background(), Options{Mailbox: s, Account: a}, &parcel)
	if err != nil {
		t.Fatal(err)
	}
	return got, read
}

// fixture unpacks the Maildir++ that Dovecot wrote.
func fixture(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open("testdata/dovecot.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		} else if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Clean(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o700)
		} else {
			b, _ := io.ReadAll(r)
			err = errors.Join(os.WriteFile(path, b, 0o600), os.Chtimes(path, h.ModTime, h.ModTime))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// dovecots is what Dovecot says about the fixture.
var dovecots = []string{
	`INBOX 2021-02-05 10:11:12 [\Seen \Answered] [] "From here it goes on\r\n"`,
	`INBOX 2021-02-06 10:11:12 [\Flagged] [$Label1 NonJunk] "two\r\n"`,
	`INBOX 2021-02-07 10:11:12 [] [] "late\r\n"`,
	`INBOX 2021-02-01 10:11:12 [\Deleted \Draft] [$Forwarded] "three\r\n"`,
	`R&D 2021-02-03 10:11:12 [] [] "rd\r\n"`,
	`Work/Reports 2021-02-04 10:11:12 [] [] "r\r\n"`,
	`旅行/京都 2021-02-02 10:11:12 [\Seen] [NonJunk] "京都\r\n"`,
}

// export gives what an account holds as a parcel.
func export(t testing.TB, s *mailbox.Store, a mail.AccountID) *bytes.Buffer {
	t.Helper()
	boxes, err := Mailboxes(context.Background(), s, a, "", false)
	if err != nil {
		t.Fatal(err)
	}
	var parcel bytes.Buffer
	if err := Export(context.Background(), s, a, boxes, &parcel); err != nil {
		t.Fatal(err)
	}
	return &parcel
}

// TestDovecot takes Dovecot's Maildir in, twice, and carries it on in each form.
func TestDovecot(t *testing.T) {
	ctx, s, dir := context.Background(), store(t), fixture(t)
	pack := func(w io.Writer) (Problems, error) { return PackMaildir(ctx, w, dir, "") }
	got, read := carry(t, s, 1, pack)
	if got.Messages != 7 || got.Count+read.Count != 0 || got.Mailboxes != 6 {
		t.Errorf("%+v %+v", got, read)
	}
	compare(t, "from Dovecot", list(t, s, 1), dovecots)
	if got, _ = carry(t, s, 1, pack); got.Repeated != 7 || got.Messages != 0 || got.Mailboxes != 0 {
		t.Errorf("again: %+v", got)
	}
	to := t.TempDir()
	if x, err := UnpackMaildir(ctx, export(t, s, 1), filepath.Join(to, "maildir")); err != nil || x.Messages != 7 || x.Count != 0 {
		t.Fatalf("%+v, %v", x, err)
	}
	if x, err := UnpackMbox(ctx, export(t, s, 1), filepath.Join(to, "mbox")); err != nil || x.Messages != 7 || x.Count != 0 {
		t.Fatalf("%+v, %v", x, err)
	}
	if _, err := UnpackMbox(ctx, export(t, s, 1), to); !fault.Is(err, fault.Exists) {
		t.Error("a directory that is not empty is written to:", err)
	}
	carry(t, s, 2, func(w io.Writer) (Problems, error) { return PackMaildir(ctx, w, filepath.Join(to, "maildir"), "") })
	compare(t, "by Maildir", list(t, s, 2), dovecots)
	carry(t, s, 3, func(w io.Writer) (Problems, error) { return PackMbox(ctx, w, filepath.Join(to, "mbox"), "", mbox.Auto) })
	compare(t, "by mbox", list(t, s, 3), dovecots)
	got, err := Import(ctx, Options{Mailbox: s, Account: 4}, export(t, s, 1))
	if err != nil || got.Count != 0 {
		t.Error(got, err)
	}
	compare(t, "by parcel", list(t, s, 4), dovecots)
	carry(t, s, 5, func(w io.Writer) (Problems, error) { return PackMaildir(ctx, w, dir, "old/mail") })
	if l := list(t, s, 5); len(l) != 7 || !strings.HasPrefix(l[0], "old/mail 2021") || !strings.HasPrefix(l[6], "old/mail/旅行/京都 2021") {
		t.Error(l)
	}
	python(t, to)
}

func compare(t *testing.T, how string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", how, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// python reads what was written with Python's mailbox module.
func python(t *testing.T, dir string) {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Log("python3 is missing: nobody else reads what was written")
		return
	}
	out, err := exec.Command(path, "-c", `
import mailbox, json, sys
m = mailbox.Maildir(sys.argv[1] + "/maildir", create=False)
b = mailbox.mbox(sys.argv[1] + "/mbox/INBOX.mbox", create=False)
print(json.dumps({
  "folders": sorted(m.list_folders()),
  "maildir": sorted([x["Subject"], x.get_flags(), int(x.get_date()), x.get_payload()] for x in m),
  "mbox": [[x["Subject"], x.get_flags(), 0, x.get_payload()] for x in b],
}))`, dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"folders": ["&ZcWITA-", "&ZcWITA-.&TqyQ,Q-", "Archive", "Drafts", "Empty", "Junk", "R&-D", "Sent", "Trash", "Work", "Work.Reports"], ` +
		`"maildir": [["first", "RS", 1612519872, "From here it goes on\n"], ["late", "", 1612692672, "late\n"], ["second", "Fab", 1612606272, "two\n"], ["third", "DPTc", 1612174272, "three\n"]], ` +
		`"mbox": [["first", "ROA", 0, ">From here it goes on\n"], ["second", "OF", 0, "two\n"], ["late", "O", 0, "late\n"], ["third", "ODT", 0, "three\n"]]}`
	var a, b any
	if errors.Join(json.Unmarshal(out, &a), json.Unmarshal([]byte(want), &b)) != nil || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("python3 reads\n%s\nwant\n%s", out, want)
	}
}

// TestUIDLs keeps what POP3 clients know messages by: what Dovecot's list has or
// would make, and else what stands in the header, but none of it twice.
func TestUIDLs(t *testing.T) {
	s, dir := store(t), t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("dovecot-uidlist", "3 V1795513023 N6\n1 Pkept :1.a\n2 :2.b\n")
	write("cur/1.a:2,S", "X-UIDL: not this\n\n1\n")
	write("cur/2.b:2,S", "A: b\n\n2\n")
	write("cur/3.c:2,S", "X-UIDL:  header \n\n3\n")
	write("cur/4.d:2,S", "X-UIDL: header\n\n4\n")
	write("cur/5.e:2,S", "A: b\n\n5\n")
	carry(t, s, 1, func(w io.Writer) (Problems, error) { return PackMaildir(context.Background(), w, dir, "") })
	var got []string
	err := s.View(context.Background(), 1, func(tx *mailbox.Tx) error {
		box, err := tx.BoxByName("INBOX")
		got = nil
		for u, err := range tx.UIDLs(box.ID, 1, box.UIDNext) {
			if err != nil {
				return err
			}
			got = append(got, fmt.Sprint(u.UID, " ", u.Text))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "unique-ids", got, []string{"1 kept", "2 000000026b055abf", "3 header"})
}

// TestBroken is about input that is not as it should be: all else comes in.
func TestBroken(t *testing.T) {
	ctx, s, dir := context.Background(), store(t), t.TempDir()
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("cur/1.a:2,S", "A: b\n\nLF\r\nCRLF\r\r\nboth\x00\n")
	write("cur/2.b:2,", "")
	write("cur/.hidden", "x")
	write("cur/3.c:2,ab", "A: b\n\nwords\n")
	write("cur/4.z:2,", zipped(t, "A: b\n\nzipped\n"))
	write("cur/5.z:2,", zipped(t, "A: b\n\nzipped\n")[:20])
	write("dovecot-keywords", "0 good\n1 b(d\n")
	write("new/6.n", "no header")
	write(".Bad\x01name/cur/1.x", "A: b\n\nx\n")
	write("fs/within/new/1.x", "A: b\n\ny\n")
	write(".program/file", "x")
	if err := errors.Join(os.Symlink("nowhere", filepath.Join(dir, "cur", "7.l")), os.Mkdir(filepath.Join(dir, "cur", "8.d"), 0o700)); err != nil {
		t.Fatal(err)
	}
	got, read := carry(t, s, 1, func(w io.Writer) (Problems, error) { return PackMaildir(ctx, w, dir, "") })
	var bodies []string
	for _, l := range list(t, s, 1) {
		box, _, _ := strings.Cut(l, " ")
		bodies = append(bodies, box+l[strings.LastIndex(l, ` "`):])
	}
	compare(t, "what came in", bodies, []string{
		`INBOX "LF\r\nCRLF\r\nboth\x80\r\n"`, `INBOX "words\r\n"`, `INBOX "zipped\r\n"`, `INBOX ""`, `Bad_name "x\r\n"`, `fs/within "y\r\n"`,
	})
	var problems []string
	for _, p := range append(read.Listed, got.Listed...) {
		problems = append(problems, filepath.Base(p.Where)+": "+p.What)
	}
	compare(t, "what did not", problems, []string{
		"5.z:2,: unexpected EOF", "7.l: no such file or directory", "2.b:2,: the message is empty",
		"3.c:2,ab: came in without 1 of its keywords, which cannot be kept", ".Bad\x01name: the mailbox is called \"Bad_name\" here",
	})
}

func zipped(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestAlike keeps messages that are alike apart, whatever stands between them.
func TestAlike(t *testing.T) {
	ctx, s := context.Background(), store(t)
	parcel := func(n int) io.Reader {
		var b bytes.Buffer
		p := newPacker(&b)
		for i := range n {
			for _, box := range []string{"INBOX", "Other"} {
				if err := p.put(Item{Mailbox: box, Size: 7, Content: strings.NewReader("A: b\r\n\n"), Where: fmt.Sprint(i)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := p.close(); err != nil {
			t.Fatal(err)
		}
		return &b
	}
	for i, c := range []struct {
		n             int
		anew          bool
		messages, had int64
	}{{2, false, 4, 0}, {3, false, 2, 4}, {3, true, 6, 0}, {100, false, 194, 6}} {
		got, err := Import(ctx, Options{Mailbox: s, Account: 1, Anew: c.anew}, parcel(c.n))
		if err != nil || got.Messages != c.messages || got.Repeated != c.had {
			t.Errorf("%d: %+v, %v", i, got, err)
		}
	}
}

// TestQuota stops where the account is full, and goes on when it is not.
func TestQuota(t *testing.T) {
	ctx, s := context.Background(), store(t)
	parcel := func() io.Reader {
		var b bytes.Buffer
		p := newPacker(&b)
		for i := range 10 {
			m := fmt.Sprintf("A: %d\r\n\r\n%094d", i, i)
			if err := p.put(Item{Mailbox: "INBOX", Size: int64(len(m)), Content: strings.NewReader(m)}); err != nil {
				t.Fatal(err)
			}
		}
		return &b
	}
	got, err := Import(ctx, Options{Mailbox: s, Account: 1, Quota: mailbox.Quota{Octets: 512}}, parcel())
	if !fault.Is(err, fault.OverQuota) || got.Messages != 5 {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = Import(ctx, Options{Mailbox: s, Account: 1, Quota: mailbox.Quota{Octets: 2000, Messages: 7}}, parcel())
	if !fault.Is(err, fault.OverQuota) || got.Messages != 2 || got.Repeated != 5 {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = Import(ctx, Options{Mailbox: s, Account: 1}, parcel())
	if err != nil || got.Messages != 3 || got.Repeated != 7 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestLarge streams a message larger than what is kept in memory, both ways.
func TestLarge(t *testing.T) {
	ctx, s, dir := context.Background(), store(t), t.TempDir()
	line := strings.Repeat("x", 75) + "\n"
	content := "Subject: large\n\n" + strings.Repeat(line, 3<<20/len(line)) + "From the end\n"
	file := filepath.Join(dir, "in")
	if err := os.WriteFile(file, []byte("From a Tue Jan  5 12:00:00 2021\n"+strings.ReplaceAll(content, "\nFrom", "\n>From")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, read := carry(t, s, 1, func(w io.Writer) (Problems, error) { return PackMbox(ctx, w, file, "", mbox.Auto) }); got.Messages != 1 || got.Count+read.Count > 0 {
		t.Fatal(got, read)
	}
	if _, err := UnpackMaildir(ctx, export(t, s, 1), filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "out/cur/*"))
	if len(files) != 1 {
		t.Fatal(files)
	}
	if b, err := os.ReadFile(files[0]); err != nil || string(b) != content {
		t.Errorf("%d octets became %d, %v", len(content), len(b), err)
	}
	if !strings.Contains(files[0], fmt.Sprintf(",S=%d,W=%d:", len(content), len(content)+strings.Count(content, "\n"))) {
		t.Error(files[0])
	}
}

// FuzzImport takes any octets for a parcel.
func FuzzImport(f *testing.F) {
	var b bytes.Buffer
	p := newPacker(&b)
	if err := errors.Join(p.put(Item{Mailbox: "A/B", Box: true}), p.put(Item{Mailbox: "A/B", Size: 5, Content: strings.NewReader("A: b\n"), Keywords: []string{"k"}, Flags: mail.FlagSeen}), p.close()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("rubbish"))
	f.Fuzz(func(t *testing.T, parcel []byte) {
		s := store(t)
		got, err := Import(context.Background(), Options{Mailbox: s, Account: 1}, bytes.NewReader(parcel))
		if k := fault.KindOf(err); err != nil && k != fault.Invalid && k != fault.Internal {
			t.Error(err)
		}
		if err := s.View(context.Background(), 1, func(tx *mailbox.Tx) error {
			u, err := tx.Usage()
			if u.Messages != got.Messages {
				t.Errorf("%d messages of %d", u.Messages, got.Messages)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	})
}

// FuzzLines has every line end in CRLF, and written for files again in LF.
func FuzzLines(f *testing.F) {
	f.Add("a\nb\r\nc\r\r\nd\re\r")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := io.ReadAll(newCRLF(strings.NewReader(s)))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(s, "\n"); strings.Count(string(b), "\r\n") != n || strings.Count(string(b), "\n") != n || bytes.ContainsRune(b, 0) {
			t.Errorf("%q became %q", s, b)
		}
		again, err := io.ReadAll(newCRLF(bytes.NewReader(b)))
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%q became %q, and then %q: %v", s, b, again, err)
		}
	})
}
