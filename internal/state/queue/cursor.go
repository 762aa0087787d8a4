package queue

// Cursor is a place in a partition's index: where each lane is read from. The
// zero Cursor is the beginning, End the end.
type Cursor struct{ first, now, later string }

// end is behind every row of a lane.
const end = "\xff"

// End is behind every row.
func End() Cursor { return Cursor{end, end, end} }

// Least is the earlier of c and d in each lane.
func (c Cursor) Least(d Cursor) Cursor {
	return Cursor{min(c.first, d.first), min(c.now, d.now), min(c.later, d.later)}
}

// Most is the later of c and d in each lane in which d is not at the end.
func (c Cursor) Most(d Cursor) Cursor {
	return c.each(d, func(c, d string) string {
		if d == end {
			return c
		}
		return max(c, d)
	})
}

func (c Cursor) each(d Cursor, fn func(c, d string) string) Cursor {
	return Cursor{fn(c.first, d.first), fn(c.now, d.now), fn(c.later, d.later)}
}

// Passed says whether a reader whose cursor is c has read d. What falls due
// later may be read twice.
func (c Cursor) Passed(d Due) bool { return d.At.first < c.first || d.At.now < c.now }

func (c Cursor) passedLater(d Due) bool { return d.At.later < c.later }

// reaches says whether d is not before c, and c not before from, in d's lane.
func (c Cursor) reaches(d Due, from Cursor) bool {
	return d.At.first != end && d.At.first >= c.first && c.first >= from.first ||
		d.At.now != end && d.At.now >= c.now && c.now >= from.now ||
		d.At.later != end && d.At.later >= c.later && c.later >= from.later
}

// behind is c with d's lane moved on behind d.
func (c Cursor) behind(d Due) Cursor {
	return c.each(d.At, func(c, at string) string {
		if at == end {
			return c
		}
		return at + "\x00"
	})
}

// advance moves the lanes of c that were read, from from on, to where a look
// ended.
func (c Cursor) advance(from Cursor, l Look) Cursor {
	next := l.Next
	return Cursor{
		advance(c.first, from.first, next.first, l.More), advance(c.now, from.now, next.now, l.More),
		advance(c.later, from.later, next.later, l.More),
	}
}

func advance(c, from, next string, more bool) string {
	switch {
	case c == end || c < from:
		return c
	case !more: // all that is due was read
		return end
	}
	return max(c, next)
}
