package app

import (
	"context"
	"errors"
	"sync"
)

// Service is a part of the server that runs until told to stop.
type Service interface {
	// Run works until ctx is done, lets what is in hand finish, and returns. It
	// leaves no goroutine behind.
	Run(ctx context.Context) error
}

// ServiceFunc makes a Service of a function.
type ServiceFunc func(ctx context.Context) error

// Run calls f.
func (f ServiceFunc) Run(ctx context.Context) error { return f(ctx) }

// Run starts the services in the order listed and stops them in the opposite
// one, each fully before the one it stands on. Any service that ends early
// stops all. It returns what went wrong, if anything did.
func Run(ctx context.Context, services ...Service) error {
	type running struct {
		stop context.CancelFunc
		done chan struct{}
	}
	var (
		started []running
		mu      sync.Mutex
		errs    []error
	)
	ended := make(chan struct{}, len(services))
	for _, s := range services {
		// A service outlives ctx until its turn to stop comes.
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		r := running{stop, make(chan struct{})}
		started = append(started, r)
		go func() {
			defer close(r.done)
			err := s.Run(own)
			if own.Err() == nil && err == nil {
				err = errors.New("a service ended early")
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
			ended <- struct{}{}
		}()
	}
	select {
	case <-ctx.Done():
	case <-ended:
	}
	for i := len(started) - 1; i >= 0; i-- {
		started[i].stop()
		<-started[i].done
	}
	return errors.Join(errs...)
}
