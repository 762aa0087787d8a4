package mailbox

import (
	"context"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"
)

// listGone is what can be restored, the last to go first.
func (b *bench) listGone(f GoneFilter) (all []Gone) {
	b.t.Helper()
	for g, err := range b.Gone(context.Background(), alice, f) {
		b.must(err)
		all = append(all, g)
	}
	return all
}

func (m *model) compareGone() {
	got := map[MessageID]modelGone{}
	for _, g := range m.listGone(GoneFilter{}) {
		id := g.Message.ID
		got[id] = modelGone{g.Mailbox, modelMail{id, g.Flags, joinWords(g.Keywords), 0}}
	}
	want := maps.Clone(m.gone)
	for id, g := range want {
		g.modSeq = 0
		want[id] = g
	}
	if !maps.Equal(got, want) {
		m.t.Fatalf("gone are %v, want %v", got, want)
	}
	m.view(func(t *Tx) error {
		u, err := t.GoneUsage()
		equal(m.t, "gone messages", u.Messages, int64(len(want)))
		return err
	})
}

func (m *model) restore(*rapid.T) {
	all := m.listGone(GoneFilter{})
	var ids []GoneID
	var want []modelGone
	into := rapid.SampledFrom(append(slices.Sorted(maps.Keys(m.boxes)), "", "")).Draw(m.rt, "into")
	for range rapid.IntRange(0, 6).Draw(m.rt, "n") {
		if len(all) == 0 {
			break
		}
		g := rapid.SampledFrom(all).Draw(m.rt, "gone")
		if !slices.Contains(ids, g.ID) {
			want = append(want, m.gone[g.Message.ID])
		}
		ids = append(ids, g.ID)
	}
	got, err := m.Restore(context.Background(), alice, alice, append(ids, GoneID{1, 1}), into)
	m.must(err)
	equal(m.t, "restored", len(got), len(want))
	for i, w := range want {
		name := into
		if name == "" {
			name = w.name
		}
		if m.boxes[name] == nil {
			name = "INBOX"
		}
		b := m.boxes[name]
		equal(m.t, "restored to", Place{got[i].Box, got[i].UID}, Place{b.id, b.next})
		old := w.message
		if m.gone[got[i].Message].message != 0 || got[i].Message == old {
			m.t.Fatalf("message %d was there before", got[i].Message)
		}
		w.message, w.flags, w.modSeq = got[i].Message, w.flags&^deleted, 0
		b.mails[b.next] = w.modelMail
		b.next++
		delete(m.gone, old)
		m.rearrived(old, w.message)
	}
}

// rearrived follows the arrival of a message that was restored.
func (m *model) rearrived(old, id MessageID) {
	a, ok := m.cameAs[old]
	if !ok || m.became[a] != 0 && m.became[a] != old {
		return
	}
	m.cameAs[id], m.became[a] = a, id
	if m.arrivals[a] == nil {
		m.arrivals[a] = map[BoxID]bool{}
	}
}

// purge forgets all that is gone.
func (m *model) purge(*rapid.T) {
	m.must(m.Purge(context.Background(), alice, time.Now().Add(time.Hour)))
	clear(m.gone)
}
