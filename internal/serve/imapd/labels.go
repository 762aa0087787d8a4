package imapd

import (
	"math"
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// roleLabels are the labels of X-GM-EXT-1 that stand for mailboxes of a special
// use, in lower case.
var roleLabels = map[string]mailbox.Role{
	`\inbox`: mailbox.RoleInbox, `\sent`: mailbox.RoleSent, `\draft`: mailbox.RoleDrafts, `\drafts`: mailbox.RoleDrafts,
	`\trash`: mailbox.RoleTrash, `\junk`: mailbox.RoleJunk, `\spam`: mailbox.RoleJunk, `\archive`: mailbox.RoleArchive,
}

// rename finds again what keys name: a thread may have a new message.
func (f *finder) rename(tx *mailbox.Tx, k *key) (err error) {
	if k.names != nil {
		k.ids, err = f.idsOf(tx, k.names)
	}
	for i := range k.keys {
		if err == nil {
			err = f.rename(tx, &k.keys[i])
		}
	}
	return err
}

// idsOf is the messages that a key names by an object's id or a label.
func (f *finder) idsOf(tx *mailbox.Tx, k *imap.SearchKey) (ids []uint64, err error) {
	n, ok := k.Number, true
	switch k.Op {
	case "EMAILID":
		n, ok = readID('M', k.Text)
	case "THREADID":
		n, ok = readID('T', k.Text)
	case "X-GM-LABELS":
		return labelled(tx, k.Text)
	}
	if !ok {
		return nil, nil
	}
	if k.Op == "EMAILID" || k.Op == "X-GM-MSGID" {
		return []uint64{n}, nil
	}
	members, err := tx.Thread(n)
	for _, id := range members {
		ids = append(ids, uint64(id))
	}
	return ids, err
}

// labelled is the messages with a label, that is in the mailbox of that name or
// special use.
func labelled(tx *mailbox.Tx, label string) (ids []uint64, err error) {
	box, err := labelBox(tx, label)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for p, err := range tx.Placements(box, 1, math.MaxUint32) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, uint64(p.Message))
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

func labelBox(tx *mailbox.Tx, label string) (mailbox.BoxID, error) {
	role, special := roleLabels[strings.ToLower(label)]
	if !special {
		box, err := tx.BoxByName(label)
		return box.ID, err
	}
	boxes, err := tx.Boxes()
	for _, b := range boxes {
		if b.Role == role {
			return b.ID, err
		}
	}
	if err == nil {
		err = fault.New(fault.NotFound, "imapd.labelBox", "there is no such label")
	}
	return 0, err
}
