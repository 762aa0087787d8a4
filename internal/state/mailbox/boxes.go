package mailbox

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// provisioned are the mailboxes a new account has, subscribed.
var provisioned = [...]struct {
	name string
	role Role
}{
	{inbox, RoleInbox}, {"Sent", RoleSent}, {"Drafts", RoleDrafts},
	{"Trash", RoleTrash}, {"Junk", RoleJunk}, {"Archive", RoleArchive},
}

// Provision gives a new account its mailboxes. An account that has any is left
// as it is, so that a mailbox its owner removed stays away.
func (t *Tx) Provision() error {
	if err := t.beginOwn("mailbox.Provision"); err != nil {
		return err
	}
	defer t.done()
	a, err := t.acctRow()
	if err != nil || a.lastBox > 0 {
		return err
	}
	for _, p := range provisioned {
		b, err := t.insertBox(0, p.name, p.role)
		if err != nil {
			return err
		}
		b.row.Subscribed = true
	}
	return nil
}

// lookup finds a mailbox by its levels; 0 if there is none.
func (t *Tx) lookup(levels []string) (BoxID, error) {
	var id BoxID
	for _, leaf := range levels {
		v, ok, err := t.r.Get(t.nameKey(id, leaf))
		if err != nil {
			return 0, fault.Wrap("mailbox.lookup", err)
		}
		if !ok {
			return 0, nil
		}
		if id, err = decodeID(v); err != nil {
			return 0, err
		}
	}
	return id, nil
}

func encodeID(id BoxID) []byte { return putUint([]byte{format1}, uint64(id)) }

func decodeID(v []byte) (BoxID, error) {
	d := open(v)
	id := BoxID(d.uint())
	return id, fault.As(fault.Corrupt, "mailbox.lookup", d.done())
}

// fullName is a mailbox's name with all its levels.
func (t *Tx) fullName(r *boxRow) (string, error) {
	name := r.leaf
	for depth, up := 0, r.Parent; up != 0; depth++ {
		p, err := t.state(up)
		if err != nil {
			return "", err
		}
		if p.row == nil || depth > MaxDepth {
			return "", fault.As(fault.Corrupt, "mailbox.box", errors.New("broken chain of parents"))
		}
		name, up = p.row.leaf+Separator+name, p.row.Parent
	}
	return name, nil
}

// Box is the mailbox with that id, or fault.NotFound.
func (t *Tx) Box(id BoxID) (Box, error) {
	b, err := t.live(id)
	if err != nil {
		return Box{}, err
	}
	return t.export(b)
}

func (t *Tx) export(b *boxState) (Box, error) {
	box := b.row.Box
	box.Account = t.account
	if t.foreign() {
		h, err := t.markHead(b)
		if err != nil {
			return box, err
		}
		box.Unseen = box.Messages - min(h.seen, box.Messages)
		box.HighestModSeq = max(box.HighestModSeq, h.highest)
		box.Role, box.Subscribed = RoleNone, false // these are the owner's
	}
	var err error
	box.Name, err = t.fullName(b.row)
	return box, err
}

// BoxByName is the mailbox of that name, or fault.NotFound, also for what can be
// no name.
func (t *Tx) BoxByName(name string) (Box, error) {
	levels, err := parseName(name)
	if err != nil {
		return Box{}, fault.New(fault.NotFound, "mailbox.BoxByName", "there is no such mailbox")
	}
	id, err := t.lookup(levels)
	if err != nil {
		return Box{}, err
	}
	return t.Box(id)
}

// BoxByRole is the mailbox that has the role, or fault.NotFound.
func (t *Tx) BoxByRole(r Role) (Box, error) {
	id, err := t.roleBox(r)
	if err != nil {
		return Box{}, err
	}
	return t.Box(id)
}

// Boxes is all mailboxes, to others than the owner those with RightLookup: INBOX
// first, then by name, each before those within it.
func (t *Tx) Boxes() ([]Box, error) {
	t.sync()
	var boxes []Box
	for p, err := range t.r.Scan(kv.Prefix(t.key(tagBox))) {
		if err != nil {
			return nil, fault.Wrap("mailbox.Boxes", err)
		}
		k := kv.ReadKey(p.Key, t.key(tagBox))
		id := BoxID(k.Uint64())
		row, err := decodeBox(id, p.Value)
		if err = errors.Join(err, k.Err()); err != nil {
			return nil, fault.As(fault.Corrupt, "mailbox.Boxes", err)
		}
		if t.boxes[id] == nil {
			t.boxes[id] = &boxState{row: &row, blocks: map[UID]*block{}}
		}
		if !row.doomed && !row.hidden {
			boxes = append(boxes, row.Box)
		}
	}
	listed := boxes[:0]
	for _, row := range boxes {
		b, err := t.state(row.ID)
		if err != nil {
			return nil, err
		}
		if r, err := t.rights(b); err != nil {
			return nil, err
		} else if !r.Has(RightLookup) {
			continue
		}
		box, err := t.export(b)
		if err != nil {
			return nil, err
		}
		listed = append(listed, box)
	}
	boxes = listed
	slices.SortFunc(boxes, func(a, b Box) int { return compareNames(a.Name, b.Name) })
	return boxes, nil
}

// insertBox makes a mailbox that is known not to be there.
func (t *Tx) insertBox(parent BoxID, leaf string, role Role) (*boxState, error) {
	a, err := t.acctRow()
	if err != nil {
		return nil, err
	}
	if a.boxes >= MaxBoxes {
		return nil, fault.Newf(fault.TooMany, "mailbox.CreateBox", "an account has at most %d mailboxes", MaxBoxes)
	}
	// Counting from the clock keeps the numbers new even where an account is
	// removed and another one takes its address (RFC 9051 §2.3.1.1).
	a.lastUIDValidity = max(a.lastUIDValidity+1, uint32(time.Now().Unix()))
	a.lastBox++
	a.boxes++
	a.states.Mailbox = t.seq()
	t.acctChanged()
	b := &boxState{blocks: map[UID]*block{}, row: &boxRow{leaf: leaf, Box: Box{
		ID: a.lastBox, Parent: parent, Role: role, UIDValidity: a.lastUIDValidity, UIDNext: 1,
		HighestModSeq: t.seq(), Changed: t.seq(), Created: t.seq(),
	}}}
	t.boxes[a.lastBox] = b
	t.changed(b)
	t.set(t.nameKey(parent, leaf), encodeID(a.lastBox))
	if role != RoleNone {
		t.set(t.roleKey(role), encodeID(a.lastBox))
	}
	return b, t.inherit(b)
}

// CreateBox makes a mailbox and the parents it lacks (RFC 9051 §6.3.4). One
// separator at the end is ignored. A subscription left by an earlier mailbox of
// the name holds. fault.Exists if the name, or the role, is taken;
// fault.Unsupported for what can be no name.
func (t *Tx) CreateBox(name string, role Role) (Box, error) {
	if err := t.begin("mailbox.CreateBox"); err != nil {
		return Box{}, err
	}
	defer t.done()
	levels, err := parseName(strings.TrimSuffix(name, Separator))
	if err != nil {
		return Box{}, err
	}
	if id, err := t.lookup(levels); err != nil {
		return Box{}, err
	} else if id != 0 {
		if _, err := t.live(id); err != nil { // that it is there is not told
			return Box{}, errNotYours()
		}
		return Box{}, fault.New(fault.Exists, "mailbox.CreateBox", "that mailbox exists already")
	}
	if err := t.mayCreate(levels); err != nil {
		return Box{}, err
	}
	if role != RoleNone {
		if _, err := t.BoxByRole(role); err == nil {
			return Box{}, fault.New(fault.Exists, "mailbox.CreateBox", "another mailbox has that role")
		} else if !fault.Is(err, fault.NotFound) {
			return Box{}, err
		}
	}
	parent, err := t.makeParents(levels)
	if err != nil {
		return Box{}, err
	}
	b, err := t.insertBox(parent, levels[len(levels)-1], role)
	if err != nil {
		return Box{}, err
	}
	if err := t.adoptSubscription(b, strings.Join(levels, Separator)); err != nil {
		return Box{}, err
	}
	return t.export(b)
}

// makeParents makes what lacks above the last of levels and gives its parent.
func (t *Tx) makeParents(levels []string) (BoxID, error) {
	var parent BoxID
	for i, leaf := range levels[:len(levels)-1] {
		id, err := t.lookup(levels[:i+1])
		if err != nil {
			return 0, err
		}
		if id == 0 {
			b, err := t.insertBox(parent, leaf, RoleNone)
			if err != nil {
				return 0, err
			}
			if err := t.adoptSubscription(b, strings.Join(levels[:i+1], Separator)); err != nil {
				return 0, err
			}
			id = b.row.ID
		}
		parent = id
	}
	return parent, nil
}

// renamed notes a change to a mailbox's name, role or subscription.
func (t *Tx) renamed(b *boxState) error {
	a, err := t.acctRow()
	if err != nil {
		return err
	}
	b.row.Changed, a.states.Mailbox = t.seq(), t.seq()
	t.changed(b)
	t.acctChanged()
	return nil
}

// RenameBox gives a mailbox, and with it those within it, another name, and
// makes the parents that lacks (RFC 9051 §6.3.6). Ids, UIDs and subscriptions
// stay. fault.Exists if the name is taken, fault.Unsupported if it can be no
// name or lies within the mailbox itself.
//
// RENAME of INBOX moves its messages and leaves an empty INBOX with the
// mailboxes within it. This costs the same for any number of messages: the
// mailbox is renamed with its UIDs, and INBOX becomes a new one.
func (t *Tx) RenameBox(from, to string) error {
	const op = "mailbox.RenameBox"
	if err := t.begin(op); err != nil {
		return err
	}
	defer t.done()
	old, err := t.BoxByName(from)
	if err != nil {
		return err
	}
	levels, err := parseName(strings.TrimSuffix(to, Separator))
	if err != nil {
		return err
	}
	name := strings.Join(levels, Separator)
	if id, err := t.lookup(levels); err != nil {
		return err
	} else if id != 0 {
		return fault.New(fault.Exists, op, "that mailbox exists already")
	}
	if _, err := t.may(old.ID, RightDelete); err != nil {
		return err
	}
	if err := t.mayCreate(levels); err != nil {
		return err
	}
	isInbox := old.Name == inbox
	if !isInbox && strings.HasPrefix(name, old.Name+Separator) {
		return fault.New(fault.Unsupported, op, "a mailbox cannot lie within itself")
	}
	if grows := len(levels) - strings.Count(old.Name, Separator) - 1; grows > 0 && !isInbox {
		if err := t.checkDepth(old.Name, grows); err != nil {
			return err
		}
	}
	if isInbox && t.foreign() {
		return fault.New(fault.Denied, op, "only its owner renames INBOX")
	}
	if isInbox {
		if err := t.splitInbox(old.ID); err != nil {
			return err
		}
	}
	parent, err := t.makeParents(levels)
	if err != nil {
		return err
	}
	b, err := t.live(old.ID)
	if err != nil {
		return err
	}
	if !isInbox {
		t.del(t.nameKey(b.row.Parent, b.row.leaf))
	}
	b.row.Parent, b.row.leaf = parent, levels[len(levels)-1]
	t.set(t.nameKey(parent, b.row.leaf), encodeID(old.ID))
	if err := t.adoptSubscription(b, name); err != nil {
		return err
	}
	return t.renamed(b)
}

// checkDepth refuses a rename that would push a descendant below MaxDepth.
func (t *Tx) checkDepth(name string, grows int) error {
	all, err := t.Boxes()
	if err != nil {
		return err
	}
	for _, b := range all {
		if strings.HasPrefix(b.Name, name+Separator) && strings.Count(b.Name, Separator)+1+grows > MaxDepth {
			return fault.Newf(fault.Unsupported, "mailbox.RenameBox", "a mailbox name has at most %d levels", MaxDepth)
		}
	}
	return nil
}

// splitInbox takes role, name, subscription and children from the old INBOX and
// gives them to a new one.
func (t *Tx) splitInbox(old BoxID) error {
	b, err := t.live(old)
	if err != nil {
		return err
	}
	fresh, err := t.insertBox(0, inbox, RoleInbox)
	if err != nil {
		return err
	}
	fresh.row.Subscribed, b.row.Subscribed = b.row.Subscribed, false
	b.row.Role = RoleNone
	if err := t.copyAnnotations(old, fresh.row.ID); err != nil {
		return err
	}
	r := kv.Prefix(t.boxKey(tagName, old))
	r.Limit = maxPiece + 1
	var children []BoxID
	for p, err := range t.r.Scan(r) {
		if err != nil {
			return fault.Wrap("mailbox.RenameBox", err)
		}
		id, err := decodeID(p.Value)
		if err != nil {
			return err
		}
		children = append(children, id)
	}
	if len(children) > maxPiece {
		return fault.New(fault.TooLarge, "mailbox.RenameBox", "INBOX has too many mailboxes within it to be renamed")
	}
	for _, id := range children {
		c, err := t.live(id)
		if err != nil {
			return err
		}
		t.del(t.nameKey(old, c.row.leaf))
		c.row.Parent = fresh.row.ID
		t.set(t.nameKey(fresh.row.ID, c.row.leaf), encodeID(id))
		if err := t.renamed(c); err != nil {
			return err
		}
	}
	return nil
}
