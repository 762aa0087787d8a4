package transfer

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/maildir"
	"github.com/ekiden-mail/ekiden/internal/wire/mbox"
)

// source packs what is on disk.
type source struct {
	Problems
	ctx   context.Context
	out   *packer
	spool spool
	under string // the mailbox that all go under; "" is none
}

// run packs by walk, and ends the parcel.
func run(ctx context.Context, w io.Writer, under string, walk func(*source) error) (Problems, error) {
	s := &source{ctx: ctx, out: newPacker(w), under: strings.Trim(under, "/")}
	defer s.spool.close()
	err := walk(s)
	if err == nil {
		err = s.out.close()
	}
	return s.Problems, err
}

// named is a mailbox's name below the one that all go under.
func (s *source) named(name string) string {
	switch {
	case s.under == "":
		return name
	case name == "INBOX" || name == "":
		return s.under
	}
	return s.under + "/" + name
}

// put packs one message. What cannot be read is listed; an error is the
// parcel's.
func (s *source) put(it Item, r io.Reader) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if err := s.spool.fill(newCRLF(r)); err != nil {
		s.fail(it.Where, err)
		return nil
	}
	it.Size, it.Content = s.spool.size, s.spool.reader()
	return s.out.put(it)
}

// PackMbox packs an mbox file ("-" is standard input) into a mailbox, INBOX
// where none is named, or a directory of mbox files, each into the mailbox of
// its name, under the one named. It gives what could not be read; the error is another one, mostly the
// parcel's.
func PackMbox(ctx context.Context, w io.Writer, path, box string, d mbox.Dialect) (Problems, error) {
	return run(ctx, w, box, func(s *source) error {
		if path == "-" {
			return s.mboxFile(path, "INBOX", d)
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.IsDir() {
			return s.mboxDir(path, "", d, 0)
		}
		return s.mboxFile(path, "INBOX", d)
	})
}

// maxLevels is how deep directories are followed.
const maxLevels = 30

// mboxDir packs the files of a directory, as Ekiden (A.mbox, A/B.mbox) and
// Thunderbird (A, A.sbd/B) lay them out.
func (s *source) mboxDir(dir, name string, d mbox.Dialect, depth int) error {
	entries, err := os.ReadDir(dir)
	if err != nil || depth > maxLevels {
		s.fail(dir, orDeep(err))
		return nil
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path)
		if err != nil {
			s.fail(path, err)
			continue
		}
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		below := func(suffix string) string {
			return strings.TrimPrefix(name+"/"+maildir.Level(strings.TrimSuffix(e.Name(), suffix)), "/")
		}
		switch {
		case info.IsDir():
			err = s.mboxDir(path, below(".sbd"), d, depth+1)
		case !info.Mode().IsRegular() || beside(e.Name()):
		case info.Size() > 0 && !beginsAsMbox(path):
			s.Add(path, "is no mbox file")
		default:
			err = s.mboxFile(path, below(".mbox"), d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// beside says whether a file is one that programs keep beside mbox files.
func beside(name string) bool {
	switch filepath.Ext(name) {
	case ".msf", ".dat", ".html", ".log", ".json", ".sqlite", ".lock", ".db":
		return true
	}
	return false
}

func beginsAsMbox(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true // which will be found and listed
	}
	defer f.Close()
	b := make([]byte, 64)
	n, _ := io.ReadFull(f, b)
	return strings.HasPrefix(strings.TrimLeft(string(b[:n]), "\r\n"), "From ")
}

// mboxFile packs one file.
func (s *source) mboxFile(path, name string, d mbox.Dialect) error {
	f, size, err := openWhole(path)
	if err != nil {
		s.fail(path, err)
		return nil
	}
	defer f.Close()
	box := s.named(name)
	if err := s.out.put(Item{Mailbox: box, Box: true, Where: path}); err != nil {
		return err
	}
	for r := mbox.NewReader(f, size, d); ; {
		m, err := r.Next()
		if end, ok := s.ended(path, err); end {
			return nil
		} else if !ok {
			continue
		}
		where := path + ", octet " + itoa(m.Offset)
		it := Item{Mailbox: box, Flags: m.Flags, Keywords: m.Keywords, Received: m.Date, Where: where}
		if err := s.put(it, m.Open()); err != nil {
			return err
		}
	}
}

// openWhole opens a file that can be read anywhere; of what cannot, such as a
// pipe, a copy is made first.
func openWhole(path string) (*os.File, int64, error) {
	f := os.Stdin
	if path != "-" {
		var err error
		if f, err = os.Open(path); err != nil {
			return nil, 0, err
		}
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if info.Mode().IsRegular() {
		return f, info.Size(), nil
	}
	defer f.Close()
	t, err := os.CreateTemp("", "ekiden-")
	if err != nil {
		return nil, 0, err
	}
	_ = os.Remove(t.Name())
	n, err := io.Copy(t, f)
	if err != nil {
		_ = t.Close()
		return nil, 0, err
	}
	return t, n, nil
}
