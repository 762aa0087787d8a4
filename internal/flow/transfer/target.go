package transfer

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/wire/maildir"
	"github.com/ekiden-mail/ekiden/internal/wire/mbox"
)

// Exported is what was written.
type Exported struct {
	Messages  int64
	Octets    int64 // as the account counts them
	Mailboxes int
	Problems
}

// target is what a parcel is unpacked into.
type target interface {
	box(it Item) error
	message(it Item) error // in the mailbox that came last
	end() error
}

// unpack carries a parcel into t. A mailbox that cannot be made, and a message
// that cannot be written, are listed; what ends all is that the disk is full.
func unpack(ctx context.Context, parcel io.Reader, t target) (x Exported, err error) {
	u := newUnpacker(parcel)
	broken := false
	for err == nil {
		if err = ctx.Err(); err != nil {
			break
		}
		it, next := u.next()
		if errors.Is(next, io.EOF) {
			break
		} else if next != nil {
			err = next
			break
		}
		switch {
		case it.Box:
			failed := t.box(it)
			if broken = failed != nil; broken {
				x.fail(it.Mailbox, failed)
			} else {
				x.Mailboxes++
			}
		case it.Lost != "":
			x.Add(it.Where, it.Lost)
		case broken:
			x.Add(it.Where, "its mailbox could not be written")
		default:
			var lost *leftOut
			switch failed := t.message(it); {
			case errors.As(failed, &lost):
				x.Add(it.Where, lost.Error())
			case failed != nil:
				err = failed
				continue
			}
			x.Messages++
			x.Octets += it.Size
		}
	}
	return x, errors.Join(err, t.end())
}

// leftOut says that a message was written, but not all about it.
type leftOut struct{ what string }

// Error says what.
func (l *leftOut) Error() string { return l.what }

// emptyDir makes a directory, or finds that it is empty.
func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return os.MkdirAll(dir, 0o700)
	case err != nil:
		return err
	case len(entries) > 0:
		return fault.Newf(fault.Exists, "transfer", "%s is not empty", dir)
	}
	return nil
}

// UnpackMbox writes a parcel into mbox files in a new or empty directory: A.mbox
// for the mailbox A, A/B.mbox for one within it.
func UnpackMbox(ctx context.Context, parcel io.Reader, dir string) (Exported, error) {
	if err := emptyDir(dir); err != nil {
		return Exported{}, err
	}
	return unpack(ctx, parcel, &mboxes{dir: dir})
}

// UnpackMboxTo writes all of a parcel into one mbox file.
func UnpackMboxTo(ctx context.Context, parcel io.Reader, w io.Writer) (Exported, error) {
	return unpack(ctx, parcel, &mboxes{out: mbox.NewWriter(w)})
}

// mboxes is a directory of files, or one.
type mboxes struct {
	dir  string
	file *os.File
	out  *mbox.Writer
}

func (m *mboxes) box(it Item) error {
	if m.dir == "" {
		return nil
	}
	if err := m.end(); err != nil {
		return err
	}
	levels := strings.Split(it.Mailbox, "/")
	for i, l := range levels {
		levels[i] = fileName(l)
	}
	path := filepath.Join(m.dir, filepath.Join(levels...)) + ".mbox"
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		m.file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err == nil {
		m.out = mbox.NewWriter(m.file)
	}
	return err
}

// fileName writes a level of a mailbox's name so that it names a file, is not
// hidden, and is not taken for one of those beside it.
func fileName(level string) string {
	level = strings.ReplaceAll(strings.ReplaceAll(level, "%25", "%2525"), "%2E", "%252E")
	if level[0] == '.' {
		level = "%2E" + level[1:]
	}
	if i := strings.LastIndexByte(level, '.'); i >= 0 && (beside(level) || level[i:] == ".mbox" || level[i:] == ".sbd") {
		level = level[:i] + "%2E" + level[i+1:]
	}
	return level
}

func (m *mboxes) message(it Item) error {
	if m.out == nil {
		if err := m.box(it); err != nil {
			return err
		}
	}
	return m.out.Add(mbox.Facts{Date: it.Received, Flags: it.Flags, Keywords: it.Keywords}, it.Content)
}

func (m *mboxes) end() error {
	if m.out == nil {
		return nil
	}
	err := m.out.Flush()
	if m.file != nil {
		err = errors.Join(err, m.file.Sync(), m.file.Close())
		m.file, m.out = nil, nil
	}
	return err
}

// UnpackMaildir writes a parcel into a Maildir++ in a new or empty directory,
// with the small files that keep Dovecot's keywords and UIDs.
func UnpackMaildir(ctx context.Context, parcel io.Reader, dir string) (Exported, error) {
	if err := emptyDir(dir); err != nil {
		return Exported{}, err
	}
	m := &maildirs{dir: dir}
	if err := m.make(dir); err != nil {
		return Exported{}, err
	}
	return unpack(ctx, parcel, m)
}

// maildirs is a Maildir with its folders.
type maildirs struct {
	dir    string
	folder string // the one being written; "" is none
	words  maildir.Keywords
	uids   strings.Builder
	n      int64 // messages written
}

// make makes a Maildir.
func (m *maildirs) make(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	return nil
}

func (m *maildirs) box(it Item) error {
	if err := m.end(); err != nil {
		return err
	}
	folder := m.dir
	if it.Mailbox != "INBOX" {
		folder = filepath.Join(m.dir, maildir.Folder(it.Mailbox))
		if err := m.make(folder); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, "maildirfolder"), nil, 0o600); err != nil {
			return err
		}
	}
	m.folder, m.words = folder, maildir.Keywords{}
	m.uids.Reset()
	if it.UIDValidity > 0 {
		guid := make([]byte, 16)
		_, _ = rand.Read(guid)
		fmt.Fprintf(&m.uids, "3 V%d N%d G%s\n", it.UIDValidity, max(it.UIDNext, 1), hex.EncodeToString(guid))
	}
	return nil
}

func (m *maildirs) message(it Item) error {
	if m.folder == "" {
		if err := m.box(it); err != nil {
			return err
		}
	}
	m.n++
	unique := fmt.Sprintf("%d.M%dU%d.ekiden", it.Received.Unix(), m.n, it.UID)
	tmp := filepath.Join(m.folder, "tmp", unique)
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	out := &lf{w: bufio.NewWriterSize(f, 64<<10)}
	_, err = io.Copy(out, it.Content)
	if err = errors.Join(err, out.close(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	if err := os.Chtimes(tmp, it.Received, it.Received); err != nil {
		return err
	}
	// Dovecot wants S= to be the size of the file; W= is that with CRLF.
	name := fmt.Sprintf("%s,S=%d,W=%d", unique, out.n, it.Size)
	info, left := maildir.Info(it.Flags, it.Keywords, &m.words)
	if err := os.Rename(tmp, filepath.Join(m.folder, "cur", name+":2,"+info)); err != nil {
		return err
	}
	if it.UID > 0 && m.uids.Len() > 0 {
		fmt.Fprintf(&m.uids, "%d :%s\n", it.UID, name)
	}
	if len(left) > 0 {
		return &leftOut{"was written without " + strings.Join(left, " ") + ": a Maildir holds 26 keywords"}
	}
	return nil
}

// end writes the small files of the folder.
func (m *maildirs) end() error {
	if m.folder == "" {
		return nil
	}
	folder := m.folder
	m.folder = ""
	if m.uids.Len() > 0 {
		if err := os.WriteFile(filepath.Join(folder, maildir.UIDListFile), []byte(m.uids.String()), 0o600); err != nil {
			return err
		}
	}
	if m.words == (maildir.Keywords{}) {
		return nil
	}
	return os.WriteFile(filepath.Join(folder, maildir.KeywordsFile), []byte(m.words.String()), 0o600)
}
