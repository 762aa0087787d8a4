package mailbox

import (
	"errors"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Add lays a message down in a mailbox. With an Arrival that was added to this
// mailbox before it changes nothing and gives the placement of then, which may
// have moved on or be gone by now; one that was added to another mailbox of the
// account gives the same message a second place. Flags that whoever adds has no
// right to set are left out (RFC 4314 §4). Add does not ask about quota: see
// Usage.Room.
func (t *Tx) Add(id BoxID, m NewMessage) (Placement, error) {
	const op = "mailbox.Add"
	if err := t.begin(op); err != nil {
		return Placement{}, err
	}
	defer t.done()
	if len(m.Prefix) > MaxPrefix {
		return Placement{}, fault.Newf(fault.TooLarge, op, "a prefix has at most %d octets", MaxPrefix)
	}
	if err := checkKeywords(m.Keywords); err != nil {
		return Placement{}, err
	}
	b, err := t.may(id, RightInsert)
	if err != nil {
		return Placement{}, err
	}
	rights, err := t.rights(b)
	if err != nil {
		return Placement{}, err
	}
	arrival, before, err := t.arrived(m.Arrival, id)
	if err != nil || before != nil {
		return t.addedBefore(id, arrival, before, err)
	}
	if !rights.Has(RightWrite) {
		m.Keywords = nil
	}
	words, err := t.keywordNumbers(m.Keywords, true)
	if err != nil {
		return Placement{}, err
	}
	row := placementRow{flags: m.Flags & rights.flags(), keywords: words, received: m.Received, saved: now()}
	mine := t.ownSeen(&row)
	var ms *messageState
	if arrival.message != 0 {
		ms, err = t.message(arrival.message)
	}
	if ms == nil && (err == nil || fault.Is(err, fault.NotFound)) {
		ms, err = t.create(m)
	}
	if err != nil {
		return Placement{}, err
	}
	row.size, row.received = ms.row.Size, ms.row.Received
	p, err := t.place(b, ms, row)
	if err == nil && mine {
		_, err = t.setMark(b, p.uid, true)
	}
	if IsUIDL(m.UIDL) {
		t.set(t.boxKey(tagUIDL, id).Uint32(p.uid), uidlRow(m.UIDL))
	}
	if err != nil {
		return Placement{}, err
	}
	if m.Arrival != (mail.ArrivalID{}) {
		arrival.message = ms.row.ID
		arrival.places = append(arrival.places, Place{id, p.uid})
		t.set(t.arrivalKey(m.Arrival), arrival.encode())
	}
	return t.exportPlacement(id, p)
}

// arrived reads what an arrival became, and its place in mailbox id if it was
// added there before.
func (t *Tx) arrived(a mail.ArrivalID, id BoxID) (r arrivalRow, before *Place, err error) {
	if a == (mail.ArrivalID{}) {
		return r, nil, nil
	}
	rows, err := t.strange("mailbox.Add", t.arrivalKey(a))
	if err == nil && rows[0] != nil {
		r, err = decodeArrival(rows[0])
		err = fault.As(fault.Corrupt, "mailbox.Add", err)
	}
	if i := slices.IndexFunc(r.places, func(p Place) bool { return p.Box == id }); i >= 0 {
		before = &r.places[i]
	}
	return r, before, err
}

func (t *Tx) addedBefore(id BoxID, r arrivalRow, before *Place, err error) (Placement, error) {
	if err != nil {
		return Placement{}, err
	}
	p, err := t.Placement(id, before.UID)
	if fault.Is(err, fault.Expunged) {
		return Placement{Box: id, UID: before.UID, Message: r.message}, nil
	}
	return p, err
}

func (t *Tx) keywordNumbers(words []string, grow bool) ([]uint32, error) {
	if len(words) == 0 {
		return nil, nil
	}
	k, err := t.keywords()
	if err != nil {
		return nil, err
	}
	was := k.dirty
	n, err := k.numbers(words, grow)
	if k.dirty && !was {
		t.weigh(len(k.encode()))
	}
	return n, err
}

// create writes the rows of a message that comes.
func (t *Tx) create(m NewMessage) (*messageState, error) {
	m.Prepare()
	r := messageRow{threads: m.threads, Message: Message{
		Blob: m.Content.ID(), Prefix: m.Prefix, Size: int64(len(m.Prefix)) + m.Content.Size(),
		Received: m.Received.UTC(), Arrival: m.Arrival,
	}}
	return t.enter(r, m.Content, m.view)
}

// Prepare makes of the index what Add keeps of it. Add does so itself, but inside
// the transaction, while others wait for the account. The index may not change
// afterwards.
func (m *NewMessage) Prepare() {
	if m.prepared || m.Index == nil {
		return
	}
	m.prepared, m.view, m.threads = true, m.Index.Marshal(), threadKeys(m.Index)
}

// Deliver lays a message down in the mailbox that has the role, or else INBOX, of
// an account that is provisioned if it is not yet: what a delivery does, in one
// call. See Add.
func (t *Tx) Deliver(r Role, m NewMessage) (Placement, error) {
	if err := t.beginOwn("mailbox.Deliver"); err != nil {
		return Placement{}, err
	}
	defer t.done()
	defer func(hold bool) { t.hold = hold }(t.hold)
	t.hold = true // what is read now is not read again
	if err := t.Provision(); err != nil {
		return Placement{}, err
	}
	box, err := t.roleBox(r)
	if box == 0 && err == nil {
		box, err = t.lookup([]string{inbox})
	}
	if err != nil {
		return Placement{}, err
	}
	return t.Add(box, m)
}

// roleBox is the mailbox that has a role, 0 if none has.
func (t *Tx) roleBox(r Role) (BoxID, error) {
	if r == RoleNone {
		return 0, nil
	}
	v, ok, err := t.r.Get(t.roleKey(r))
	if err != nil || !ok {
		return 0, fault.Wrap("mailbox.BoxByRole", err)
	}
	return decodeID(v)
}

// enter writes a message's own rows: itself, its view, its thread. It gets a new
// id, and no place yet.
func (t *Tx) enter(m messageRow, h blob.Handle, view []byte) (*messageState, error) {
	a, err := t.acctRow()
	if err != nil {
		return nil, err
	}
	id := a.lastMessage + 1
	r := &m
	r.ID, r.Created, r.Places = id, t.seq(), nil
	if err := t.joinThread(r); err != nil {
		return nil, err
	}
	if view != nil {
		t.set(t.msgKey(tagView, id), view)
	}
	blob.Refer(t.w, h, t.owner(id))
	// The reference and, where the blob is fresh, its location or body.
	t.weigh(int(min(h.Size(), 64<<10)))
	t.load.writes++
	t.lag()
	a.lastMessage = id
	a.usage.Messages++
	a.usage.Octets += r.Size
	a.states.Thread = t.seq()
	t.acctChanged()
	ms := &messageState{row: r}
	t.messages[id] = ms
	t.messageChanged(ms)
	return ms, nil
}

// destroy removes a message that has lost its last place, p in b. Unless nothing
// is to be kept it can be restored.
func (t *Tx) destroy(m *messageState, b *boxState, p placed) (lone bool, err error) {
	a, err := t.acctRow()
	if err != nil {
		return false, err
	}
	id := m.row.ID
	if lone, err = t.leaveThread(m.row); err != nil {
		return false, err
	}
	t.del(t.msgKey(tagMessage, id))
	if t.store.keep < 0 {
		t.del(t.msgKey(tagView, id))
		blob.Release(t.w, m.row.Blob, t.owner(id))
		t.load.writes += 2
	} else if err := t.bury(m.row, b, p); err != nil {
		return false, err
	}
	m.due = false
	delete(t.messages, id)
	a.usage.Messages--
	a.usage.Octets -= m.row.Size
	a.states.Thread = t.seq()
	t.acctChanged()
	return lone, nil
}

// Message is a message of the account, or fault.NotFound.
func (t *Tx) Message(id MessageID) (Message, error) {
	m, err := t.message(id)
	if err != nil {
		return Message{}, err
	}
	return t.exportMessage(m.row)
}

// exportMessage is a message as others see it: without its places in mailboxes
// that are going, or that they may not read; fault.NotFound if that is all of them.
func (t *Tx) exportMessage(r *messageRow) (Message, error) {
	out := r.Message
	out.Places = make([]Place, 0, len(r.Places))
	for _, p := range r.Places {
		q, ok, err := t.placeOf(p)
		if ok && t.foreign() {
			ok, err = t.readable(q.Box)
		}
		if err != nil {
			return Message{}, err
		}
		if ok {
			out.Places = append(out.Places, q)
		}
	}
	if t.foreign() && len(out.Places) == 0 {
		return Message{}, errNoMessage()
	}
	return out, nil
}

// Index is what was kept of a message when it came: its header fields for
// lists, and its parts; also of one that is gone and can be restored. fault.NotFound if the message is not there or was added
// without one.
func (t *Tx) Index(id MessageID) (*message.Index, error) {
	var ix *message.Index
	if t.foreign() {
		if _, err := t.Message(id); err != nil {
			return nil, err
		}
	}
	ok, err := t.get("mailbox.Index", t.msgKey(tagView, id), func(v []byte) (err error) {
		ix, err = message.Unmarshal(v)
		return err
	})
	if err == nil && !ok {
		err = fault.As(fault.NotFound, "mailbox.Index", errors.New("no view"))
	}
	return ix, err
}
