package app

import (
	"context"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
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

// trim ends unfinished deletions and trims the log of every account.
func (r *rooms) trim(ctx context.Context, before time.Time) error {
	accounts, err := r.directory.Accounts(ctx)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		if err := r.mailbox.Tidy(ctx, a.ID, before); err != nil {
			return err
		}
	}
	return nil
}
