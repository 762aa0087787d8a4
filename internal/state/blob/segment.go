package blob

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// align is what records begin at a multiple of.
const align = 512

// segment is the file that new records go to. A record's place is given out
// under the store's lock; writing and syncing need none.
type segment struct {
	number uint64
	f      File
	tail   int64          // where the next record goes
	busy   map[int64]bool // where records begin that are being written, or failed to be
	users  int            // records that are being written
	bad    bool           // something failed: nothing more is written here
	syncs  group
}

func newSegment(n uint64, f File, tail int64) *segment {
	return &segment{number: n, f: f, tail: tail, busy: map[int64]bool{}}
}

// roomy is how many segments must find room for one to be given room ahead: on
// a small or full disk the rows' engine needs it more.
const roomy = 16

// allocate gives a segment that is written to its room ahead.
func (s *Store) allocate(f File) error {
	free, err := s.fs.Free()
	if err != nil || free/roomy < s.size {
		return err
	}
	return f.Allocate(s.size)
}

func segmentName(n uint64) string { return fmt.Sprintf("%016x.seg", n) }

func segmentNumber(name string) (uint64, bool) {
	hex, ok := strings.CutSuffix(name, ".seg")
	n, err := strconv.ParseUint(hex, 16, 64)
	return n, ok && err == nil && len(hex) == 16 && n > 0
}

const spillPrefix = "spill-"

// openSegments looks through the files of earlier runs. A torn record at the end
// of the last segment is left as it is: no row points to it, since rows are
// written after the sync, and new records go behind it.
func (s *Store) openSegments() error {
	files, err := s.fs.List()
	if err == nil && len(files) > 0 {
		// That run may have ended between making a file and syncing its name. What
		// is written behind its records now is answered for: the name must be safe.
		err = s.fs.Sync()
	}
	if err != nil {
		return err
	}
	var size int64
	for _, f := range files {
		if strings.HasPrefix(f.Name, spillPrefix) {
			err = errors.Join(err, s.fs.Remove(f.Name))
		} else if n, ok := segmentNumber(f.Name); ok && n > s.last {
			s.last, size = n, f.Size
		}
	}
	if err != nil || s.last == 0 || size >= s.size {
		return err
	}
	f, err := s.fs.Open(segmentName(s.last))
	if err != nil {
		return err
	}
	s.current = newSegment(s.last, f, alignUp(size))
	return s.allocate(f)
}

func alignUp(n int64) int64 { return (n + align - 1) / align * align }

// reserve gives out room for a record of n octets.
func (s *Store) reserve(n int64) (*segment, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.current; g != nil && (g.bad || g.tail > 0 && g.tail+n > s.size) {
		s.current = nil
		if g.users == 0 {
			_ = s.retire(g) // its records are synced: nothing hangs on this
		}
	}
	if s.current == nil {
		f, err := s.fs.Create(segmentName(s.last + 1))
		if err != nil {
			return nil, 0, err
		}
		s.last++
		if err := errors.Join(s.allocate(f), s.fs.Sync()); err != nil {
			return nil, 0, errors.Join(err, f.Close(), s.fs.Remove(segmentName(s.last)))
		}
		s.current = newSegment(s.last, f, 0)
	}
	g := s.current
	off := g.tail
	g.tail = alignUp(off + n)
	g.users++
	g.busy[off] = true
	s.busy[g.number] = g
	return g, off, nil
}

// release ends what reserve began.
func (s *Store) release(g *segment, off int64, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.users--
	g.bad = g.bad || failed
	if !failed {
		delete(g.busy, off)
	}
	if len(g.busy) == 0 {
		delete(s.busy, g.number)
	}
	if g.users == 0 && g != s.current {
		_ = s.retire(g)
	}
}

// retire closes a segment that nothing more is written to.
func (s *Store) retire(g *segment) error {
	var err error
	if !g.bad {
		err = g.f.Trim(g.tail)
	}
	return errors.Join(err, g.f.Close())
}

// append writes a record and returns when it is safe.
func (s *Store) append(record io.ReaderAt, n int64) (location, error) {
	g, off, err := s.reserve(n)
	if err != nil {
		return location{}, err
	}
	w := io.NewOffsetWriter(g.f, off)
	if m, ok := record.(memoryRecord); ok {
		_, err = w.Write(m)
	} else {
		_, err = io.CopyBuffer(struct{ io.Writer }{w}, io.NewSectionReader(record, 0, n), make([]byte, 256<<10))
	}
	if err == nil {
		err = g.syncs.sync(g.f.Sync)
	}
	s.release(g, off, err != nil)
	return location{segment: g.number, offset: off, length: n}, err
}

// adopt makes a file that holds one record a segment.
func (s *Store) adopt(f File, name string, n int64) (location, error) {
	if err := f.Sync(); err != nil {
		return location{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fs.Rename(name, segmentName(s.last+1)); err != nil {
		return location{}, err
	}
	s.last++
	return location{segment: s.last, length: n}, s.fs.Sync()
}

// group lets callers that want the same file synced at the same time share one
// sync.
type group struct {
	mu   sync.Mutex
	next *round
	turn sync.Mutex // one sync at a time
}

// round is a sync that has not begun, and then its result.
type round struct {
	done bool
	err  error
}

// sync returns after a sync that began after the call.
func (g *group) sync(file func() error) error {
	g.mu.Lock()
	if g.next == nil {
		g.next = &round{}
	}
	mine := g.next
	g.mu.Unlock()

	g.turn.Lock()
	defer g.turn.Unlock()
	if !mine.done { // the first of a round syncs for all of it
		g.mu.Lock()
		g.next = nil
		g.mu.Unlock()
		mine.err, mine.done = file(), true
	}
	return mine.err
}
