package prove

import (
	"context"
	"errors"
	"sync"

	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// errOver is that a message has made us ask enough.
var errOver = errors.New("over the number of questions about one message")

// meter bounds how many questions are asked about one message.
type meter struct {
	r    dns.Resolver
	mu   sync.Mutex
	left int
}

// Lookup asks, as long as there is something left.
func (m *meter) Lookup(ctx context.Context, name string, t dns.Type) (dns.Answer, error) {
	m.mu.Lock()
	m.left--
	over := m.left < 0
	m.mu.Unlock()
	if over {
		return dns.Answer{}, errOver
	}
	return m.r.Lookup(ctx, name, t)
}
