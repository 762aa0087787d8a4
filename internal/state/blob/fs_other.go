//go:build !linux

package blob

// Allocate does nothing here.
func (f diskFile) Allocate(int64) error { return nil }

// Punch does nothing here: the room comes back with the whole segment.
func (f diskFile) Punch(_, _ int64) error { return nil }
