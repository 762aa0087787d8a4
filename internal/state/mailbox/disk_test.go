package mailbox

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv/pebblekv"
)

// TestModelOnDisk is the same on Pebble, with a reopening now and then.
func TestModelOnDisk(t *testing.T) {
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		if runs++; runs > 4 {
			return
		}
		dir := t.TempDir()
		m := &model{}
		open := func() (*pebblekv.DB, *blob.Store) {
			db, err := pebblekv.Open(dir, pebblekv.Options{Reserve: -1})
			if err != nil {
				rt.Fatal(err)
			}
			blobs, err := blob.Open(blob.Options{DB: db, Dir: dir + "/blobs"})
			if err != nil {
				rt.Fatal(err)
			}
			return db, blobs
		}
		db, blobs := open()
		m = newModel(rt, &bench{rt, db, blobs, New(Options{DB: db, Blobs: blobs})})
		actions := m.actions()
		actions["reopen"] = func(*rapid.T) {
			m.must(errors.Join(blobs.Close(), db.Close()))
			db, blobs = open()
			m.bench = &bench{rt, db, blobs, New(Options{DB: db, Blobs: blobs})}
		}
		rt.Repeat(actions)
		m.must(errors.Join(blobs.Close(), db.Close()))
	})
}
