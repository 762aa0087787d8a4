package imapd

import "sync"

// How large the memory is that a FETCH borrows: the buffer of its answer, in
// octets, and what of a shelf is kept for the next.
const (
	answerBuffer = 64 << 10
	keepOctets   = 1 << 20
)

// pool is memory that few sessions need at the same time, and none while it is
// idle.
type pool[T any] struct {
	spare sync.Pool
	make  func() T
}

func (p *pool[T]) take() T {
	if v, ok := p.spare.Get().(T); ok {
		return v
	}
	return p.make()
}

func (p *pool[T]) put(v T) { p.spare.Put(v) }

// putShelf gives a shelf back, without what few FETCHes need.
func (s *Server) putShelf(m *shelf) {
	for _, b := range []*[]byte{&m.kept, &m.text, &m.batches[0].room, &m.batches[1].room} {
		if cap(*b) > keepOctets {
			*b = nil
		}
	}
	s.shelves.put(m)
}
