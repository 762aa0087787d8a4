//go:build !linux

package blob

// Allocate does nothing here.
func (f diskFile) Allocate(int64) error { return nil }
