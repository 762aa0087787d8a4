package resolver

import (
	"context"
	"errors"
	"sync"
)

// flights lets equal questions at the same time be asked once.
type flights[K comparable, V any] struct {
	mu    sync.Mutex
	byKey map[K]*flight[V]
}

type flight[V any] struct {
	done   chan struct{}
	answer V
	err    error
}

// once gives what ask gives, or what another caller's ask gives who is at it. Where
// that one goes away, another of those who wait asks.
func (f *flights[K, V]) once(ctx context.Context, k K, ask func() (V, error)) (V, error) {
	for {
		f.mu.Lock()
		if f.byKey == nil {
			f.byKey = map[K]*flight[V]{}
		}
		other := f.byKey[k]
		if other == nil {
			own := &flight[V]{done: make(chan struct{}), err: context.Canceled} // should ask panic
			f.byKey[k] = own
			f.mu.Unlock()
			return f.lead(ctx, k, own, ask)
		}
		f.mu.Unlock()
		select {
		case <-other.done:
			if !isContext(other.err) && !errors.Is(other.err, errSpent) {
				return other.answer, other.err
			}
		case <-ctx.Done():
			var none V
			return none, ctx.Err()
		}
	}
}

func (f *flights[K, V]) lead(ctx context.Context, k K, own *flight[V], ask func() (V, error)) (V, error) {
	defer func() {
		f.mu.Lock()
		delete(f.byKey, k)
		f.mu.Unlock()
		close(own.done)
	}()
	v, err := ask()
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	own.answer, own.err = v, err
	return v, err
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
