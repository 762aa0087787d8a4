package app

import (
	"context"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

const (
	indexAfter = 2 * time.Second  // without a delivery: a burst is not slowed, and many share a batch
	indexLag   = 15 * time.Second // at most, however many come
	indexBreak = time.Second      // the longest pause between two rounds while deliveries come
	indexEvery = 30 * time.Second // to look for what no hint told of
	indexPage  = 100              // accounts that are read at a time
)

// index keeps the search indexes up with the deliveries: one account after the
// other, a batch each, so that a large one does not make the others wait. What it
// has not done yet every search looks at itself.
func (s *Server) index(ctx context.Context) error {
	if err := s.rooms.renewIndexes(ctx); err != nil && ctx.Err() == nil {
		s.rooms.sink.Emit(ctx, event.Failed{Where: "index", Err: err})
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for more := true; ; {
		hints := s.rooms.mailbox.Lagged()
		if more {
			hints = nil // what is to be done already waits for nobody
		}
		select {
		case <-ctx.Done():
			return nil
		case <-hints:
			if err := quiet(ctx, s.rooms.mailbox.Lagged()); err != nil {
				return nil
			}
		case <-timer.C:
		}
		start := time.Now()
		var err error
		more, err = s.rooms.indexAll(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.rooms.sink.Emit(ctx, event.Failed{Where: "index", Err: err})
			timer.Reset(retryAfter)
			more = false
		case more:
			timer.Reset(s.rooms.indexPause(time.Since(start)))
		default:
			timer.Reset(indexEvery)
		}
	}
}

// indexPause is how long the next round waits after one that took so long: as
// long again if deliveries come, so that half of a processor is left to them.
func (r *rooms) indexPause(took time.Duration) time.Duration {
	select {
	case <-r.mailbox.Lagged():
		return min(took, indexBreak)
	default:
		return 0
	}
}

// quiet returns when no hint has come for a while, or hints come for too long. Its
// error is that of ctx.
func quiet(ctx context.Context, hints <-chan struct{}) error {
	calm, late := time.NewTimer(indexAfter), time.NewTimer(indexLag)
	defer calm.Stop()
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-hints:
			calm.Reset(indexAfter)
		case <-calm.C:
			return nil
		case <-late.C:
			return nil
		}
	}
}

// renewIndexes lists the accounts whose index an earlier program wrote among those
// that lag. A failure in one does not stop the others.
func (r *rooms) renewIndexes(ctx context.Context) error {
	accounts, failed := r.directory.Accounts(ctx)
	for _, a := range accounts {
		failed = first(failed, r.mailbox.RenewIndex(ctx, a.ID))
	}
	return failed
}

// indexAll takes each account that lags one batch on. A failure in one does not
// stop the others.
func (r *rooms) indexAll(ctx context.Context) (more bool, failed error) {
	for after := mail.AccountID(0); ; {
		page, err := r.mailbox.Lagging(ctx, after, indexPage)
		if err != nil || len(page) == 0 {
			return more, first(failed, err)
		}
		for _, a := range page {
			again, err := r.mailbox.IndexMessages(ctx, a)
			failed = first(failed, err)
			more = more || again
			after = a
		}
	}
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
