package app

import "testing"

// TestHeapRoom: garbage has room while the server is busy, and gives it back.
func TestHeapRoom(t *testing.T) {
	percent, freed := 0, 0
	h := heapRoomer{set: func(p int) int { percent = p; return 0 }, free: func() { freed++ }}
	cycles := uint64(0)
	look := func(past, live uint64) { cycles += past; h.look(cycles, live) }
	const live = 24 << 20
	for range 100 {
		look(0, live)
	}
	if look(1, live); percent != 0 {
		t.Fatalf("an idle server: set to %d", percent)
	}
	if look(20, live); percent != 266 {
		t.Fatalf("a busy one with 24 MiB alive: set to %d, want 266", percent)
	}
	// A quarter of the collections is the same garbage.
	for range 2 * heapCalm {
		if look(1, live); percent != 266 {
			t.Fatalf("still busy: set to %d", percent)
		}
	}
	if look(20, live+live/8); percent != 266 {
		t.Fatalf("with a little more alive: set to %d", percent)
	}
	if look(20, 1<<30); percent != heapNormal {
		t.Fatalf("with 1 GiB alive: set to %d", percent)
	}
	for range heapCalm {
		look(0, live)
	}
	if percent != heapNormal || freed != 1 {
		t.Fatalf("calm again: set to %d, given back %d times", percent, freed)
	}
	for range 2 * heapCalm {
		look(0, live)
	}
	if freed != 1 {
		t.Fatalf("an idle server gave memory back %d times", freed)
	}
}
