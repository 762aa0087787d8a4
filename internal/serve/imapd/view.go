package imapd

import (
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// view is the selected mailbox as the client knows it. A message's sequence
// number is its index in uids plus one, and stays until the client is told
// otherwise (RFC 3501 §2.3.1.2).
type view struct {
	account  mail.AccountID // whose mailbox it is
	box      mailbox.BoxID
	readOnly bool
	rights   mailbox.Rights
	fresh    []imap.Range // UIDs that are \Recent in this session, ascending
	freshTo  mailbox.UID  // all below are fresh or were told elsewhere
	notedTo  mailbox.UID  // the store knows that all below were told
	inbox    bool
	uids     sequence
	saved    []imap.Range                   // UIDs of the result that "$" stands for (RFC 5182), ascending
	mapped   *messageMap                    // nil until it is worth it
	unmapped bool                           // there can be none
	searches int                            // that an index helped
	contexts []*searchContext               // searches whose result is kept up to date (RFC 5267)
	gone     []mailbox.UID                  // those of uids that are expunged and not told, ascending
	seen     mailbox.ModSeq                 // changes up to here are folded in
	highest  mailbox.ModSeq                 // the mailbox's HIGHESTMODSEQ then
	told     map[mailbox.UID]mailbox.ModSeq // flags the client was told since, by change
	words    map[string]string              // keywords of the last FLAGS response, by lower case
}

// maxWords limits the keywords that FLAGS lists.
const maxWords = 200

// inbox is the one name that is not chosen by the user (RFC 3501 §5.1).
const inbox = "INBOX"

// span is the indexes from..to-1 of uids.
type span struct{ from, to int }

// spans finds what a set names, ascending. By number, one beyond the end is BAD,
// but a range with "*" ends at the last message; by UID, what is not there is left out
// (RFC 3501 §6.4.8).
func (v *view) spans(set imap.Set, uid bool) ([]span, error) {
	if set.Saved() {
		return v.spansOf(v.saved), nil
	}
	var out []span
	n := uint32(v.uids.n)
	if uid {
		for _, r := range set.Spans(v.uids.top()) {
			from, _ := v.uids.find(r.First)
			to, found := v.uids.find(r.Last)
			if found {
				to++
			}
			if from < to {
				out = append(out, span{from, to})
			}
		}
		return out, nil
	}
	for _, r := range set {
		if r.First != 0 && r.Last != 0 && max(r.First, r.Last) > n {
			return nil, fault.New(fault.Invalid, "imapd.spans", "there is no message of that number")
		}
	}
	for _, r := range set.Spans(n) {
		if from, to := max(r.First, 1), min(r.Last, n); from <= to {
			out = append(out, span{int(from) - 1, int(to)})
		}
	}
	return out, nil
}

// pick gives the UIDs of spans that are not known to be gone, and says whether
// some are.
func (v *view) pick(spans []span) (uids []mailbox.UID, missing bool) {
	for _, s := range spans {
		for u := range v.uids.between(s.from, s.to) {
			if v.isGone(u) {
				missing = true
				continue
			}
			uids = append(uids, u)
		}
	}
	return uids, missing
}

func (v *view) isGone(u mailbox.UID) bool {
	_, found := slices.BinarySearch(v.gone, u)
	return found
}

// number is the sequence number of u, 0 if the client does not know it.
func (v *view) number(u mailbox.UID) int {
	i, found := v.uids.find(u)
	if !found {
		return 0
	}
	return i + 1
}

// tell notes that the client knows p's flags.
func (v *view) tell(p *mailbox.Placement) {
	if p.ModSeq > v.seen {
		if v.told == nil {
			v.told = map[mailbox.UID]mailbox.ModSeq{}
		}
		v.told[p.UID] = p.ModSeq
	}
}

// news is what has happened in a mailbox since a view looked.
type news struct {
	rights   mailbox.Rights
	at       mailbox.ModSeq
	highest  mailbox.ModSeq
	changed  []mailbox.Placement
	vanished []mailbox.UID
}

// look reads the news, nil if there are none. A mailbox that is gone is
// fault.NotFound.
func (v *view) look(tx *mailbox.Tx) (*news, error) {
	n := news{at: tx.Version(), highest: v.highest}
	if n.at == v.seen {
		return nil, nil
	}
	box, err := tx.Box(v.box)
	if err != nil {
		return nil, err
	}
	if n.rights, err = tx.Rights(v.box); err != nil {
		return nil, err
	}
	if !n.rights.Has(mailbox.RightRead) {
		return nil, fault.New(fault.NotFound, "imapd.look", "the mailbox is not shared any more")
	}
	if v.inbox && box.Name != inbox {
		return nil, fault.New(fault.NotFound, "imapd.look", "INBOX was renamed")
	}
	if n.highest = box.HighestModSeq; n.highest <= v.seen {
		return &n, nil
	}
	n.changed, n.vanished, err = tx.Changes(v.box, v.seen)
	if fault.Is(err, fault.Expunged) {
		return v.lookAll(tx, n)
	}
	return &n, err
}

// lookAll is look where the log of changes does not go back far enough.
func (v *view) lookAll(tx *mailbox.Tx, n news) (*news, error) {
	n.changed, n.vanished = nil, nil
	here := map[mailbox.UID]struct{}{}
	for p, err := range tx.Placements(v.box, 1, 1<<32-1) {
		if err != nil {
			return nil, err
		}
		here[p.UID] = struct{}{}
		if p.ModSeq > v.seen {
			n.changed = append(n.changed, p)
		}
	}
	for u := range v.uids.between(0, v.uids.n) {
		if _, there := here[u]; !there {
			n.vanished = append(n.vanished, u)
		}
	}
	return &n, nil
}

// look reads the news of the selected mailbox, nil if there are none.
func (c *session) look() (n *news, err error) {
	err = c.readSelected(func(tx *mailbox.Tx) error {
		n, err = c.sel.look(tx)
		return err
	})
	return n, err
}

// fold tells the client what others have done to the selected mailbox.
// EXPUNGE is told only where expunge says so, the rest at once (RFC 3501 §5.2).
func (c *session) fold(expunge bool) error {
	v := c.sel
	n, err := c.look()
	if fault.Is(err, fault.NotFound) {
		return &ending{"mailbox gone", "the selected mailbox was removed"}
	} else if err != nil {
		_, err = c.failed(err)
		return err
	}
	if n != nil {
		c.removeFound(n.vanished)
		v.mark(n.vanished)
		v.seen, v.highest = n.at, n.highest
	}
	if expunge && len(v.gone) > 0 {
		c.tellExpunged()
	}
	if n == nil {
		return nil
	}
	if n.rights != v.rights { // RFC 4314 §5.1.1
		v.rights = n.rights
		c.tellFlags()
		v.tellPermanent(c)
	}
	var flags []mailbox.Placement
	before, top := v.uids.n, v.uids.top()
	slices.SortFunc(n.changed, func(a, b mailbox.Placement) int { return int(int64(a.UID) - int64(b.UID)) })
	for _, p := range n.changed {
		if p.UID > top {
			v.uids.addRun(p.UID, 1)
			v.arrive(&p)
		} else if v.told[p.UID] != p.ModSeq && v.number(p.UID) > 0 {
			flags = append(flags, p)
		}
	}
	if v.uids.n > before {
		c.takeRecent(v.uids.top() + 1)
		c.tellExists()
		if err := c.fetchNew(before, v.uids.n); err != nil {
			return err
		}
	}
	if c.hears(flagChange) {
		for i := range flags {
			c.fetchFlags(&flags[i], true)
		}
	}
	c.updateFound(n.changed)
	v.told = nil
	return nil
}

// mark notes UIDs that the client knows and that are gone.
func (v *view) mark(vanished []mailbox.UID) {
	for _, u := range vanished {
		if v.number(u) > 0 {
			v.gone = append(v.gone, u)
		}
	}
	slices.Sort(v.gone)
	v.gone = slices.Compact(v.gone)
}

// tellExpunged writes an EXPUNGE for each message that is gone, the last first,
// so that no number moves before it is told; or one VANISHED for all of them.
func (c *session) tellExpunged() {
	v := c.sel
	if c.vanishes() {
		c.tellVanished(false, imap.SetOf(v.gone))
		v.uids.remove(v.gone)
		v.gone = nil
		return
	}
	for i := len(v.gone) - 1; i >= 0; i-- {
		c.enc.Untagged().Number(int64(v.number(v.gone[i]))).Raw(" EXPUNGE\r\n")
	}
	v.uids.remove(v.gone)
	v.gone = nil
}

// tellExists writes EXISTS and, but to a client of IMAP4rev2, RECENT.
func (c *session) tellExists() {
	v := c.sel
	c.enc.Untagged().Number(int64(v.uids.n)).Raw(" EXISTS\r\n")
	if c.has(rev2) {
		return
	}
	c.enc.Untagged().Number(int64(v.countFresh())).Raw(" RECENT\r\n")
}

// flags are a message's flags as this session sees them.
func (c *session) flags(p *mailbox.Placement) imap.Flags {
	return imap.Flags{System: p.Flags, Keywords: p.Keywords, Recent: !c.has(rev2) && isFresh(c.sel.fresh, p.UID)}
}

// leave ends the selection, if there is one. What came while the mailbox was
// selected was told to this session and is not \Recent to the next.
func (c *session) leave() {
	v := c.sel
	c.deselect()
	if v == nil || v.readOnly || v.uids.top() < v.notedTo || v.uids.n == 0 {
		return
	}
	if err := c.o.Mailbox.SetRecent(c.work, c.account(), v.account, v.box, v.uids.top()+1); err != nil {
		c.report(err)
	}
}

// deselect ends the selection of a mailbox that may be gone.
func (c *session) deselect() {
	if c.sel != nil {
		c.s.recents.leave(c.looked())
	}
	c.sel = nil
	c.watchSelected()
}

// fetchFlags writes an untagged FETCH with the flags of p.
func (c *session) fetchFlags(p *mailbox.Placement, uid bool) {
	c.noteWords(p.Keywords)
	c.beginFetch(p)
	if (uid || c.has(qresync)) && !c.has(uidOnly) {
		c.enc.Raw("UID ").Number(int64(p.UID)).SP()
	}
	c.enc.Raw("FLAGS ").Flags(c.flags(p))
	if c.has(condstore) {
		c.enc.Raw(" MODSEQ (").Raw(decimal(p.ModSeq)).Raw(")")
	}
	c.enc.Raw(")\r\n")
}

// fetchModSeq writes an untagged FETCH with the mod-sequence of p.
func (c *session) fetchModSeq(p *mailbox.Placement) {
	c.beginFetch(p)
	if !c.has(uidOnly) {
		c.enc.Raw("UID ").Number(int64(p.UID)).SP()
	}
	c.enc.Raw("MODSEQ (").Raw(decimal(p.ModSeq)).Raw("))\r\n")
}

// beginFetch writes a FETCH response as far as "(", or a UIDFETCH response, whose
// number is the UID (RFC 9586 §3.3).
func (c *session) beginFetch(p *mailbox.Placement) {
	if c.has(uidOnly) {
		c.enc.Untagged().Number(int64(p.UID)).Raw(" UIDFETCH (")
		return
	}
	c.enc.Untagged().Number(int64(c.sel.number(p.UID))).Raw(" FETCH (")
}

// noteWords tells the client of keywords that no FLAGS response has named yet.
func (c *session) noteWords(words []string) {
	fresh := false
	for _, w := range words {
		fresh = c.sel.addWord(w) || fresh
	}
	if fresh {
		c.tellFlags()
	}
}

// addWord says whether w is new and there is room for it.
func (v *view) addWord(w string) bool {
	k := strings.ToLower(w)
	if _, known := v.words[k]; known || len(v.words) >= maxWords {
		return false
	}
	v.words[k] = w
	return true
}

// tellFlags writes the FLAGS response.
func (c *session) tellFlags() {
	c.enc.Untagged().Raw("FLAGS ").Words(c.sel.flagNames()).CRLF()
}

func (v *view) flagNames() []string {
	names := []string{`\Answered`, `\Flagged`, `\Deleted`, `\Seen`, `\Draft`}
	words := make([]string, 0, len(v.words))
	for _, w := range v.words {
		words = append(words, w)
	}
	slices.Sort(words)
	return append(names, words...)
}
