package relay

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Limits of connections that are kept for the next message.
const (
	maxIdle    = 128             // of all hops
	maxReuse   = 100             // messages over one connection
	maxAge     = 5 * time.Minute // of a connection that is used again
	keepFew    = 2               // idle ones of one hop that stay for longer than keepMany
	keepMany   = 2 * time.Second
	idleTick   = time.Second
	unasked    = 5 * time.Second  // idle for longer than this, a server is asked whether it is there
	noopWithin = 10 * time.Second // must not be long: another connection is the remedy
)

// trunk is what connections are shared by: messages of one domain that leave
// alike. Another domain of the same hosts may demand another certificate.
type trunk struct {
	hop, domain mail.Domain
	source      string // what we call ourselves
}

// idle is the connections that no message uses now. A message takes one and
// gives it back before it is settled, so that writing what became of it does not
// hold up the next one. The zero idle is ready.
type idle struct {
	keep  time.Duration // negative: nothing is kept
	sites *route.Sites  // whose rules are kept

	mu      sync.Mutex
	lines   map[trunk][]*line                 // those used last at the end
	going   map[mail.Domain][]<-chan struct{} // by site, closed as each is gone
	count   int
	tended  bool // tend looks again by itself
	closed  bool
	wake    chan struct{}
	leaving sync.WaitGroup
}

// take gives a connection for which fits is true, and an empty line if there is
// none. The one used last is the one that most likely stands.
func (p *idle) take(ctx context.Context, k trunk, fits func(*line) bool) *line {
	for {
		l := p.pick(k, fits)
		if l == nil {
			p.yield(k)
			return &line{}
		}
		quiet := time.Since(l.rests)
		if !l.conn.Alive() || quiet > unasked && l.conn.Noop(ctx, noopWithin) != nil {
			l.close()
			continue
		}
		return l
	}
}

func (p *idle) pick(k trunk, fits func(*line) bool) *line {
	p.mu.Lock()
	defer p.mu.Unlock()
	ls := p.lines[k]
	for i := len(ls) - 1; i >= 0; i-- {
		if l := ls[i]; fits(l) {
			p.cut(k, i)
			return l
		}
	}
	return nil
}

// yield ends a connection to the same site, if one is idle, or waits for one that
// is about to leave: the new one takes its place, so that no more are open than
// were ever used at once.
func (p *idle) yield(k trunk) {
	gone, l := p.other(k)
	switch {
	case gone != nil:
		<-gone
	case l != nil:
		l.quit()
	}
}

func (p *idle) other(k trunk) (gone <-chan struct{}, l *line) {
	site := p.site(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	if all := p.going[site]; len(all) > 0 {
		gone = all[0]
		p.forget(site, gone)
		return gone, nil
	}
	for k, ls := range p.lines {
		if p.site(k) == site {
			l := ls[0]
			p.cut(k, 0)
			return nil, l
		}
	}
	return nil, nil
}

func (p *idle) site(k trunk) mail.Domain { return p.sites.Lately(k.hop) }

// forget takes a connection that leaves off the list, if it is there. The caller
// holds the lock.
func (p *idle) forget(site mail.Domain, gone <-chan struct{}) {
	all := p.going[site]
	if i := slices.Index(all, gone); i >= 0 {
		all = slices.Delete(all, i, i+1)
	}
	if len(all) > 0 {
		p.going[site] = all
	} else {
		delete(p.going, site)
	}
}

// most is how many messages a connection may carry.
func (p *idle) most(k trunk) int {
	if n := p.sites.Rule(p.site(k)).PerConnection; n > 0 {
		return n
	}
	return maxReuse
}

// cut takes the line at i out. The caller holds the lock.
func (p *idle) cut(k trunk, i int) {
	p.count--
	if ls := slices.Delete(p.lines[k], i, i+1); len(ls) > 0 {
		p.lines[k] = ls
	} else {
		delete(p.lines, k)
	}
}

// put gives a connection back; what has served its time leaves.
func (p *idle) put(k trunk, l *line) {
	if l.conn == nil {
		return
	}
	now := time.Now()
	l.rests = now
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.keep < 0 || l.used >= p.most(k) || now.Sub(l.born) >= maxAge {
		p.leave(k, l)
		return
	}
	if p.count >= maxIdle {
		p.dropOldest()
	}
	if p.lines == nil {
		p.lines = map[trunk][]*line{}
	}
	p.lines[k] = append(p.lines[k], l)
	p.count++
	if !p.tended && p.wake != nil {
		p.tended = true
		select {
		case p.wake <- struct{}{}:
		default: // it is about to look
		}
	}
}

// leave says goodbye, which nobody waits for but the end, and who needs its place.
// The caller holds the lock.
func (p *idle) leave(k trunk, l *line) {
	site, gone := p.site(k), make(chan struct{})
	if p.going == nil {
		p.going = map[mail.Domain][]<-chan struct{}{}
	}
	p.going[site] = append(p.going[site], gone)
	p.leaving.Go(func() {
		l.quit()
		close(gone)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.forget(site, gone)
	})
}

// dropOldest makes room. The caller holds the lock.
func (p *idle) dropOldest() {
	var oldest trunk
	var since time.Time
	for k, ls := range p.lines {
		if since.IsZero() || ls[0].rests.Before(since) {
			oldest, since = k, ls[0].rests
		}
	}
	l := p.lines[oldest][0]
	p.cut(oldest, 0)
	p.leave(oldest, l)
}

// tend lets connections go that nobody has used for long, until ctx ends.
func (p *idle) tend(ctx context.Context) {
	timer := time.NewTimer(idleTick)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-timer.C:
		}
		if p.sweep(time.Now()) {
			timer.Reset(idleTick)
		}
	}
}

// sweep lets go what has waited for too long, and says whether any is left.
func (p *idle) sweep(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, ls := range p.lines {
		for len(ls) > 0 {
			waits := now.Sub(ls[0].rests)
			if waits < p.keep && (waits < keepMany || len(ls) <= keepFew) && now.Sub(ls[0].born) < maxAge {
				break
			}
			p.leave(k, ls[0])
			p.cut(k, 0)
			ls = p.lines[k]
		}
	}
	p.tended = p.count > 0
	return p.tended
}

// close lets all go and waits for it; what is put back from now on leaves too.
func (p *idle) close() {
	p.mu.Lock()
	p.closed = true
	for k := range p.lines {
		for _, l := range p.lines[k] {
			p.leave(k, l)
		}
	}
	p.lines, p.count = nil, 0
	p.mu.Unlock()
	p.leaving.Wait()
}
