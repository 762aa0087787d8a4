package app

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// note is a service that writes down when it starts and stops.
func note(name string, log chan<- string, fail error) Service {
	return ServiceFunc(func(ctx context.Context) error {
		if fail != nil {
			return fail
		}
		<-ctx.Done()
		time.Sleep(time.Second) // what is in hand
		log <- name
		return nil
	})
}

func TestRunStopsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := make(chan string, 3)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := Run(ctx, note("store", log, nil), note("relay", log, nil), note("doors", log, nil)); err != nil {
			t.Fatal(err)
		}
		if got := []string{<-log, <-log, <-log}; !slices.Equal(got, []string{"doors", "relay", "store"}) {
			t.Errorf("stopped as %v", got)
		}
	})
}

func TestRunEndsAllWhenOneFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := make(chan string, 2)
		broken := errors.New("broken")
		err := Run(t.Context(), note("store", log, nil), note("relay", log, broken), note("doors", log, nil))
		if !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		if got := []string{<-log, <-log}; !slices.Equal(got, []string{"doors", "store"}) {
			t.Errorf("stopped as %v", got)
		}
	})
}
