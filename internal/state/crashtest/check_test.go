package crashtest

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// check compares what is there with the book, and then writes the book anew:
// what is there now was seen.
func (w *world) check() {
	ctx := context.Background()
	copies := make([]map[mail.ArrivalID]int, accounts)
	for i, h := range w.book.holders {
		copies[i] = w.checkAccount(ctx, h)
		problems, err := w.boxes.Verify(ctx, h.id)
		w.must("verifying an account", err)
		for _, p := range problems {
			w.errorf("account %d: %s", h.id, p)
		}
	}
	rows := w.checkQueue(ctx)
	w.checkLetters(ctx, copies, rows)
	w.checkAliases(ctx)
	_, err := w.blobs.Verify(ctx, func(id mail.BlobID, err error) { w.errorf("the body %v: %v", id, err) })
	w.must("verifying the bodies", err)
}

// state is what an account has.
type state struct {
	version mailbox.ModSeq
	boxes   map[mailbox.BoxID]mailbox.Box
	places  map[mailbox.Place]mailbox.Placement
	arrival map[mailbox.MessageID]mail.ArrivalID
}

func (w *world) read(ctx context.Context, h *holder) state {
	var s state
	err := w.boxes.View(ctx, h.id, func(t *mailbox.Tx) error {
		s = state{
			version: t.Version(), boxes: map[mailbox.BoxID]mailbox.Box{},
			places: map[mailbox.Place]mailbox.Placement{}, arrival: map[mailbox.MessageID]mail.ArrivalID{},
		}
		boxes, err := t.Boxes()
		if err != nil {
			return err
		}
		for _, b := range boxes {
			s.boxes[b.ID] = b
			for p, err := range t.Placements(b.ID, 1, b.UIDNext) {
				if err != nil {
					return err
				}
				s.places[mailbox.Place{Box: b.ID, UID: p.UID}] = p
				if _, ok := s.arrival[p.Message]; ok {
					continue
				}
				m, err := t.Message(p.Message)
				if err != nil {
					return err
				}
				s.arrival[p.Message] = m.Arrival
			}
		}
		return nil
	})
	w.must("reading an account", err)
	return s
}

// checkAccount gives how many messages there are of each arrival.
func (w *world) checkAccount(ctx context.Context, h *holder) map[mail.ArrivalID]int {
	s := w.read(ctx, h)
	if s.version < h.version {
		w.errorf("account %d is back at change %d; %d was told", h.id, s.version, h.version)
	}
	for id, told := range h.boxes {
		b, ok := s.boxes[id]
		if !ok || b.UIDValidity != told.UIDValidity || b.UIDNext < told.UIDNext || b.HighestModSeq < told.HighestModSeq {
			w.errorf("mailbox %s: UIDVALIDITY %d, UIDNEXT %d, HIGHESTMODSEQ %d; told were %d, %d, %d", told.Name,
				b.UIDValidity, b.UIDNext, b.HighestModSeq, told.UIDValidity, told.UIDNext, told.HighestModSeq)
		}
	}
	done, undone := 0, 0
	for at, told := range h.spots {
		now, there := s.places[at]
		asked := h.pending != nil && h.pending.places[at]
		changed := w.checkSpot(h, at, told, now, there, asked, s.arrival[now.Message])
		switch {
		case changed:
			done++
		case asked && h.pending.leaves:
			undone++
		}
	}
	if done > 0 && undone > 0 {
		w.errorf("account %d: an expunge or a move was done to %d messages and not to %d", h.id, done, undone)
	}
	copies := map[mail.ArrivalID]int{}
	for id, a := range s.arrival {
		if l := w.book.letters[a]; l == nil {
			w.errorf("message %d in account %d comes from %v, which nobody brought", id, h.id, a)
		}
		copies[a]++
	}
	h.adopt(s)
	return copies
}

// checkSpot compares one placement. It says whether what was asked, and not
// answered, was done to it.
func (w *world) checkSpot(h *holder, at mailbox.Place, told *spot, now mailbox.Placement, there, asked bool, arrival mail.ArrivalID) bool {
	switch {
	case !there && told.gone:
		return false
	case !there && asked && h.pending.leaves:
		return true
	case !there:
		w.errorf("the message at %v is lost", at)
	case told.gone:
		w.errorf("the message at %v was expunged and is there again", at)
	case now.Message != told.message || arrival != told.arrival:
		w.errorf("there is another message at %v", at)
	case now.ModSeq < told.modSeq:
		w.errorf("the message at %v is back at change %d; %d was told", at, now.ModSeq, told.modSeq)
	case told.modSeq == 0 || now.ModSeq == told.modSeq:
		if now.Flags != told.flags && told.modSeq > 0 {
			w.errorf("the message at %v has flags %v; %v were told", at, now.Flags, told.flags)
		}
	case !asked || !h.pending.flags || now.Flags != apply(h.pending.change, told.flags):
		w.errorf("the message at %v was changed by nobody: flags %v, then %v", at, told.flags, now.Flags)
	default:
		return true
	}
	return false
}

// adopt writes down what is there.
func (h *holder) adopt(s state) {
	h.version, h.pending, h.boxes = s.version, nil, s.boxes
	for at, p := range s.places {
		h.saw(p, s.arrival[p.Message])
		h.spots[at].modSeq, h.spots[at].flags = p.ModSeq, p.Flags
	}
	for at, told := range h.spots {
		if _, there := s.places[at]; !there {
			told.gone = true
		}
	}
}

func (w *world) checkAliases(ctx context.Context) {
	all, err := w.people.Aliases(ctx)
	w.must("reading the aliases", err)
	for name, t := range w.book.aliases {
		there := false
		for _, a := range all {
			there = there || a.Address.Local == name
		}
		if there != t.there && there != t.ask {
			w.errorf("alias %s is there: %v; it was %v and %v was asked", name, there, t.there, t.ask)
		}
		t.there, t.ask = there, there
	}
}
