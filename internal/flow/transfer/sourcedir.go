package transfer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/ekiden-mail/ekiden/internal/wire/maildir"
	"github.com/ekiden-mail/ekiden/internal/wire/mbox"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

var errDeep = errors.New("too many levels of directories")

func orDeep(err error) error {
	if err == nil {
		return errDeep
	}
	return err
}

// ended deals with what reading an mbox file gave: end says that it is over, ok
// that there is a message.
func (s *source) ended(path string, err error) (end, ok bool) {
	var junk *mbox.Junk
	switch {
	case err == nil:
		return false, true
	case errors.Is(err, io.EOF):
		return true, false
	case errors.As(err, &junk):
		s.fail(path, err)
		return false, false
	}
	s.fail(path, err)
	return true, false
}

// PackMaildir packs a Maildir with its folders: those of Maildir++ (.A.B), and
// Maildirs in directories within it (A/B, Dovecot's layout "fs"). All go under
// the mailbox named, if one is. It gives what could not be read.
func PackMaildir(ctx context.Context, w io.Writer, dir, under string) (Problems, error) {
	return run(ctx, w, under, func(s *source) error {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "cur" || e.Name() == "new" || couldBeFolder(e) }) {
			return errors.New(dir + " is no Maildir: it holds neither cur nor a directory with one")
		}
		return s.tree(dir, "", 0)
	})
}

func couldBeFolder(e fs.DirEntry) bool { return e.IsDir() || e.Type()&fs.ModeSymlink != 0 }

// tree packs a directory, if it is a Maildir, and those in it.
func (s *source) tree(dir, name string, depth int) error {
	entries, err := os.ReadDir(dir)
	if err != nil || depth > maxLevels {
		s.fail(dir, orDeep(err))
		return nil
	}
	var folders []string
	is := false
	for _, e := range entries {
		switch n := e.Name(); {
		case n == "cur" || n == "new":
			is = true
		case n != "tmp" && couldBeFolder(e):
			folders = append(folders, n)
		}
	}
	if is {
		box := name
		if box == "" {
			box = "INBOX"
		}
		if err := s.folder(dir, s.named(box)); err != nil {
			return err
		}
	}
	for _, f := range folders {
		path := filepath.Join(dir, f)
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			continue
		}
		below, ok := maildir.FolderName(f)
		if !ok {
			below = maildir.Level(strings.TrimLeft(f, "."))
		}
		if below == "" || f[0] == '.' && !isMaildir(path) {
			continue // a program's own
		}
		if err := s.tree(path, strings.TrimPrefix(name+"/"+below, "/"), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func isMaildir(dir string) bool {
	for _, sub := range []string{"cur", "new"} {
		if info, err := os.Stat(filepath.Join(dir, sub)); err == nil && info.IsDir() {
			return true
		}
	}
	return false
}

// folder packs one Maildir.
func (s *source) folder(dir, box string) error {
	uids := readBeside(s, filepath.Join(dir, maildir.UIDListFile), maildir.ReadUIDs)
	words := readBeside(s, filepath.Join(dir, maildir.KeywordsFile), maildir.ReadKeywords)
	if err := s.out.put(Item{Mailbox: box, Box: true, UIDValidity: uids.Validity, UIDNext: uids.Next, Where: dir}); err != nil {
		return err
	}
	sub := map[string]string{}
	var files []string
	for _, d := range []string{"cur", "new"} {
		names, err := namesIn(filepath.Join(dir, d))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.fail(filepath.Join(dir, d), err)
		}
		for _, n := range names {
			if _, twice := sub[n]; !twice && n[0] != '.' {
				sub[n] = d
				files = append(files, n)
			}
		}
	}
	uids.Order(files)
	for _, name := range files {
		if err := s.file(dir, sub[name], name, box, words, uids); err != nil {
			return err
		}
	}
	return nil
}

// readBeside reads a small file; one that is not there is empty.
func readBeside[T any](s *source, path string, read func(io.Reader) (T, error)) (v T) {
	f, err := os.Open(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.fail(path, err)
		}
		v, _ = read(strings.NewReader(""))
		return v
	}
	defer f.Close()
	v, err = read(f)
	if err != nil {
		s.fail(path, err)
	}
	return v
}

func namesIn(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

// file packs one message.
func (s *source) file(dir, sub, name, box string, words maildir.Keywords, uids maildir.UIDs) error {
	path := filepath.Join(dir, sub, name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) { // it was given other flags meanwhile, or removed
		if path, name = moved(dir, name); path == "" {
			return nil
		}
		f, err = os.Open(path)
	}
	if err != nil {
		s.fail(path, err)
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		if err != nil || !info.IsDir() {
			s.Add(path, "is no file")
		}
		return nil
	}
	n := maildir.ParseName(name)
	it := Item{Mailbox: box, Received: info.ModTime().Truncate(time.Second), Where: path, UIDL: uids.UIDL(n.Unique)}
	if t := n.Time(); it.Received.Unix() <= 0 || it.Received.After(time.Now().Add(24*time.Hour)) {
		it.Received = t
	}
	it.Flags, it.Keywords = n.Flags(words)
	content, err := plain(f)
	if err != nil {
		s.fail(path, err)
		return nil
	}
	return s.put(it, content)
}

// moved finds a message under its new name.
func moved(dir, name string) (path, now string) {
	unique := maildir.ParseName(name).Unique
	names, _ := namesIn(filepath.Join(dir, "cur"))
	for _, n := range names {
		if maildir.ParseName(n).Unique == unique {
			return filepath.Join(dir, "cur", n), n
		}
	}
	return "", ""
}

// plain unpacks what Dovecot may have packed.
func plain(f io.Reader) (io.Reader, error) {
	r := bufio.NewReader(f)
	switch head, _ := r.Peek(4); {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return gzip.NewReader(r)
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return r, nil
}
