package door

import "sync"

// Set is the sessions that came through one listener. The zero Set is empty.
type Set[T comparable] struct {
	mu sync.Mutex
	m  map[T]struct{}
}

// Add puts x in.
func (s *Set[T]) Add(x T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[T]struct{}{}
	}
	s.m[x] = struct{}{}
}

// Remove takes x out.
func (s *Set[T]) Remove(x T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, x)
}

// Each calls do for each that is in. It must not wait for one of them to leave.
func (s *Set[T]) Each(do func(T)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for x := range s.m {
		do(x)
	}
}
