package crashtest

import (
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// book is what the world was told before the cut, and what it had asked for.
// The disk's lock guards it (disk.tell).
type book struct {
	letters map[mail.ArrivalID]*letter
	flying  []*letter // asked for and not answered, or lately answered
	holders []*holder
	parcels map[queue.Ref]*parcel
	aliases map[string]*toggle
}

// letter is a delivery.
type letter struct {
	id       mail.ArrivalID
	accounts []int // by index in holders
	remote   []mail.Address
	blob     mail.BlobID
	unique   bool // nobody else has this content
	accepted bool // answered
	shown    bool // something of it was seen
}

func (l *letter) promised() bool { return l.accepted || l.shown }

// holder is an account with one user, who alone changes flags and places.
type holder struct {
	id      mail.AccountID
	version mailbox.ModSeq
	boxes   map[mailbox.BoxID]mailbox.Box
	spots   map[mailbox.Place]*spot
	pending *pending
}

// spot is a placement as last told.
type spot struct {
	message mailbox.MessageID
	arrival mail.ArrivalID
	modSeq  mailbox.ModSeq
	flags   mail.Flags
	gone    bool // its end was answered
}

// pending is what the user has asked for and was not answered.
type pending struct {
	places  map[mailbox.Place]bool
	change  mailbox.FlagChange
	flags   bool // the flags change
	leaves  bool // the places end
	arrives bool // places elsewhere begin
}

// parcel is a delivery that waits in the queue.
type parcel struct {
	attempts int
	ended    bool
	asked    *queue.Delivery // settled, and not answered
}

// toggle is a thing that is there or not; ask is what was asked for last.
type toggle struct{ there, ask bool }

func newBook() *book {
	return &book{
		letters: map[mail.ArrivalID]*letter{}, parcels: map[queue.Ref]*parcel{}, aliases: map[string]*toggle{},
	}
}

func (h *holder) sawVersion(v mailbox.ModSeq) { h.version = max(h.version, v) }

func (h *holder) sawBox(b mailbox.Box) {
	if old, ok := h.boxes[b.ID]; !ok || old.HighestModSeq <= b.HighestModSeq && old.UIDNext <= b.UIDNext {
		h.boxes[b.ID] = b
	}
}

// saw notes a placement; what is older than what is known already says nothing.
func (h *holder) saw(p mailbox.Placement, arrival mail.ArrivalID) {
	at := mailbox.Place{Box: p.Box, UID: p.UID}
	s := h.spots[at]
	if s == nil {
		s = &spot{message: p.Message, arrival: arrival}
		h.spots[at] = s
	}
	if p.ModSeq > s.modSeq {
		s.modSeq, s.flags = p.ModSeq, p.Flags
	}
}

// apply is what a change makes of flags.
func apply(c mailbox.FlagChange, f mail.Flags) mail.Flags {
	switch c.Op {
	case mailbox.FlagsAdd:
		return f | c.Flags
	case mailbox.FlagsRemove:
		return f &^ c.Flags
	}
	return c.Flags
}
