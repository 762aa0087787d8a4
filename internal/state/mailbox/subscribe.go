package mailbox

import (
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// A subscription is a bit of its mailbox, so that it follows a rename. When the
// mailbox goes the name stays behind in a row of its own (RFC 9051 §6.3.7: a
// server must not unsubscribe by itself).

// Subscriptions is the subscribed names, also of mailboxes that are gone, in
// the order of Boxes.
func (t *Tx) Subscriptions() ([]string, error) {
	boxes, err := t.Boxes()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, b := range boxes {
		if b.Subscribed {
			names = append(names, b.Name)
		}
	}
	for p, err := range t.r.Scan(kv.Prefix(t.key(tagSub))) {
		if err != nil {
			return nil, fault.Wrap("mailbox.Subscriptions", err)
		}
		d := open(p.Value)
		names = append(names, d.text())
		if err := d.done(); err != nil {
			return nil, fault.As(fault.Corrupt, "mailbox.Subscriptions", err)
		}
	}
	slices.SortFunc(names, compareNames)
	return slices.Compact(names), nil
}

// Subscribe puts a name on the list or takes it off. To put it on there must be
// a mailbox of that name, else fault.NotFound; to take off what is not on the
// list is no error.
func (t *Tx) Subscribe(name string, on bool) error {
	if err := t.beginOwn("mailbox.Subscribe"); err != nil {
		return err
	}
	defer t.done()
	box, err := t.BoxByName(name)
	if fault.Is(err, fault.NotFound) && !on {
		name, err := CanonicalName(name)
		if err != nil {
			return nil // it cannot be on the list
		}
		_, err = t.dropGone(name)
		return err
	}
	if err != nil {
		return err
	}
	if !on {
		// A rename of a parent may have given the mailbox the name of one that is gone.
		if _, err := t.dropGone(box.Name); err != nil {
			return err
		}
	}
	b, err := t.live(box.ID)
	if err != nil || b.row.Subscribed == on {
		return err
	}
	b.row.Subscribed = on
	return t.renamed(b)
}

// SubscribeTo puts the name of a mailbox on the list that is not the account's
// own, as the account calls it. fault.TooMany beyond MaxSubscriptions of them.
func (t *Tx) SubscribeTo(name string) error {
	const op = "mailbox.Subscribe"
	if err := t.beginOwn(op); err != nil {
		return err
	}
	defer t.done()
	name, err := CanonicalName(name)
	if err != nil {
		return err
	}
	if _, there, err := t.r.Get(t.subKey(name)); err != nil || there {
		return fault.Wrap(op, err)
	}
	a, err := t.acctRow()
	if err != nil {
		return err
	}
	if a.gone >= MaxSubscriptions {
		return fault.Newf(fault.TooMany, op, "at most %d subscriptions to what is not in the account", MaxSubscriptions)
	}
	return t.leaveSubscription(name)
}

// dropGone takes a name off the list of those whose mailbox is gone.
func (t *Tx) dropGone(name string) (found bool, err error) {
	_, ok, err := t.r.Get(t.subKey(name))
	if err != nil || !ok {
		return false, fault.Wrap("mailbox.Subscribe", err)
	}
	a, err := t.acctRow()
	if err != nil {
		return false, err
	}
	t.del(t.subKey(name))
	a.gone--
	t.acctChanged()
	return true, nil
}

// adoptSubscription gives b, which has just got its name, what an earlier
// mailbox of that name left.
func (t *Tx) adoptSubscription(b *boxState, name string) error {
	found, err := t.dropGone(name)
	if found {
		b.row.Subscribed = true
		t.changed(b)
	}
	return err
}

// leaveSubscription keeps the name of a mailbox that goes. Beyond
// MaxSubscriptions of them it is forgotten.
func (t *Tx) leaveSubscription(name string) error {
	if _, err := t.dropGone(name); err != nil {
		return err
	}
	a, err := t.acctRow()
	if err != nil || a.gone >= MaxSubscriptions {
		return err
	}
	t.set(t.subKey(name), putText([]byte{format1}, name))
	a.gone++
	t.acctChanged()
	return nil
}
