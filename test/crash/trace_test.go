package crash

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// call is one system call that is of interest here, as strace tells of it.
type call struct {
	name, path string // path of its first argument
	data       []byte
	offset     int64 // of pwrite64, and of write where it is known
	flags      string
	begin, end int // lines of the trace; end is 0 if it never ended
	ok         bool
}

var (
	callLine    = regexp.MustCompile(`^(\d+) +(\w+)\((.*)$`)
	resumedLine = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)$`)
	fdArg       = regexp.MustCompile(`^(?:AT_FDCWD<[^>]*>|\d+<([^>]*)>)`)
	quoted      = regexp.MustCompile(`"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?`)
	resultOf    = regexp.MustCompile(`= (-?\d+)(?:<[^>]*>)?(?: .*)?$`)
	offsetOf    = regexp.MustCompile(`, (\d+) *\) *= \d+$`)
)

// readTrace reads what strace wrote, in the order in which it saw things. A
// thread that leaves a call is stopped until strace has said so: what another
// thread does because of it comes in a later line.
func readTrace(path string) ([]*call, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var calls []*call
	open := map[string]*call{} // by thread
	text := map[string]string{}
	for n, line := range strings.Split(string(b), "\n") {
		if m := resumedLine.FindStringSubmatch(line); m != nil {
			if c := open[m[1]]; c != nil && c.name == m[2] {
				if err := c.finish(text[m[1]]+m[3], n+1); err != nil {
					return nil, fmt.Errorf("line %d: %w", n+1, err)
				}
			}
			delete(open, m[1])
			continue
		}
		m := callLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		c := &call{name: m[2], begin: n + 1}
		calls = append(calls, c)
		if rest, cut := strings.CutSuffix(m[3], "<unfinished ...>"); cut {
			open[m[1]], text[m[1]] = c, rest
			if err := c.arguments(rest); err != nil {
				return nil, fmt.Errorf("line %d: %w", n+1, err)
			}
			continue
		}
		if err := c.finish(m[3], n+1); err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	return calls, nil
}

// arguments reads the path and the bytes.
func (c *call) arguments(s string) error {
	if m := fdArg.FindStringSubmatch(s); m != nil {
		c.path = unhex(m[1])
	}
	m := quoted.FindStringSubmatch(s)
	if m == nil {
		return nil
	}
	if m[2] != "" {
		return fmt.Errorf("%s: strace cut the bytes short", c.name)
	}
	data, err := hex.DecodeString(strings.ReplaceAll(m[1], `\x`, ""))
	if c.name == "openat" {
		c.path, c.flags = string(data), s
		return err
	}
	c.data = data
	return err
}

// unhex reads a path that may be written in \x.
func unhex(s string) string {
	if !strings.HasPrefix(s, `\x`) {
		return s
	}
	b, _ := hex.DecodeString(strings.ReplaceAll(s, `\x`, ""))
	return string(b)
}

func (c *call) finish(s string, line int) error {
	c.end = line
	if err := c.arguments(s); err != nil {
		return err
	}
	m := resultOf.FindStringSubmatch(s)
	if m == nil {
		return nil // the program ended in it
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	c.ok = n >= 0
	if c.name == "write" || c.name == "pwrite64" {
		c.data = c.data[:min(int(max(n, 0)), len(c.data))]
	}
	if m := offsetOf.FindStringSubmatch(s); m != nil && c.name == "pwrite64" {
		c.offset, err = strconv.ParseInt(m[1], 10, 64)
	}
	return err
}

// traced is a trace, sorted.
type traced struct {
	writes  map[string][]*call // by file
	syncs   map[string][]*call // of a file or directory
	created map[string]*call
	replies map[string]*call // a 250's write, by arrival id
}

var accepted = regexp.MustCompile(`250 2\.0\.0 accepted ([0-9a-f]{32})\r\n`)

func sortTrace(calls []*call) *traced {
	t := &traced{writes: map[string][]*call{}, syncs: map[string][]*call{}, created: map[string]*call{}, replies: map[string]*call{}}
	end := map[string]int64{}
	for _, c := range calls {
		switch {
		case c.name == "fdatasync" || c.name == "fsync":
			if c.ok {
				t.syncs[c.path] = append(t.syncs[c.path], c)
			}
		case c.name == "openat":
			if c.ok && strings.Contains(c.flags, "O_CREAT") {
				t.created[c.path] = c
			}
		case c.name == "write" || c.name == "pwrite64":
			if c.name == "write" {
				c.offset = end[c.path]
				end[c.path] += int64(len(c.data))
			}
			t.writes[c.path] = append(t.writes[c.path], c)
			if strings.HasPrefix(c.path, "/") {
				continue
			}
			for _, m := range accepted.FindAllSubmatch(c.data, -1) {
				t.replies[string(m[1])] = c
			}
		}
	}
	return t
}

// synced says whether a sync of path began after a line and ended before
// another.
func (t *traced) synced(path string, after, before int) bool {
	for _, s := range t.syncs[path] {
		if s.begin > after && s.end < before {
			return true
		}
	}
	return false
}

// safe wants the bytes of a file from one offset to another, and its name, to
// be synced before a line.
func (t *traced) safe(path string, from, to int64, before int) error {
	last := 0
	for at := from; at < to; {
		next := at
		for _, w := range t.writes[path] {
			if w.offset <= at && at < w.offset+int64(len(w.data)) {
				next = max(next, w.offset+int64(len(w.data)))
				last = max(last, w.end)
			}
		}
		if next == at {
			return fmt.Errorf("nothing wrote octet %d of %s", at, path)
		}
		at = next
	}
	if !t.synced(path, last, before) {
		return fmt.Errorf("octets %d to %d of %s, written in line %d, are not synced before the reply in line %d", from, to, path, last, before)
	}
	if made := t.created[path]; made != nil && !t.synced(filepath.Dir(path), made.begin, before) {
		return fmt.Errorf("the name of %s is not synced before the reply in line %d", path, before)
	}
	return nil
}

// without is the trace as if some syncs had not been.
func without(calls []*call, suffix string) []*call {
	var kept []*call
	for _, c := range calls {
		if (c.name != "fdatasync" && c.name != "fsync") || !strings.HasSuffix(c.path, suffix) {
			kept = append(kept, c)
		}
	}
	return kept
}

// file gives a file's bytes as they were written.
func (t *traced) file(path string) []byte {
	var b []byte
	for _, w := range t.writes[path] {
		if more := int(w.offset) + len(w.data) - len(b); more > 0 {
			b = append(b, make([]byte, more)...)
		}
		copy(b[w.offset:], w.data)
	}
	return b
}

// place is where a record of a segment lies.
type place struct {
	path     string
	from, to int64
}

// record finds where the segments have a body.
func (t *traced) record(id [32]byte) (place, bool) {
	for path, writes := range t.writes {
		if !strings.HasSuffix(path, ".seg") {
			continue
		}
		for _, w := range writes {
			// A record's head: magic and version, flags, id, … (docs/store.md).
			i := bytes.Index(w.data, append([]byte("EKB\x01\x00\x00\x00\x00"), id[:]...))
			if i < 0 || len(w.data) < i+64 {
				continue
			}
			stored := int64(0)
			for _, b := range w.data[i+48 : i+56] {
				stored = stored<<8 | int64(b)
			}
			from := w.offset + int64(i)
			return place{path, from, from + 64 + stored}, true
		}
	}
	return place{}, false
}

func fail(t *testing.T, errs []error) {
	t.Helper()
	for i, err := range errs {
		if i == 5 {
			t.Errorf("and %d more", len(errs)-5)
			return
		}
		t.Error(err)
	}
}
