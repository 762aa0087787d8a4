package app

import (
	"context"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

const (
	sweepEvery = time.Hour           // to look for blobs that nobody refers to
	tidyEvery  = 24 * time.Hour      // to trim the accounts' logs
	keepLog    = 30 * 24 * time.Hour // what clients may catch up with
	retryAfter = 10 * time.Minute    // after a failure
)

// tidy does what makes no message wait: it sweeps blobs and trims the accounts'
// logs of changes.
func (s *Server) tidy(ctx context.Context) error {
	now := time.Now()
	sweep, trim := now.Add(sweepEvery), now
	for {
		timer := time.NewTimer(time.Until(earlier(sweep, trim)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case now = <-timer.C:
		}
		if !now.Before(sweep) {
			sweep = s.next(ctx, now, sweepEvery, s.rooms.blobs.Sweep(ctx, now))
		}
		if !now.Before(trim) {
			trim = s.next(ctx, now, tidyEvery, s.rooms.trim(ctx, now.Add(-keepLog)))
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// next is when a chore is due again; one that failed is sooner.
func (s *Server) next(ctx context.Context, now time.Time, every time.Duration, err error) time.Time {
	if err == nil {
		return now.Add(every)
	}
	if ctx.Err() == nil {
		s.rooms.sink.Emit(ctx, event.Failed{Where: "tidy", Err: err})
	}
	return now.Add(retryAfter)
}

// trim deletes what has lain long enough, ends unfinished deletions and trims the
// log of every account.
func (r *rooms) trim(ctx context.Context, before time.Time) error {
	accounts, err := r.directory.Accounts(ctx)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		if err := r.clear(ctx, a.ID, time.Now()); err != nil {
			return err
		}
		if err := r.mailbox.Tidy(ctx, a.ID, before); err != nil {
			return err
		}
	}
	if _, err := r.suppress.Trim(ctx, time.Now()); err != nil {
		return err
	}
	return r.sweepRemoved(ctx)
}

// sweepRemoved ends removals of accounts that a crash interrupted.
func (r *rooms) sweepRemoved(ctx context.Context) error {
	removed, err := r.directory.Removed(ctx)
	if err != nil {
		return err
	}
	for _, id := range removed {
		var boxes []mailbox.Box
		err := r.mailbox.View(ctx, id, func(t *mailbox.Tx) (err error) {
			boxes, err = t.Boxes()
			return err
		})
		if err == nil && len(boxes) > 0 { // they go with the last row
			err = r.mailbox.RemoveAccount(ctx, id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
