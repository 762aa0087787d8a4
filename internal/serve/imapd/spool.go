package imapd

import (
	"io"
	"os"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// spoolMemory is how much of a message a spool keeps in memory, in octets.
const spoolMemory = 1 << 20

// spool holds a message while it is indexed: the blob that it becomes can be
// read only when a message refers to it. What does not fit in memory goes to a
// nameless file.
type spool struct {
	mem  []byte
	file *os.File
	size int64
}

// Write appends.
func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && len(s.mem)+len(p) <= spoolMemory {
		s.mem = append(s.mem, p...)
		s.size += int64(len(p))
		return len(p), nil
	}
	if s.file == nil {
		f, err := os.CreateTemp("", "ekiden-append-")
		if err != nil {
			return 0, fault.As(fault.Unavailable, "imapd.spool", err)
		}
		_ = os.Remove(f.Name())
		s.file = f
	}
	n, err := s.file.WriteAt(p, s.size-int64(len(s.mem)))
	s.size += int64(n)
	return n, fault.As(fault.Unavailable, "imapd.spool", err)
}

// ReadAt is io.ReaderAt.
func (s *spool) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if off < int64(len(s.mem)) {
		n = copy(p, s.mem[off:])
		off += int64(n)
	}
	switch {
	case n == len(p):
		return n, nil
	case s.file == nil:
		return n, io.EOF
	}
	m, err := s.file.ReadAt(p[n:], off-int64(len(s.mem)))
	return n + m, err
}

func (s *spool) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}
