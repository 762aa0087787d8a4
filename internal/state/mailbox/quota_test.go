package mailbox

import (
	"math"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

func TestQuota(t *testing.T) {
	for _, c := range []struct {
		q     Quota
		u     Usage
		level int
		full  bool
	}{
		{Quota{}, Usage{math.MaxInt64, math.MaxInt64}, 0, false},
		{Quota{Octets: 1000}, Usage{799, 1 << 40}, 0, false},
		{Quota{Octets: 1000}, Usage{800, 1}, 80, false},
		{Quota{Octets: 1000}, Usage{949, 1}, 90, false},
		{Quota{Octets: 1000}, Usage{999, 1}, 95, false},
		{Quota{Octets: 1000}, Usage{1000, 1}, 100, true},
		{Quota{Messages: 10}, Usage{1 << 50, 7}, 0, false},
		{Quota{Messages: 10}, Usage{1 << 50, 9}, 90, false},
		{Quota{Messages: 10}, Usage{1 << 50, 11}, 100, true},
		{Quota{Octets: 1000, Messages: 10}, Usage{100, 8}, 80, false},
		{Quota{Octets: math.MaxInt64}, Usage{math.MaxInt64 / 2, 0}, 0, false},
	} {
		if level, full := c.q.Level(c.u), c.q.Full(c.u); level != c.level || full != c.full {
			t.Errorf("%v of %v: level %d, full %v; want %d, %v", c.u, c.q, level, full, c.level, c.full)
		}
	}
	q := Quota{Octets: 1000, Messages: 3}
	for more, ok := range map[Usage]bool{{900, 1}: true, {901, 1}: false, {1, 2}: true, {1, 3}: false, {math.MaxInt64, 1}: false} {
		if err := q.Room(Usage{100, 1}, more); (err == nil) != ok || !ok && !fault.Is(err, fault.OverQuota) {
			t.Errorf("room for %v: %v", more, err)
		}
	}
}
