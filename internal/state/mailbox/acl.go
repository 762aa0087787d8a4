package mailbox

import (
	"cmp"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// MaxACL is how many may have rights to one mailbox.
const MaxACL = 1_000

// Subject is who has a right, or with Negative has it not, whatever else gives
// it to him (RFC 4314 §2). The zero Account is anyone of the owner's circle, see
// Options.Circle.
type Subject struct {
	Account  mail.AccountID
	Negative bool
}

// ACL is an entry of a mailbox's access control list.
type ACL struct {
	Subject
	Rights Rights
}

// aclRow is the list of one mailbox, without its owner, whose rights are not
// written down anywhere and so cannot be lost. It is sorted by account.
type aclRow []ACL

func (r aclRow) encode() []byte {
	b := []byte{format1}
	for _, e := range r {
		kind := uint64(e.Account) << 1
		if e.Negative {
			kind |= 1
		}
		b = putUint(putUint(b, kind), uint64(e.Rights))
	}
	return b
}

func decodeACL(b []byte) (aclRow, error) {
	d := open(b)
	var r aclRow
	for !d.bad && len(d.b) > 0 {
		kind, rights := d.uint(), d.uint()
		if rights == 0 || rights > uint64(AllRights) || len(r) == MaxACL {
			d.fail()
		}
		r = append(r, ACL{Subject{mail.AccountID(kind >> 1), kind&1 != 0}, Rights(rights)})
	}
	return r, d.done()
}

// of is what the list gives an account; mate says whether anyone means it too.
// Negative rights are taken away at the end (RFC 4314 §2).
func (r aclRow) of(who mail.AccountID, mate bool) Rights {
	var has, lacks Rights
	for _, e := range r {
		switch {
		case e.Account != who && (e.Account != 0 || !mate):
		case e.Negative:
			lacks |= e.Rights
		default:
			has |= e.Rights
		}
	}
	return has &^ lacks
}

func compareSubjects(a, b Subject) int {
	negative := func(s Subject) int {
		if s.Negative {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(negative(a), negative(b)))
}

// foreign says whether the transaction is in the name of another than the owner.
func (t *Tx) foreign() bool { return t.who != 0 && t.who != t.account }

// aclOf is the list of a mailbox in hand.
func (t *Tx) aclOf(b *boxState) (aclRow, error) {
	if b.aclRead {
		return b.acl, nil
	}
	_, err := t.get("mailbox.acl", t.boxKey(tagACL, b.row.ID), func(v []byte) (err error) {
		b.acl, err = decodeACL(v)
		return err
	})
	b.aclRead = err == nil
	return b.acl, err
}

// rights are those of whom the transaction is for to a mailbox that is there.
func (t *Tx) rights(b *boxState) (Rights, error) {
	if !t.foreign() {
		return AllRights, nil
	}
	acl, err := t.aclOf(b)
	return acl.of(t.who, t.mate), err
}

// Rights are what whom the transaction is for may do to a mailbox. One that he
// has no visible right to is fault.NotFound, as one that is not there.
func (t *Tx) Rights(id BoxID) (Rights, error) {
	b, err := t.live(id)
	if err != nil {
		return 0, err
	}
	return t.rights(b)
}

// Demand refuses with fault.Denied whoever lacks some of the rights to a mailbox.
func (t *Tx) Demand(id BoxID, need Rights) error {
	_, err := t.may(id, need)
	return err
}

// may gives a mailbox to which all rights of need are there. Without them it is
// fault.Denied, or fault.NotFound to whom it is hidden (RFC 4314 §6).
func (t *Tx) may(id BoxID, need Rights) (*boxState, error) {
	b, err := t.live(id)
	if err != nil {
		return nil, err
	}
	return b, t.demand(b, need)
}

func (t *Tx) demand(b *boxState, need Rights) error {
	has, err := t.rights(b)
	if err == nil && !has.Has(need) {
		err = fault.Newf(fault.Denied, "mailbox.rights", "you lack the right %s to that mailbox", rightNames(need&^has))
	}
	return err
}

// readable says whether whom the transaction is for may read a mailbox.
func (t *Tx) readable(id BoxID) (bool, error) {
	b, err := t.state(id)
	if err != nil || b.row == nil {
		return false, err
	}
	r, err := t.rights(b)
	return r.Has(RightRead), err
}

// rightNames is the letters alone.
func rightNames(r Rights) string {
	s := r.String()
	return string(slices.DeleteFunc([]byte(s), func(c byte) bool { return c == 'c' || c == 'd' }))
}

// ACL is who has rights to a mailbox besides its owner. It needs RightAdminister
// (RFC 4314 §3.3).
func (t *Tx) ACL(id BoxID) ([]ACL, error) {
	b, err := t.may(id, RightAdminister)
	if err != nil {
		return nil, err
	}
	acl, err := t.aclOf(b)
	return slices.Clone(acl), err
}

// setACL changes an entry: op says how rights are combined with what it has. An
// entry without rights is gone.
func (t *Tx) setACL(id BoxID, s Subject, op FlagOp, rights Rights) error {
	b, err := t.may(id, RightAdminister)
	if err != nil {
		return err
	}
	if s.Account == t.account {
		return t.setOwner(s, op, rights)
	}
	acl, err := t.aclOf(b)
	if err != nil {
		return err
	}
	at, found := slices.BinarySearchFunc(acl, s, func(e ACL, s Subject) int { return compareSubjects(e.Subject, s) })
	var was Rights
	if found {
		was = acl[at].Rights
	}
	now := rights
	switch op {
	case FlagsAdd:
		now = was | rights
	case FlagsRemove:
		now = was &^ rights
	}
	acl = slices.Clone(acl)
	switch {
	case now == was:
		return nil
	case now == 0:
		acl = slices.Delete(acl, at, at+1)
	case found:
		acl[at].Rights = now
	case len(acl) >= MaxACL:
		return fault.Newf(fault.TooMany, "mailbox.SetACL", "at most %d may have rights to one mailbox", MaxACL)
	default:
		acl = slices.Insert(acl, at, ACL{s, now})
	}
	return t.writeACL(b, acl)
}

// setOwner answers for the owner: the rights are whole already, and stay so.
func (t *Tx) setOwner(s Subject, op FlagOp, rights Rights) error {
	if !s.Negative && (op == FlagsAdd || op == FlagsSet && rights == AllRights) || rights == 0 && op != FlagsSet {
		return nil
	}
	return fault.New(fault.Denied, "mailbox.SetACL", "the owner of a mailbox has all rights to it")
}

// writeACL gives a mailbox its list.
func (t *Tx) writeACL(b *boxState, acl aclRow) error {
	b.acl, b.aclRead = acl, true
	if len(acl) == 0 {
		t.del(t.boxKey(tagACL, b.row.ID))
	} else {
		t.set(t.boxKey(tagACL, b.row.ID), acl.encode())
	}
	return t.renamed(b)
}

// inherit gives a new mailbox the list of the one it lies in (RFC 4314 §4,
// CREATE).
func (t *Tx) inherit(b *boxState) error {
	if b.row.Parent == 0 {
		return nil
	}
	p, err := t.state(b.row.Parent)
	if err != nil || p.row == nil {
		return err
	}
	acl, err := t.aclOf(p)
	if err != nil || len(acl) == 0 {
		return err
	}
	return t.writeACL(b, slices.Clone(acl))
}

// mayCreate asks for RightCreate to the nearest of the mailboxes above a name
// (RFC 4314 §4). Where there is none the owner alone makes mailboxes.
func (t *Tx) mayCreate(levels []string) error {
	if !t.foreign() {
		return nil
	}
	for n := len(levels) - 1; n > 0; n-- {
		id, err := t.lookup(levels[:n])
		if err != nil {
			return err
		}
		if id == 0 {
			continue
		}
		if _, err = t.may(id, RightCreate); fault.Is(err, fault.NotFound) {
			break // that it is there is not told
		}
		return err
	}
	return errNotYours()
}

func errNotYours() error {
	return fault.New(fault.Denied, "mailbox.CreateBox", "only their owner makes mailboxes here")
}
