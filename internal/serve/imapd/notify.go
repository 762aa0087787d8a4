package imapd

import (
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// Events of NOTIFY (RFC 5465 §5) that we can tell of.
const (
	messageNew         = "MESSAGENEW"
	messageExpunge     = "MESSAGEEXPUNGE"
	flagChange         = "FLAGCHANGE"
	mailboxName        = "MAILBOXNAME"
	subscriptionChange = "SUBSCRIPTIONCHANGE"
	metadataChange     = "MAILBOXMETADATACHANGE"

	serverMetadataChange = "SERVERMETADATACHANGE"
)

// messageEvents are those about messages; they alone are for the selected
// mailbox too.
var messageEvents = []string{messageNew, messageExpunge, flagChange}

// notifyEvents are the events by the name that BADEVENT tells.
var notifyEvents = map[string]string{
	messageNew: "MessageNew", messageExpunge: "MessageExpunge", flagChange: "FlagChange",
	mailboxName: "MailboxName", subscriptionChange: "SubscriptionChange",
	metadataChange: "MailboxMetadataChange", serverMetadataChange: "ServerMetadataChange",
}

// maxNotified limits the mailboxes that are looked at whenever something
// happened: beyond it there is NOTIFICATIONOVERFLOW (RFC 5465 §5.8).
const maxNotified = 2_000

// notice is what a client has asked for by NOTIFY.
type notice struct {
	selected *imap.NotifyGroup // nil: nothing of the selected mailbox
	others   []imap.NotifyGroup
	known    map[place]entry // mailboxes and subscriptions as the client knows them
	notes    map[place]notes // annotations as it knows them
	at       mailbox.ModSeq  // the account's version then
	end      func()          // ends the watch; nil: nothing is to be told unasked

	endSelected func() // ends that of the selected mailbox's account, if it is another
}

// place names a mailbox, or a subscription to one that is not there, for as
// long as it is that.
type place struct {
	account mail.AccountID
	box     mailbox.BoxID
	name    string // where there is no mailbox
}

func (e *entry) place() place {
	if e.box == nil {
		return place{account: e.account, name: e.name}
	}
	return place{account: e.account, box: e.box.ID}
}

// notify is NOTIFY (RFC 5465 §3.1).
func (c *session) notify(cmd *imap.NotifyCommand) (reply, error) {
	n := &notice{}
	if r := n.take(cmd.Groups); r.status != "" {
		return r, nil
	}
	if len(n.others) > 0 {
		if err := c.survey(n); err != nil {
			return reply{}, err
		}
		if len(n.known) > maxNotified {
			return reply{"NO", "NOTIFICATIONOVERFLOW", "there are too many mailboxes"}, nil
		}
	}
	c.endNotify()
	c.notice = n
	if len(cmd.Groups) > 0 {
		c.watch()
	}
	if cmd.Status {
		for _, e := range n.sorted() {
			c.tellInitial(&e)
		}
	}
	return ok("NOTIFY done"), nil
}

// take sorts the groups, and refuses those that RFC 5465 §5 and §6.1 do not
// allow.
func (n *notice) take(groups []imap.NotifyGroup) reply {
	for i := range groups {
		g := &groups[i]
		for _, e := range g.Events {
			if notifyEvents[e] == "" {
				return badEvent()
			}
		}
		arrive, vanish := slices.Contains(g.Events, messageNew), slices.Contains(g.Events, messageExpunge)
		if arrive != vanish || slices.Contains(g.Events, flagChange) && !arrive {
			return bad("MessageNew and MessageExpunge belong together, and FlagChange to both")
		}
		if !strings.HasPrefix(g.Kind, "SELECTED") {
			n.others = append(n.others, *g)
			continue
		}
		if n.selected != nil {
			return bad("the selected mailbox is named twice")
		}
		for _, e := range g.Events {
			if !slices.Contains(messageEvents, e) {
				return bad("of the selected mailbox only its messages can be told")
			}
		}
		n.selected = g
	}
	if n.selected != nil && len(n.selected.Events) == 0 {
		n.selected = nil
	}
	return reply{}
}

func badEvent() reply {
	names := make([]string, 0, len(notifyEvents))
	for _, name := range notifyEvents {
		names = append(names, name)
	}
	slices.Sort(names)
	return reply{"NO", "BADEVENT (" + strings.Join(names, " ") + ")", "an event that is not told here"}
}

// survey notes how things are.
func (c *session) survey(n *notice) error {
	err := c.read(func(tx *mailbox.Tx) error {
		n.at = tx.Version()
		return nil
	})
	if err != nil {
		return err
	}
	all, err := c.catalogue(nil)
	if err != nil {
		return err
	}
	n.known, n.notes = map[place]entry{}, map[place]notes{}
	for _, e := range all {
		n.known[e.place()] = e
	}
	return c.surveyNotes(n)
}

// sorted is what the client knows, by name.
func (n *notice) sorted() []entry {
	all := make([]entry, 0, len(n.known))
	for _, e := range n.known {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return all
}

// wants says whether an event of a mailbox that is not selected is to be told.
func (n *notice) wants(c *session, e *entry, event string) bool {
	return slices.ContainsFunc(n.others, func(g imap.NotifyGroup) bool {
		return slices.Contains(g.Events, event) && c.names(&g.MailboxFilter, e)
	})
}

// hears says whether events of the selected mailbox are told to the client.
// Without a NOTIFY all are (RFC 5465 §3.1).
func (c *session) hears(event string) bool {
	if c.notice == nil {
		return true
	}
	g := c.notice.selected
	return g != nil && slices.Contains(g.Events, event)
}

// tellInitial writes the STATUS that NOTIFY SET STATUS asks for.
func (c *session) tellInitial(e *entry) {
	n := c.notice
	if e.box == nil || c.isSelected(e) || !n.wants(c, e, messageNew) {
		return
	}
	items := []string{"MESSAGES", "UIDNEXT", "UIDVALIDITY"}
	if n.wants(c, e, flagChange) {
		items = append(items, "HIGHESTMODSEQ")
	}
	c.writeStatus(e, items)
}

func (c *session) isSelected(e *entry) bool {
	return c.sel != nil && e.box != nil && c.sel.account == e.account && c.sel.box == e.box.ID
}

// writeStatus writes a STATUS response of items that cannot fail.
func (c *session) writeStatus(e *entry, items []string) {
	if err := c.tellStatus(e.name, e.box, items); err != nil {
		c.report(err)
	}
}

// news tells what the client wants to hear of at once: of the selected mailbox
// and of others.
func (c *session) news(expunge bool) error {
	if c.sel != nil && c.hears(messageNew) {
		if err := c.fold(expunge); err != nil {
			return err
		}
	}
	return c.tellOthers(nil)
}

// tellOthers tells what has happened to mailboxes that are not selected. Names
// among mine were changed by this client, which need not be told (RFC 5465 §5).
func (c *session) tellOthers(mine []string) error {
	n := c.notice
	if n == nil || len(n.others) == 0 {
		return nil
	}
	before, noted, at := n.known, n.notes, n.at
	err := c.read(func(tx *mailbox.Tx) error {
		at = tx.Version()
		return nil
	})
	if err == nil && at == n.at {
		return nil
	}
	if err == nil {
		err = c.survey(n)
	}
	if err != nil {
		c.report(err)
		return nil // the next hint tries again
	}
	if len(n.known) > maxNotified {
		n.selected, n.others = nil, nil
		c.tellOK("NOTIFICATIONOVERFLOW", "there are too many mailboxes")
		return nil
	}
	quiet := func(e *entry) bool { return slices.Contains(mine, e.name) }
	named := map[string]entry{}
	for _, e := range before {
		named[e.name] = e
	}
	affected := map[string]bool{} // parents of what came or went
	for _, e := range n.sorted() {
		old, was := before[e.place()]
		switch {
		case !was && e.box != nil:
			affected[above(e.name)] = true
			c.tellCame(&e, quiet(&e))
		case was && old.name != e.name:
			c.tellMoved(&e, &old, before, quiet(&e))
		}
		if !was {
			old = named[e.name] // a subscription outlives its mailbox
		}
		if e.subscribed != old.subscribed && !quiet(&e) && n.wants(c, &e, subscriptionChange) {
			c.tellName(&e, "")
		}
		if was && e.box != nil && !c.isSelected(&e) {
			c.tellMessages(&e, old.box)
		}
	}
	c.tellWent(before, quiet, affected)
	c.tellParents(affected)
	c.tellNotes(noted, mine)
	return nil
}

// tellCame tells of a mailbox that is new.
func (c *session) tellCame(e *entry, quiet bool) {
	if !quiet && c.notice.wants(c, e, mailboxName) {
		c.tellName(e, "")
	}
	if e.box.Messages > 0 {
		c.tellMessages(e, &mailbox.Box{UIDNext: 1})
	}
}

// tellMoved tells of a mailbox that was renamed, but not where it only went
// along with the one it is in.
func (c *session) tellMoved(e, old *entry, before map[place]entry, quiet bool) {
	if quiet || !c.notice.wants(c, e, mailboxName) && !c.notice.wants(c, old, mailboxName) {
		return
	}
	for _, up := range before {
		if up.name == above(old.name) {
			if now, there := c.notice.known[up.place()]; there && now.name != up.name && now.name == above(e.name) {
				return
			}
		}
	}
	c.tellName(e, old.name)
}

// tellWent tells of mailboxes and subscriptions that are no more.
func (c *session) tellWent(before map[place]entry, quiet func(*entry) bool, affected map[string]bool) {
	n := c.notice
	still := map[string]entry{}
	for _, e := range n.known {
		still[e.name] = e
	}
	gone := notice{known: before}
	for _, e := range gone.sorted() {
		now := still[e.name]
		if _, there := n.known[e.place()]; there || now.box != nil || e.box == nil && now.name != "" {
			continue
		}
		event := subscriptionChange
		if e.box != nil {
			affected[above(e.name)] = true
			event = mailboxName
		}
		if !quiet(&e) && n.wants(c, &e, event) {
			c.tellName(&entry{name: e.name, subscribed: now.subscribed}, "")
		}
	}
}

// tellParents tells of those that something was made or removed in, as they are
// affected too (RFC 5465 §5.4).
func (c *session) tellParents(affected map[string]bool) {
	for _, e := range c.notice.sorted() {
		if affected[e.name] && e.box != nil && c.notice.wants(c, &e, mailboxName) {
			c.tellName(&e, "")
		}
	}
}

// tellName writes a LIST response about a name, with the one it had.
func (c *session) tellName(e *entry, old string) {
	attrs := e.attributes()
	if e.subscribed {
		attrs = append(attrs, `\Subscribed`)
	}
	c.listHead("LIST", e.name, attrs)
	if old != "" {
		c.enc.Raw(` ("OLDNAME" (`).Mailbox(old).Raw("))")
	}
	c.enc.CRLF()
}

// tellMessages writes a STATUS response where messages or flags have changed
// (RFC 5465 §5.1 to §5.3).
func (c *session) tellMessages(e *entry, old *mailbox.Box) {
	n, b := c.notice, e.box
	flags := n.wants(c, e, flagChange)
	var items []string
	switch {
	case n.wants(c, e, messageNew) && (b.UIDNext != old.UIDNext || b.Messages != old.Messages || b.UIDValidity != old.UIDValidity):
		items = []string{"MESSAGES", "UIDNEXT", "UIDVALIDITY"}
	case flags && b.HighestModSeq != old.HighestModSeq && (c.has(condstore) || b.Unseen != old.Unseen):
		items = []string{"UIDVALIDITY"}
	default:
		return
	}
	if flags {
		items = append(items, "UNSEEN")
	}
	if c.has(condstore) {
		items = append(items, "HIGHESTMODSEQ")
	}
	c.writeStatus(e, items)
}

// fetchNew writes what NOTIFY asks for of new messages: those with the indexes
// from..to-1 (RFC 5465 §5.2).
func (c *session) fetchNew(from, to int) error {
	if c.notice == nil || c.notice.selected == nil || len(c.notice.selected.Fetch) == 0 {
		return nil
	}
	items := c.notice.selected.Fetch
	w, plan := fetchPlan(items)
	w.seen = false
	for p := newPager(c.sel, []span{{from, to}}, w); !p.done(); {
		rows, err := c.page(p)
		if err != nil {
			return err
		}
		var failed error // reported already
		if err := c.fetchPage(plan, w, rows, p.shelf, &failed); err != nil {
			return err
		}
	}
	return nil
}

// watch wakes the session whenever something happens in its account, until
// endNotify.
func (c *session) watch() {
	c.notice.end = c.o.Mailbox.Wake(c.account(), c.wire.wake)
	c.watchSelected()
}

// watchSelected does so for the account of the selected mailbox, if that is
// another's.
func (c *session) watchSelected() {
	n := c.notice
	if n == nil || n.end == nil {
		return
	}
	if n.endSelected != nil {
		n.endSelected()
		n.endSelected = nil
	}
	if c.sel != nil && c.sel.account != c.account() {
		n.endSelected = c.o.Mailbox.Wake(c.sel.account, c.wire.wake)
	}
}

// endNotify is as if there had been no NOTIFY.
func (c *session) endNotify() {
	if n := c.notice; n != nil && n.end != nil {
		n.end()
		if n.endSelected != nil {
			n.endSelected()
		}
	}
	c.notice = nil
}

// await waits for the next command to begin, and meanwhile tells what the
// client wants to hear of.
func (c *session) await() error {
	began := time.Now()
	for c.notice != nil && c.notice.end != nil && c.lines.Buffered() == 0 {
		c.wire.listen(idleLook) // hints of the store may be lost
		err := c.lines.More()
		woken := c.wire.heard(err != nil)
		switch {
		case err == nil, c.stop.Err() != nil, !woken && !errors.Is(err, os.ErrDeadlineExceeded),
			!woken && time.Since(began) >= c.o.Limits.Idle:
			return err
		}
		if err := c.still(); err != nil {
			return err
		}
		if err := c.news(c.notice.immediate()); err != nil {
			return err
		}
	}
	return nil
}

// immediate says whether EXPUNGE may come at any time (RFC 5465 §6.1).
func (n *notice) immediate() bool {
	return n.selected != nil && n.selected.Kind == "SELECTED"
}

// changedNames are the names that a command has changed.
func changedNames(cmd imap.Command) []string {
	var names []string
	switch cmd := cmd.(type) {
	case *imap.CreateCommand:
		names = []string{strings.TrimSuffix(cmd.Mailbox, mailbox.Separator)}
	case *imap.RenameCommand:
		names = []string{cmd.From, cmd.To}
	case *imap.BoxCommand:
		names = []string{cmd.Mailbox}
	case *imap.SetMetadataCommand:
		names = []string{cmd.Mailbox}
	}
	for i := range names {
		if name, err := mailbox.CanonicalName(names[i]); !fault.Is(err, fault.Unsupported) {
			names[i] = name
		}
	}
	return names
}
