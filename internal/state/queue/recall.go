package queue

import (
	"context"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Suspension is what is kept of a site that wanted nothing, so that a process which
// begins anew does not press it again.
type Suspension struct {
	Site  mail.Domain
	Until time.Time
	Pause time.Duration // its length; the next one is twice as long. 0: nothing is to be kept
	Said  string        // why
}

// oldSuspension is how long behind its end a suspension is still worth knowing.
const oldSuspension = 24 * time.Hour

// maxSuspensions bounds what is read of them.
const maxSuspensions = maxPaces

// Suspensions gives what has changed since the last call, for Keep.
func (p *Plan) Suspensions() []Suspension {
	var all []Suspension
	for name := range p.suspended {
		if p.suspended[name] {
			continue
		}
		p.suspended[name] = true
		s := Suspension{Site: name}
		if pace := p.paces[name]; pace != nil && pace.pause > 0 {
			s = Suspension{name, pace.until, pace.pause, pace.said}
		} else {
			delete(p.suspended, name)
		}
		all = append(all, s)
	}
	return all
}

// suspends notes whether there is something for Suspensions.
func (p *Plan) suspends(name mail.Domain, before, after Pace) {
	if _, known := p.suspended[name]; after.pause != before.pause && (after.pause > 0 || known) {
		p.suspended[name] = false
	}
}

// Recall begins with what was kept: behind the suspension one batch probes.
func (p *Plan) Recall(all []Suspension, now time.Time) {
	for _, s := range all {
		pace := p.pace(s.Site, now)
		pace.places, pace.pause, pace.until, pace.said = 1, s.Pause, s.Until, s.Said
		p.suspended[s.Site] = true
	}
}

func suspensionKey(site mail.Domain) kv.Key { return suspensionsKey().Text(string(site)) }
func suspensionsKey() kv.Key                { return kv.NewKey(kv.OthersShard()).Uint8('s') }

// Keep writes suspensions down, and takes away those that are none any more.
func (s *Store) Keep(ctx context.Context, all []Suspension) error {
	return fault.Wrap("queue.Keep", s.db.Update(kv.Freeing(ctx), []kv.Shard{kv.OthersShard()}, func(tx kv.Tx) error {
		for _, p := range all {
			if p.Pause == 0 {
				tx.Delete(suspensionKey(p.Site))
				continue
			}
			tx.Set(suspensionKey(p.Site), kv.Value{}.Byte(rowVersion).Time(p.Until).Uint(uint64(p.Pause)).Text(p.Said))
		}
		return nil
	}))
}

// Kept gives the suspensions that were written down. Those that have long ended are
// left out; so is what cannot be read.
func (s *Store) Kept(ctx context.Context, now time.Time) (all []Suspension, err error) {
	err = s.db.View(ctx, kv.OthersShard(), func(r kv.Reader) error {
		all = nil
		scan := kv.Prefix(suspensionsKey())
		scan.Limit = maxSuspensions
		for p, err := range r.Scan(scan) {
			if err != nil {
				return err
			}
			k, v := kv.ReadKey(p.Key, suspensionsKey()), kv.ReadValue(p.Value)
			v.Version()
			one := Suspension{Site: mail.Domain(k.Text()), Until: v.Time(), Pause: time.Duration(v.Uint()), Said: v.Text()}
			one.Pause = min(one.Pause, longPause)
			if one.Until.After(now.Add(longPause)) {
				one.Until = now.Add(one.Pause) // the clock went back
			}
			if k.Err() == nil && v.Err() == nil && one.Pause > 0 && now.Sub(one.Until) < oldSuspension {
				all = append(all, one)
			}
		}
		return nil
	})
	return all, fault.Wrap("queue.Kept", err)
}
