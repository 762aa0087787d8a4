package relay

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// moods are what attempts have said of sites since the loop has last asked.
type moods struct {
	mu  sync.Mutex
	all []mood
}

type mood struct {
	site  mail.Domain
	mood  queue.Mood
	reply string
}

func (m *moods) add(o mood) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, o)
}

func (m *moods) take() []mood {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.all
	m.all = nil
	return all
}

// paces are suspensions that are to be written down: a restart must not press
// sites that want nothing.
type paces struct {
	wake chan struct{}
	mu   sync.Mutex
	all  map[mail.Domain]queue.Suspension
}

func (p *paces) add(all []queue.Suspension) {
	if len(all) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[mail.Domain]queue.Suspension{}
	}
	for _, s := range all {
		p.all[s.Site] = s
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *paces) take() []queue.Suspension {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.Collect(maps.Values(p.all))
	p.all = nil
	return all
}

// keepPaces writes them until ctx ends, beside the loop. What cannot be written is
// missed after a restart only.
func (r *Relay) keepPaces(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.paces.wake:
		}
		if all := r.paces.take(); len(all) > 0 {
			if err := r.o.Queue.Keep(ctx, all); err != nil && ctx.Err() == nil {
				r.failed(ctx, err)
			}
		}
	}
}

// recall begins with what was written.
func (r *Relay) recall(ctx context.Context) {
	now := time.Now()
	kept, err := r.o.Queue.Kept(ctx, now)
	if err != nil && ctx.Err() == nil {
		r.failed(ctx, err)
	}
	r.plan.Recall(kept, now)
}

// ahead finds out the site of a hop, and gives the batch back for its turn there.
func (r *Relay) ahead(ctx context.Context, b queue.Batch) {
	r.o.Sites.Learn(ctx, b.Hop)
	r.wants <- want{done: b, back: true}
}

// sendPaced sends, or puts off what a site would not have now, and notes what its
// hosts say of its mood. Who wants something tried now knows more than we. What it
// gives is send's.
func (r *Relay) sendPaced(ctx context.Context, b queue.Batch, m parcel, o out) (to mail.Domain) {
	rs := o.rs
	if b.Put != "" && !r.hastened(rs) {
		putAll(rs, smtp.Answer(451, smtp.Enhanced{4, 4, 5}, "mail to %s is put off for a while; its last word was: %s", b.Site, b.Put), "", false)
		return ""
	}
	to = r.send(ctx, b, m, o)
	worst := mood{site: b.Site}
	for i := range rs {
		if d := &rs[i]; d.host != "" && d.known {
			reply := d.reply.String()
			if m := queue.MoodOf(reply); m > worst.mood {
				worst.mood, worst.reply = m, reply
			}
		}
	}
	if worst.mood != queue.Silent {
		r.moods.add(worst)
	}
	return to
}
