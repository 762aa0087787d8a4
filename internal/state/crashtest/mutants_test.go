package crashtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/testkit/mutant"
)

// enough is how many cuts must be enough to find any one thing taken out.
const enough = 1000

// TestLyingDisk lets the disk drop one kind of sync. The test must find each,
// so each is needed and the histories come by.
func TestLyingDisk(t *testing.T) {
	for name, lie := range map[string]func(string) bool{
		"the log":            func(name string) bool { return strings.HasSuffix(name, ".log") },
		"tables":             func(name string) bool { return strings.HasSuffix(name, ".sst") },
		"manifests":          func(name string) bool { return strings.Contains(name, "/MANIFEST-") },
		"Pebble's directory": func(name string) bool { return strings.Trim(name, "/") == "store" },
		"segments":           func(name string) bool { return strings.HasSuffix(name, ".seg") },
		"spilled bodies":     func(name string) bool { return strings.Contains(name, "/spill-") },
		"segments' names":    func(name string) bool { return name == "blobs" },
	} {
		t.Run(name, func(t *testing.T) {
			found := 0
			search(1, enough, lie, func(_ uint64, cuts int, wrong []string) bool {
				found = cuts
				t.Logf("found after %d cuts: %s", cuts, wrong[0])
				return false
			})
			if found == 0 {
				t.Errorf("%d cuts did not find that syncs of %s do nothing", enough, name)
			}
		})
	}
}

func mutants() []mutant.Mutant {
	const (
		engine  = "internal/state/kv/pebblekv/pebblekv.go"
		reader  = "internal/state/kv/pebblekv/tx.go"
		segment = "internal/state/blob/segment.go"
	)
	return []mutant.Mutant{
		{Name: "commits are not synced", File: engine, Edits: []string{
			"db.pebble.ApplyNoSyncWait(batch, pebble.Sync)", "db.pebble.Apply(batch, pebble.NoSync)",
			"err = batch.SyncWait()", "err = nil"}},
		{Name: "a View does not wait", File: engine, Edits: []string{
			"if f := db.flights.at(s, r.Version(s)); f != nil {", "if f := db.flights.at(s, r.Version(s)); f != nil && false {"}},
		{Name: "an Update that wrote nothing does not wait", File: engine, Edits: []string{
			"range f.waitsFor {", "range f.waitsFor[:0] {"}},
		{Name: "a Backup does not wait", File: engine, Edits: []string{
			"range db.flights.all() {", "range db.flights.all()[:0] {"}},
		{Name: "watches are told before the sync", File: engine, Edits: []string{
			"\tif err == nil {\n\t\terr = batch.SyncWait()\n\t}\n",
			"\tfor _, s := range f.shards {\n\t\tdb.watchers.Tell(s.shard, s.version)\n\t}\n\tif err == nil {\n\t\terr = batch.SyncWait()\n\t}\n"}},
		{Name: "a Get of a row in no shard does not wait", File: reader, Edits: []string{
			"range r.flights.key(key) {", "range r.flights.key(key)[:0] {"}},
		{Name: "a Scan of rows in no shard does not wait", File: reader, Edits: []string{
			"range r.flights.span(q) {", "range r.flights.span(q)[:0] {"}},
		{Name: "records are not synced", File: segment, Edits: []string{
			"err = g.syncs.sync(g.f.Sync)", "err = nil"}},
		{Name: "a sync that has begun is shared", File: segment, Edits: []string{
			"\t\tg.mu.Lock()\n\t\tg.next = nil\n\t\tg.mu.Unlock()\n\t\tmine.err, mine.done = file(), true\n",
			"\t\tmine.err, mine.done = file(), true\n\t\tg.mu.Lock()\n\t\tg.next = nil\n\t\tg.mu.Unlock()\n"}},
		{Name: "the name of a new segment is not synced", File: segment, Edits: []string{
			"errors.Join(s.allocate(f), s.fs.Sync())", "s.allocate(f)"}},
		{Name: "a body that becomes a segment is not synced", File: segment, Edits: []string{
			"if err := f.Sync(); err != nil {", "if err := error(nil); err != nil {"}},
		{Name: "its name is not synced", File: segment, Edits: []string{
			"length: n}, s.fs.Sync()", "length: n}, nil"}},
		{Name: "names of an earlier run are not synced", File: segment, Edits: []string{
			"\t\terr = s.fs.Sync()\n", "\t\terr = nil\n"}},
	}
}

// TestMutants takes out one sync, or one wait of the durable bound, at a time,
// in a copy that only the compiler sees, and wants the crash test to find it.
func TestMutants(t *testing.T) {
	if os.Getenv("EKIDEN_LONG") == "" {
		t.Skip("needs no tool: it takes minutes, by make long")
	}
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants() {
		t.Run(m.Name, func(t *testing.T) {
			began := time.Now()
			out, err := m.Test(t, root, "internal/state/crashtest", "^TestCrashPoints$", "EKIDEN_LONG=", "EKIDEN_CRASH_POINTS="+strconv.Itoa(enough))
			var exit *exec.ExitError
			found := caught.FindSubmatch(out)
			switch {
			case err == nil:
				t.Errorf("%d cuts did not find it", enough)
			case !errors.As(err, &exit) || found == nil:
				t.Errorf("it did not run: %v\n%s", err, out)
			default:
				t.Logf("found after %s cuts, %v: %s", found[1], time.Since(began).Round(time.Second/10), found[2])
			}
		})
	}
}

var caught = regexp.MustCompile(`after (\d+) cuts; replay with: .*\n.*_test.go:\d+:\s+(.*)\n`)
