package imapd

import (
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// Labels that stand for a flag and a keyword, and not for a mailbox.
const (
	starred   = `\Starred`
	important = `\Important`

	importantWord = "$Important" // RFC 8457
)

// labelsByRole are the names of X-GM-EXT-1 for mailboxes of a special use.
var labelsByRole = map[mailbox.Role]string{
	mailbox.RoleInbox: `\Inbox`, mailbox.RoleSent: `\Sent`, mailbox.RoleDrafts: `\Draft`, mailbox.RoleTrash: `\Trash`,
	mailbox.RoleJunk: `\Spam`, mailbox.RoleArchive: `\Archive`,
}

// writeGmailMessage is X-GM-MSGID.
func writeGmailMessage(c *session, _ *imap.FetchItem, r *row, _ *body) error {
	c.enc.SP().Number(int64(r.Placement.Message))
	return nil
}

// writeGmailThread is X-GM-THRID.
func writeGmailThread(c *session, _ *imap.FetchItem, r *row, _ *body) error {
	c.enc.SP().Number(int64(r.message.Thread))
	return nil
}

func needLabels(w *want, _ *imap.FetchItem) { w.labels = true }

// writeLabels is X-GM-LABELS: the other mailboxes that the message lies in.
func writeLabels(c *session, _ *imap.FetchItem, r *row, _ *body) error {
	c.enc.SP().List(len(r.labels), func(i int) { c.enc.Label(r.labels[i]) })
	return nil
}

// label finds the labels of a page of messages.
func (m *shelf) label(tx *mailbox.Tx) error {
	boxes, err := tx.Boxes()
	if err != nil {
		return err
	}
	names := make(map[mailbox.BoxID]string, len(boxes))
	for i := range boxes {
		b := &boxes[i]
		if names[b.ID] = labelsByRole[b.Role]; names[b.ID] == "" {
			names[b.ID] = b.Name
		}
	}
	messages, err := tx.Messages(m.ids)
	if err != nil {
		return err
	}
	for i := range m.rows {
		m.rows[i].labels = labelsOf(&m.rows[i].Placement, messages[i].Places, names)
	}
	return nil
}

func labelsOf(p *mailbox.Placement, places []mailbox.Place, names map[mailbox.BoxID]string) (labels []string) {
	for _, q := range places {
		if name, there := names[q.Box]; there && q.Box != p.Box {
			labels = append(labels, name)
		}
	}
	if p.Flags.Has(mail.FlagFlagged) {
		labels = append(labels, starred)
	}
	if slices.ContainsFunc(p.Keywords, func(w string) bool { return strings.EqualFold(w, importantWord) }) {
		labels = append(labels, important)
	}
	slices.Sort(labels)
	return slices.Compact(labels)
}

// storeLabels is STORE of X-GM-LABELS: a label more is a place more, a label less one
// less. A message keeps a place at least.
func (c *session) storeLabels(cmd *imap.StoreCommand) (reply, error) {
	v := c.sel
	if v.readOnly {
		return reply{}, denied("the mailbox is selected read-only")
	}
	if cmd.UnchangedSince != nil {
		return bad("labels have no mod-sequence"), nil
	}
	spans, err := v.spans(cmd.Set, cmd.UID)
	if err != nil {
		return reply{}, err
	}
	uids, missing := v.pick(spans)
	if missing && !cmd.UID {
		return reply{}, errGone()
	}
	if len(uids) > 0 {
		if err := c.relabel(cmd, uids); err != nil {
			return reply{}, err
		}
	}
	if !cmd.Silent && len(uids) > 0 {
		items := []imap.FetchItem{{Name: "X-GM-LABELS"}}
		if _, err := c.fetch(&imap.FetchCommand{UID: cmd.UID, Set: cmd.Set, Items: items}); err != nil && !fault.Is(err, fault.Expunged) {
			return reply{}, err
		}
	}
	return ok("STORE done"), nil
}

// relabel does what the labels of a STORE ask for.
func (c *session) relabel(cmd *imap.StoreCommand, uids []mailbox.UID) error {
	var flags mailbox.FlagChange
	var named []string
	for _, l := range cmd.Labels {
		switch {
		case strings.EqualFold(l, starred):
			flags.Flags |= mail.FlagFlagged
		case strings.EqualFold(l, important):
			flags.Keywords = []string{importantWord}
		default:
			named = append(named, l)
		}
	}
	wanted, err := c.labelBoxes(named, cmd.Op != imap.FlagsRemove)
	if err != nil {
		return err
	}
	if cmd.Op != imap.FlagsRemove {
		if err := c.addLabels(uids, wanted); err != nil {
			return err
		}
	}
	if cmd.Op != imap.FlagsAdd {
		if err := c.removeLabels(uids, wanted, cmd.Op == imap.FlagsReplace); err != nil {
			return err
		}
	}
	return c.flagLabels(cmd.Op, flags, uids)
}

// flagLabels sets and clears what stands behind \Starred and \Important.
func (c *session) flagLabels(op imap.FlagOp, on mailbox.FlagChange, uids []mailbox.UID) error {
	off := mailbox.FlagChange{Op: mailbox.FlagsRemove}
	switch on.Op = mailbox.FlagsAdd; op {
	case imap.FlagsRemove:
		on, off = mailbox.FlagChange{}, mailbox.FlagChange{Op: mailbox.FlagsRemove, Flags: on.Flags, Keywords: on.Keywords}
	case imap.FlagsReplace:
		off.Flags = mail.FlagFlagged &^ on.Flags
		if len(on.Keywords) == 0 {
			off.Keywords = []string{importantWord}
		}
	}
	for _, change := range []mailbox.FlagChange{off, on} {
		if change.Flags == 0 && len(change.Keywords) == 0 {
			continue
		}
		if _, _, err := c.o.Mailbox.SetFlags(c.work, c.account(), c.sel.account, c.sel.box, uids, change, 0); err != nil {
			return err
		}
	}
	return nil
}

// labelBoxes finds the mailboxes of labels, and makes those that are not there if
// it shall.
func (c *session) labelBoxes(labels []string, create bool) (boxes []mailbox.BoxID, err error) {
	for _, l := range labels {
		var id mailbox.BoxID
		find := func(tx *mailbox.Tx) (err error) {
			id, err = labelBox(tx, l)
			return err
		}
		err := c.readSelected(find)
		if fault.Is(err, fault.NotFound) && create && !strings.HasPrefix(l, `\`) {
			err = c.o.Mailbox.Update(c.work, c.account(), c.sel.account, func(tx *mailbox.Tx) error {
				box, err := tx.CreateBox(l, mailbox.RoleNone)
				id = box.ID
				return err
			})
		}
		switch {
		case fault.Is(err, fault.NotFound) && !create:
		case err != nil:
			return nil, err
		default:
			boxes = append(boxes, id)
		}
	}
	return boxes, nil
}

// places gives where the messages of uids lie.
func (c *session) places(uids []mailbox.UID) (all map[mailbox.UID][]mailbox.Place, err error) {
	all = map[mailbox.UID][]mailbox.Place{}
	for len(uids) > 0 {
		page := uids[:min(len(uids), pageOfPlacements)]
		uids = uids[len(page):]
		err := c.readSelected(func(tx *mailbox.Tx) error {
			for _, u := range page {
				p, err := tx.Placement(c.sel.box, u)
				if fault.Is(err, fault.Expunged) {
					continue
				}
				if err != nil {
					return err
				}
				m, err := tx.Message(p.Message)
				if err != nil {
					return err
				}
				all[u] = m.Places
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func lies(places []mailbox.Place, in mailbox.BoxID) bool {
	return slices.ContainsFunc(places, func(p mailbox.Place) bool { return p.Box == in })
}

// addLabels gives messages a place in each of boxes.
func (c *session) addLabels(uids []mailbox.UID, boxes []mailbox.BoxID) error {
	all, err := c.places(uids)
	if err != nil {
		return err
	}
	for _, box := range boxes {
		var lacking []mailbox.UID
		for _, u := range uids {
			if places, there := all[u]; there && !lies(places, box) {
				lacking = append(lacking, u)
			}
		}
		if len(lacking) == 0 {
			continue
		}
		if _, _, _, err := c.o.Mailbox.Copy(c.work, c.account(), c.sel.account, c.sel.box, lacking, box); err != nil {
			return err
		}
	}
	return nil
}

// removeLabels takes messages out of boxes or, where others is true, out of all but
// those and the selected one.
func (c *session) removeLabels(uids []mailbox.UID, boxes []mailbox.BoxID, others bool) error {
	all, err := c.places(uids)
	if err != nil {
		return err
	}
	out := map[mailbox.BoxID][]mailbox.UID{}
	for _, places := range all {
		left := len(places)
		for _, p := range places {
			if slices.Contains(boxes, p.Box) == others || others && p.Box == c.sel.box {
				continue
			}
			out[p.Box] = append(out[p.Box], p.UID)
			left--
		}
		if left == 0 {
			return fault.New(fault.Unsupported, "imapd.removeLabels", "a message has to keep a label")
		}
	}
	for box, uids := range out {
		if _, err := c.o.Mailbox.Expunge(c.work, c.account(), c.sel.account, box, uids, true); err != nil {
			return err
		}
	}
	return nil
}
