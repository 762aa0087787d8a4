package app

import (
	"errors"
	"os"
	"path/filepath"
)

// makeData makes the data directory and those above it that are missing, and
// makes their names safe: what is synced in a directory is lost with the name
// of the directory.
func makeData(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	var made []string
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil || d == filepath.Dir(d) {
			break
		}
		made = append(made, d)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, d := range made {
		if err := syncDir(filepath.Dir(d)); err != nil {
			return err
		}
	}
	if len(made) == 0 {
		// An earlier run may have been killed between the two. That the parent
		// cannot be opened is no reason not to serve.
		_ = syncDir(filepath.Dir(dir))
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
