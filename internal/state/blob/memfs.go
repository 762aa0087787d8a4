package blob

import (
	"bytes"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// memory is a directory that ends with the process. It knows what a crash would
// leave: the names and the data of the last Sync.
type memory struct {
	mu    sync.Mutex
	files map[string]*memFile
	safe  map[string]*memFile // the names that a crash leaves
}

type memFile struct {
	mu      sync.Mutex
	data    []byte
	safe    []byte
	dirty   int // data and safe are the same up to here
	changed time.Time
}

func newMemory() *memory {
	return &memory{files: map[string]*memFile{}, safe: map[string]*memFile{}}
}

// crash gives the directory as it is after a loss of power now. Of what was not
// synced, the data is lost and the length stays if torn: then it reads as zeros.
func (m *memory) crash(torn bool) *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := newMemory()
	for name, f := range m.safe {
		f.mu.Lock()
		data := bytes.Clone(f.safe)
		if torn && len(f.data) > len(data) {
			data = append(data, make([]byte, len(f.data)-len(data))...)
		}
		left := &memFile{data: data, safe: bytes.Clone(data), dirty: len(data), changed: f.changed}
		f.mu.Unlock()
		after.files[name], after.safe[name] = left, left
	}
	return after
}

// Create makes a new file.
func (m *memory) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] != nil {
		return nil, fs.ErrExist
	}
	f := &memFile{changed: time.Now()}
	m.files[name] = f
	return f, nil
}

// Open opens a file.
func (m *memory) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.files[name]; f != nil {
		return f, nil
	}
	return nil, fs.ErrNotExist
}

// Remove removes a file.
func (m *memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] == nil {
		return fs.ErrNotExist
	}
	delete(m.files, name)
	return nil
}

// Rename gives a file another name.
func (m *memory) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[from] == nil {
		return fs.ErrNotExist
	}
	m.files[to] = m.files[from]
	delete(m.files, from)
	return nil
}

// List gives the files in the order of their names.
func (m *memory) List() ([]Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var files []Info
	for name, f := range m.files {
		f.mu.Lock()
		files = append(files, Info{Name: name, Size: int64(len(f.data)), Changed: f.changed})
		f.mu.Unlock()
	}
	slices.SortFunc(files, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

// Sync makes the names safe.
func (m *memory) Sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.safe = map[string]*memFile{}
	for name, f := range m.files {
		m.safe[name] = f
	}
	return nil
}

// Free says that there is always room.
func (m *memory) Free() (int64, error) { return math.MaxInt64, nil }

// ReadAt reads anywhere.
func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes anywhere.
func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if more := off + int64(len(b)) - int64(len(f.data)); more > 0 {
		f.data = append(f.data, make([]byte, more)...)
	}
	f.changed = time.Now()
	f.dirty = min(f.dirty, int(off))
	return copy(f.data[off:], b), nil
}

// Sync makes the data safe.
func (f *memFile) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.safe = append(f.safe[:min(f.dirty, len(f.safe))], f.data[min(f.dirty, len(f.safe)):]...)
	f.dirty = len(f.data)
	return nil
}

// Allocate does nothing.
func (f *memFile) Allocate(int64) error { return nil }

// Trim ends the file at size.
func (f *memFile) Trim(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.data = f.data[:min(size, int64(len(f.data)))]
	f.dirty = min(f.dirty, len(f.data))
	return nil
}

// Close does nothing.
func (f *memFile) Close() error { return nil }
