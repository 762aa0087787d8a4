package app

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// What lives long in the heap is small, so at Go's own setting, by which garbage
// may be as much as what lives, a busy server collects dozens of times a second
// and marks the same few rows each time. While it is busy garbage has more room;
// when it is calm again the room is given back to the machine.
const (
	heapLook   = time.Second // between two looks
	heapBusy   = 2           // collections between two looks from which the server is busy
	heapCalm   = 15          // looks without that after which it is calm
	heapRoom   = 64 << 20    // octets of garbage that a busy server may have, or as much as lives if that is more
	heapNormal = 100         // Go's own setting: percent of what lives
)

// heap gives garbage its room. An operator who sets GOGC decides himself; a
// memory limit (GOMEMLIMIT) holds in any case, since the runtime collects before it
// is reached.
func (s *Server) heap(ctx context.Context) error {
	if os.Getenv("GOGC") != "" {
		<-ctx.Done()
		return nil
	}
	defer debug.SetGCPercent(heapNormal)
	tick := time.NewTicker(heapLook)
	defer tick.Stop()
	h := heapRoomer{set: debug.SetGCPercent, free: debug.FreeOSMemory}
	sample := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/live:bytes"}}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		metrics.Read(sample)
		h.look(sample[0].Value.Uint64(), sample[1].Value.Uint64())
	}
}

// heapRoomer decides how much garbage there may be.
type heapRoomer struct {
	set     func(percent int) (old int)
	free    func()
	cycles  uint64 // at the last look
	percent int    // as set while the server is busy, 0 while it is not
	calm    int    // looks since the server was busy
}

// look is given the collections since the start and the octets that the last one
// found alive.
func (h *heapRoomer) look(cycles, live uint64) {
	past := cycles - h.cycles
	h.cycles = cycles
	wanted := max(heapNormal, int(heapRoom*100/max(live, 1<<20)))
	switch {
	// With more room there are fewer collections: as many octets of garbage count as
	// busy as before.
	case past*uint64(max(h.percent, heapNormal)) >= heapBusy*heapNormal:
		h.calm = 0
		if wanted > h.percent || wanted < h.percent*3/4 {
			h.set(wanted)
			h.percent = wanted
		}
	case h.percent == 0:
	default:
		if h.calm++; h.calm >= heapCalm {
			h.set(heapNormal)
			h.free()
			h.percent, h.calm = 0, 0
		}
	}
}
