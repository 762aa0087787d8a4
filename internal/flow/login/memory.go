package login

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"github.com/ekiden-mail/ekiden/internal/state/directory"
)

// maxKnown bounds a generation of the memory.
const maxKnown = 10_000

// memory knows passwords that were right, as HMACs under a key of the process,
// so that a client that comes back need not be hashed again. The stamp of the
// account is in the HMAC: after any change nothing remembered fits.
type memory struct {
	key [32]byte

	mu         sync.Mutex
	young, old map[[sha256.Size]byte]struct{}
}

func newMemory() *memory {
	m := &memory{young: map[[sha256.Size]byte]struct{}{}}
	_, _ = rand.Read(m.key[:])
	return m
}

func (m *memory) tag(a directory.Account, password string) (t [sha256.Size]byte) {
	h := hmac.New(sha256.New, m.key[:])
	b := binary.BigEndian.AppendUint64(nil, uint64(a.ID))
	h.Write(binary.BigEndian.AppendUint64(b, a.Changed))
	h.Write([]byte(password))
	h.Sum(t[:0])
	return t
}

func (m *memory) has(a directory.Account, password string) bool {
	t := m.tag(a, password)
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.young[t]; ok {
		return true
	}
	_, ok := m.old[t]
	if ok {
		m.keep(t)
	}
	return ok
}

func (m *memory) add(a directory.Account, password string) {
	t := m.tag(a, password)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(t)
}

// keep forgets what was not used for a whole generation.
func (m *memory) keep(t [sha256.Size]byte) {
	if len(m.young) >= maxKnown {
		m.old, m.young = m.young, map[[sha256.Size]byte]struct{}{}
	}
	m.young[t] = struct{}{}
}
