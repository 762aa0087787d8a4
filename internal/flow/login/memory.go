package login

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/state/directory"
)

// maxKnown bounds a generation of the memory.
const maxKnown = 10_000

// believed is how long a password of our own is remembered. Any change of the
// account forgets it sooner; what was checked elsewhere has a shorter time.
const believed = 24 * time.Hour

// memory knows passwords that were right, as HMACs under a key of the process,
// so that a client that comes back need not be hashed again. The stamp of the
// account is in the HMAC: after any change nothing remembered fits.
type memory struct {
	key [32]byte

	mu         sync.Mutex
	young, old map[tag]known
}

type tag [sha256.Size]byte

// known is a secret that was right.
type known struct {
	until time.Time // it is believed
	ends  time.Time // it is worth anything; zero: it does not say
}

func newMemory() *memory {
	m := &memory{young: map[tag]known{}}
	_, _ = rand.Read(m.key[:])
	return m
}

// tag takes what kind of secret it is, so that a token is no password.
func (m *memory) tag(kind string, a directory.Account, secret string) (t tag) {
	h := hmac.New(sha256.New, m.key[:])
	b := binary.BigEndian.AppendUint64([]byte{byte(len(kind))}, uint64(a.ID))
	b = append(binary.BigEndian.AppendUint64(b, a.Changed), kind...)
	h.Write(b)
	h.Write([]byte(secret))
	h.Sum(t[:0])
	return t
}

// has says whether a secret is remembered.
func (m *memory) has(t tag) (known, bool) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.young[t]
	if !ok {
		if k, ok = m.old[t]; ok {
			m.keep(t, k)
		}
	}
	return k, ok && k.until.After(now)
}

func (m *memory) add(t tag, k known) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(t, k)
}

// keep forgets what was not used for a whole generation.
func (m *memory) keep(t tag, k known) {
	if len(m.young) >= maxKnown {
		m.old, m.young = m.young, map[tag]known{}
	}
	m.young[t] = k
}
