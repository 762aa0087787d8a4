package queue

func (p *Plan) miss(f *flow, d Due) {
	f.miss(d.Partition(), d.At)
	p.short[f] = true
}

// Hungry gives a place in a partition's index from which a sender's mail to a
// site, which has room again, must be read once more. What is read there goes to
// Refill.
func (p *Plan) Hungry() (part uint8, from Cursor, ok bool) {
	if p.ready > p.limits.Total*3/2 { // a little room is not worth the reading
		return 0, Cursor{}, false
	}
	for f := range p.short {
		own := max(min(p.limits.Remembered, (p.limits.Total-p.ready)/4), p.limits.Share)
		if f.count > own/2 {
			continue
		}
		for part, from := range f.missed {
			return part, from, true
		}
	}
	return 0, Cursor{}, false
}

// Refill offers what was read from a place that Hungry gave: each row to who
// missed it, and what is behind front, as far as the index was read for the first
// time, to anyone. All who missed rows of these go on from there, so that a long
// queue is not read more often than there are who have much in it.
func (p *Plan) Refill(part uint8, from, front Cursor, l Look) {
	stuck := map[*flow]bool{}
	for _, d := range l.Due {
		if p.known[d.Ref] {
			continue
		}
		hop := Hop(d.Via, d.Domain, p.ways.Hop)
		f := p.flow(hop, d.Sender)
		at, ok := f.missed[part]
		switch {
		case ok && at.reaches(d, from):
			if stuck[f] || !p.room(f, d.Priority) {
				stuck[f] = true
				break
			}
			p.add(f, hop, d)
			f.missed[part] = at.behind(d)
		case !front.Passed(d) && !front.passedLater(d):
			if !p.Offer(d) {
				stuck[f] = true
			}
		default:
			// Read from where it was missed it comes again, and if it was not, it is settled by now.
		}
		if f.count == 0 && len(f.missed) == 0 {
			p.tidy(f.site)
		}
	}
	for f := range p.short {
		if at, ok := f.missed[part]; ok && !stuck[f] {
			f.missed[part] = at.advance(from, l)
		}
		p.sated(f, part)
	}
}

// sated forgets what of a partition f no longer misses.
func (p *Plan) sated(f *flow, part uint8) {
	if f.missed[part] == End() {
		delete(f.missed, part)
	}
	if len(f.missed) > 0 {
		return
	}
	delete(p.short, f)
	if f.count == 0 {
		p.tidy(f.site)
	}
}
