package gather

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/filter"
)

// ask is a filter that does what a test wants.
type ask func(ctx context.Context, m *filter.Message) filter.Opinion

func (a ask) Ask(ctx context.Context, m *filter.Message) filter.Opinion { return a(ctx, m) }

func says(o filter.Opinion) ask {
	return func(context.Context, *filter.Message) filter.Opinion { return o }
}

// sink keeps the names of events.
type sink struct {
	mu  sync.Mutex
	all []string
}

func (s *sink) Emit(_ context.Context, e event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, e.Name())
}

// evidence asks filters about a letter and gives what they said in words,
// without the times.
func evidence(t *testing.T, budget time.Duration, filters ...Filter) (said string, events []string) {
	t.Helper()
	blobs, heard := store(t), &sink{}
	for i := range filters {
		filters[i].Inbound = true
	}
	g := New(Options{Filters: filters, Budget: budget, Blobs: blobs, Sink: heard})
	h, err := blobs.Put(t.Context(), []byte("Subject: x\r\n\r\nbody\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	a := &mail.Arrival{}
	asked := g.Begin(t.Context(), a, false)
	defer asked.Close()
	e, d, err := asked.Content(t.Context(), a, h)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	for i := range e.Filters {
		e.Filters[i].Took = 0
	}
	return e.String(), heard.all
}

// TestTogether has filters that give only opinions asked at once: each waits
// until all have been asked.
func TestTogether(t *testing.T) {
	var all sync.WaitGroup
	all.Add(3)
	together := ask(func(context.Context, *filter.Message) filter.Opinion {
		all.Done()
		all.Wait()
		return filter.Opinion{}
	})
	if got, _ := evidence(t, time.Minute, Filter{Name: "a", Asker: together}, Filter{Name: "b", Asker: together}, Filter{Name: "c", Asker: together}); got != "a: ok; b: ok; c: ok" {
		t.Error(got)
	}
}

func TestAsking(t *testing.T) {
	nobody := Filter{Name: "m", Milter: filter.NewMilter(filter.MilterOptions{Network: "unix", Address: "/nonexistent/socket", Timeout: time.Second})}
	for _, c := range []struct {
		name    string
		filters []Filter
		want    string
		events  string
	}{
		{"the order is the configuration's", []Filter{
			{Name: "slow", Asker: ask(func(context.Context, *filter.Message) filter.Opinion {
				time.Sleep(20 * time.Millisecond)
				return filter.Opinion{Says: filter.Junk, Reason: "r"}
			})}, {Name: "fast", Asker: says(filter.Opinion{})},
		}, "slow: junk (r); fast: ok", ""},
		{"too large", []Filter{{Name: "a", MaxSize: 10, Asker: says(filter.Opinion{Says: filter.Reject})}, {Name: "b", MaxSize: 20, Asker: says(filter.Opinion{})}},
			"a: not asked (the message is larger than the filter is shown); b: ok", ""},
		{"a failure", []Filter{{Name: "a", Asker: says(filter.Opinion{Err: errors.New("oh")})}}, "a: failed (oh)", "filter.failed"},
		{"a panic", []Filter{{Name: "a", Asker: ask(func(context.Context, *filter.Message) filter.Opinion { panic("oh") })}, {Name: "b", Asker: says(filter.Opinion{})}},
			"a: failed (panic: oh); b: ok", "internal.failed filter.failed"},
		{"nobody there is told once", []Filter{nobody}, "m: failed (dial unix /nonexistent/socket: connect: no such file or directory)", "filter.failed"},
		{"after a refusal nobody is asked", []Filter{{Name: "a", Asker: says(filter.Opinion{Says: filter.Reject})}, nobody, {Name: "b", Asker: says(filter.Opinion{})}},
			"a: reject", "filter.failed"}, // at MAIL
		{"a field that means junk", []Filter{
			{Name: "a", JunkName: "X-Spam", JunkValue: "yes", Asker: says(filter.Opinion{Edits: []filter.Edit{{Change: filter.AddField, Name: "x-spam", Value: " Yes, 7"}}})},
			{Name: "b", JunkName: "X-Spam", JunkValue: "yes", Asker: says(filter.Opinion{Edits: []filter.Edit{{Change: filter.AddField, Name: "X-Spam", Value: " ye"}}})},
			{Name: "c", Asker: says(filter.Opinion{Edits: []filter.Edit{{Change: filter.RemoveFields, Name: "X-Spam"}}})},
		}, "a: junk [add field x-spam]; b: ok [add field X-Spam]; c: ok [remove fields X-Spam]", ""},
		{"changes are told", []Filter{{Name: "a", Asker: says(filter.Opinion{Edits: []filter.Edit{
			{Change: filter.AddField, Name: "X-A"}, {Change: filter.AddRecipient, Address: mail.Address{Local: "x", Domain: "y.test"}}, {Change: filter.ChangeSender},
			{Change: filter.RemoveFields, Name: "X-B"}, {Change: filter.RemoveFields, Name: "X-A"},
		}})}}, "a: ok [add field X-A, add recipient x@y.test, remove fields X-A]", ""},
	} {
		got, events := evidence(t, time.Minute, c.filters...)
		if got != c.want || strings.Join(events, " ") != c.events {
			t.Errorf("%s: %q %q, want %q %q", c.name, got, events, c.want, c.events)
		}
	}
}

// TestBudget has filters that never answer: all are cut off at one time.
func TestBudget(t *testing.T) {
	never := ask(func(ctx context.Context, _ *filter.Message) filter.Opinion {
		<-ctx.Done()
		return filter.Opinion{Err: ctx.Err()}
	})
	start := time.Now()
	got, _ := evidence(t, 30*time.Millisecond, Filter{Name: "a", Asker: never}, Filter{Name: "b", Asker: never})
	if want := "a: failed (context deadline exceeded); b: failed (context deadline exceeded)"; got != want || time.Since(start) > 5*time.Second {
		t.Errorf("%s after %v", got, time.Since(start))
	}
}
