package kv

import (
	"sync"
	"syscall"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// Space watches the room that is left on a disk, so that work is refused before
// it begins and what was begun can be ended.
type Space struct {
	Reserve int64 // octets below which work is refused; negative: never
	Share   int64 // on a small disk the reserve is no more than this part of it: 8 is an eighth
	// Stat gives the octets that are free and that there are, 0 if nobody knows.
	// Its error refuses all work.
	Stat func() (free, total int64, err error)

	mu      sync.Mutex
	next    time.Time // when to look again
	free    int64
	reserve int64
	err     error
}

const (
	// lookAgain is how long the last look at the disk holds.
	lookAgain = time.Second
	// lastResort is the part of the reserve that is kept from transactions that
	// free room too: the engine needs some to make their room free.
	lastResort = 4
)

// Check refuses work, with fault.Unavailable, when little room is left; work that
// frees room only when nearly none is.
func (s *Space) Check(freeing bool) error {
	if s.Reserve < 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.After(s.next) {
		s.next = now.Add(lookAgain)
		s.look()
	}
	reserve := s.reserve
	if freeing {
		reserve /= lastResort
	}
	switch {
	case s.err != nil:
		return fault.As(fault.Unavailable, "kv", s.err)
	case s.free < reserve:
		return fault.As(fault.Unavailable, "kv", fault.Full(syscall.ENOSPC))
	}
	return nil
}

func (s *Space) look() {
	var total int64
	s.free, total, s.err = s.Stat()
	s.reserve = s.Reserve
	if s.Share > 0 && total > 0 {
		s.reserve = min(s.reserve, total/s.Share)
	}
}

// Err is why the disk could not be used at the last look.
func (s *Space) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Forget makes the next Check look at the disk.
func (s *Space) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = time.Time{}
}
