package certs

import (
	"crypto/tls"
	"fmt"
	"os"
)

// file is a pair in files, and what was last loaded from them.
type file struct {
	Files
	from string // how it is called in events
	own  bool

	pair *tls.Certificate
	seen [2]stamp // of the files that were last looked at, good or bad
}

// stamp tells a file from the one that lay there before.
type stamp struct {
	size int64
	time int64 // of its last change, in nanoseconds
}

// load takes up the pair if it is another one than before; force looks even if
// nothing seems to have changed. An error leaves f as it was, and is not given
// a second time for the same files.
func (f *file) load(force bool) (changed bool, err error) {
	now, err := f.stamps()
	if !force && now == f.seen {
		return false, nil
	}
	f.seen = now
	if err != nil {
		return false, err
	}
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return false, fmt.Errorf("%s with %s: %w", f.Cert, f.Key, err)
	}
	if len(Names(pair.Leaf)) == 0 {
		return false, fmt.Errorf("%s: %w", f.Cert, errNoNames)
	}
	changed = f.pair != nil && !f.pair.Leaf.Equal(pair.Leaf)
	f.pair = &pair
	return changed, nil
}

// stamps looks at both files. Whoever replaces them one after the other is
// looked at again as soon as the second one is there.
func (f *file) stamps() (s [2]stamp, err error) {
	for i, path := range []string{f.Cert, f.Key} {
		info, e := os.Stat(path)
		if e != nil {
			err = e
			continue
		}
		s[i] = stamp{info.Size(), info.ModTime().UnixNano()}
	}
	return s, err
}
