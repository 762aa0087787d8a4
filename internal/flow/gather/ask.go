package gather

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/judge"
	"github.com/ekiden-mail/ekiden/internal/reach/filter"
)

// timed is an opinion and how long it took.
type timed struct {
	filter.Opinion
	took time.Duration
}

// ask asks filter i about the content. A milter that has its opinion already is
// not asked again.
func (t *Gathering) ask(ctx context.Context, m *filter.Message, i int) (o timed) {
	f, talk := t.filters[i], t.talks[i]
	if talk != nil {
		if said, over := talk.Over(); over {
			return timed{Opinion: said}
		}
	}
	if f.MaxSize > 0 && m.Size > f.MaxSize {
		return timed{Opinion: filter.Opinion{Err: filter.ErrTooLarge}}
	}
	start := time.Now()
	defer func() {
		if p := recover(); p != nil { // what a filter says must not end more than its own question
			o.Opinion = filter.Opinion{Err: fmt.Errorf("panic: %v", p)}
			t.g.o.Sink.Emit(ctx, event.Failed{Where: "filter", Peer: t.show.Peer.Addr, Err: fmt.Errorf("panic: %v\n%s", p, debug.Stack())})
		}
		if o.took = time.Since(start); o.Err != nil && !errors.Is(o.Err, filter.ErrTooLarge) {
			t.failed(ctx, f, o.Err)
		}
	}()
	if talk != nil {
		return timed{Opinion: talk.Content(ctx, m)}
	}
	return timed{Opinion: f.Asker.Ask(ctx, m)}
}

// failed tells that a filter gave no opinion.
func (t *Gathering) failed(ctx context.Context, f Filter, err error) {
	t.g.o.Sink.Emit(ctx, event.FilterFailed{ID: t.show.ID, Filter: f.Name, Err: err})
}

// said is the filter's opinion as evidence.
func (f Filter) said(o timed) judge.Opinion {
	e := judge.Opinion{Filter: f.Name, Took: o.took, Reason: o.Reason, Reply: o.Reply}
	if o.Err != nil {
		e.Failed, e.TooLarge, e.Reason = true, errors.Is(o.Err, filter.ErrTooLarge), o.Err.Error()
		return e
	}
	switch o.Says {
	case filter.Nothing:
		if slices.ContainsFunc(o.Edits, f.isJunk) {
			e.Wants = judge.Junk
		}
	case filter.Junk:
		e.Wants = judge.Junk
	case filter.Hold:
		e.Wants = judge.Hold
	case filter.Defer:
		e.Wants = judge.Defer
	case filter.Discard:
		e.Wants = judge.Discard
	case filter.Reject:
		e.Wants = judge.Reject
	}
	return e
}

// isJunk says whether a change is the filter's way to say junk.
func (f Filter) isJunk(e filter.Edit) bool {
	switch e.Change {
	case filter.AddField, filter.InsertField, filter.ChangeField:
		value := strings.TrimSpace(e.Value)
		return f.JunkName != "" && strings.EqualFold(e.Name, f.JunkName) &&
			len(value) >= len(f.JunkValue) && strings.EqualFold(value[:len(f.JunkValue)], f.JunkValue)
	}
	return false
}
