package imapd

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/search"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// hit is a message that a search found.
type hit struct {
	uid      mailbox.UID
	score    uint8 // of a search by relevance, 1 to 100 (RFC 6203 §4)
	message  mailbox.MessageID
	modSeq   mailbox.ModSeq
	size     int64
	received int64 // in Unix seconds
}

// finder looks for messages in one mailbox.
type finder struct {
	c       *session
	v       *view
	now     time.Time
	all     key
	rows    bool // hits are wanted with all that placements say
	fuzzy   []fuzzyText
	modSeq  bool // there is a MODSEQ key
	lowest  mailbox.UID
	scratch search.Scratch
	answers answers // of a search in many mailboxes; nil: none are kept
	hits    []hit
	order   []imap.SortKey // of a SORT
	keep    bool           // sorted is wanted
	sorted  []*sortable
}

// newFinder makes the keys of a search ready for the mailbox that v shows.
func (c *session) newFinder(v *view, keys []imap.SearchKey) (*finder, error) {
	f := &finder{c: c, v: v, now: time.Now()}
	err := c.readOf(v, func(tx *mailbox.Tx) error {
		f.fuzzy, f.modSeq = nil, false
		all, err := f.compile(tx, keys, false)
		f.all = key{op: "AND", keys: all}
		return err
	})
	return f, err
}

// readOf runs fn over one moment of the account whose mailbox v shows.
func (c *session) readOf(v *view, fn func(*mailbox.Tx) error) error {
	return c.readIn(v.account, fn)
}

// find finds the messages in mailbox order.
func (f *finder) find() error {
	spans, lowest := f.c.limit(f.v, f.v.spansOf(f.all.within(everyUID())))
	f.lowest = lowest
	if !f.rows && f.all.ofNumbers() {
		f.take(spans)
		return nil
	}
	if err := f.consult(&f.all); err != nil {
		return err
	}
	defer f.learn(&f.all)
	if some, ok := f.all.candidates(); ok {
		m, err := f.c.mapMessages(f.v, len(some.ids))
		if err != nil {
			return err
		}
		if m != nil && !f.rows && !f.all.placed() {
			return f.findMapped(m, some)
		}
		if len(some.ids) < spanned(spans)/fewIDs {
			return f.findFew(some)
		}
	}
	p := newPager(f.v, spans, want{})
	if f.all.needs().message {
		p.size = pageOfMessages
	}
	total := spanned(spans)
	for done := 0; !p.done(); done += p.size {
		rows, err := f.page(p)
		if err != nil {
			return err
		}
		if err := f.judge(rows, done, total); err != nil {
			return err
		}
	}
	inMailboxOrder(f.hits)
	return nil
}

// take takes all messages of spans for found.
func (f *finder) take(spans []span) {
	f.hits = slices.Grow(f.hits, spanned(spans))
	for _, s := range spans {
		for u := range f.v.uids.between(s.from, s.to) {
			if !f.v.isGone(u) {
				f.hits = append(f.hits, hit{uid: u})
			}
		}
	}
}

// spansOf is the indexes of UIDs.
func (v *view) spansOf(uids []imap.Range) (out []span) {
	for _, r := range uids {
		from, _ := v.uids.find(r.First)
		to, found := v.uids.find(r.Last)
		if found {
			to++
		}
		if from < to {
			out = append(out, span{from, to})
		}
	}
	return out
}

// page reads the next page, keeps what matches by its placement and gives the rows
// that are to be looked at, with what that takes.
func (f *finder) page(p *pager) ([]row, error) {
	w := f.all.needs()
	page, before := p.take(), len(f.hits)
	var rows []row
	err := f.c.readOf(f.v, func(tx *mailbox.Tx) error {
		rows, f.hits = rows[:0], f.hits[:before]
		var r row
		for _, s := range page {
			// A UID between two that we know is one we know.
			for pl, err := range tx.Placements(f.v.box, f.v.uids.at(s.from), f.v.uids.at(s.to-1)) {
				if err != nil {
					return err
				}
				r.Placement = pl
				rows = f.consider(&r, rows)
			}
		}
		return loadUnsure(tx, rows, w)
	})
	return rows, err
}

// consider keeps what matches by its placement, and adds to rows what is to be looked
// at.
func (f *finder) consider(r *row, rows []row) []row {
	switch r.sure = f.all.cheap(r); r.sure {
	case surely:
		f.hits = append(f.hits, hitOf(r))
	case perhaps:
		rows = append(rows, *r)
	}
	return rows
}

// loadUnsure reads what w needs of the rows that the placement did not decide.
func loadUnsure(tx *mailbox.Tx, rows []row, w want) error {
	if !w.message {
		return nil
	}
	var unsure []row
	for i := range rows {
		if rows[i].sure == perhaps {
			unsure = append(unsure, rows[i])
		}
	}
	if err := loadAll(tx, unsure, w); err != nil {
		return err
	}
	for i := range rows {
		if rows[i].sure == perhaps {
			rows[i], unsure = unsure[0], unsure[1:]
		}
	}
	return nil
}

// loadAll reads what is kept of messages beside their placements.
func loadAll(tx *mailbox.Tx, rows []row, w want) error {
	ids := make([]mailbox.MessageID, len(rows))
	for i := range rows {
		ids[i] = rows[i].Placement.Message
	}
	messages, err := tx.Messages(ids)
	if err != nil {
		return err
	}
	for i := range rows {
		rows[i].message = messages[i]
	}
	if !w.index {
		return nil
	}
	indexes, err := tx.Indexes(ids)
	for i := range indexes {
		rows[i].index = indexes[i]
	}
	return err
}

// judge decides about rows for good, and keeps those that match. A search may
// take long: the server's end or the client's is seen after each page, and the
// client is told how far it is.
func (f *finder) judge(rows []row, done, total int) error {
	for i := range rows {
		r := &rows[i]
		if r.sure == perhaps {
			hit, err := f.matches(r)
			if err != nil {
				return err
			}
			if f.c.progress(done+i, total); !hit {
				continue
			}
		}
		f.hits = append(f.hits, hitOf(r))
	}
	f.c.progress(done+len(rows), total)
	return f.c.work.Err()
}

func hitOf(r *row) hit {
	return hit{uid: r.UID, message: r.Placement.Message, modSeq: r.ModSeq, size: r.Size, received: r.Received.Unix()}
}

// matches decides about a row that is loaded.
func (f *finder) matches(r *row) (bool, error) {
	b := body{c: f.c, account: f.v.account, row: r, index: r.index, scratch: &f.scratch}
	defer b.close()
	return f.all.full(r, &b)
}

// inMailboxOrder sorts hits by UID.
func inMailboxOrder(hits []hit) {
	byUID := func(a, b hit) int { return cmp.Compare(a.uid, b.uid) }
	if !slices.IsSortedFunc(hits, byUID) {
		slices.SortFunc(hits, byUID)
	}
}

// everyUID is all there are and will be.
func everyUID() []imap.Range { return []imap.Range{{First: 1, Last: math.MaxUint32}} }

// common is the UIDs that are in both of two ascending lists of ranges.
func common(a, b []imap.Range) (out []imap.Range) {
	for len(a) > 0 && len(b) > 0 {
		if from, to := max(a[0].First, b[0].First), min(a[0].Last, b[0].Last); from <= to {
			out = append(out, imap.Range{First: from, Last: to})
		}
		if a[0].Last < b[0].Last {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

// inRanges says whether u is in one of ascending ranges.
func inRanges(ranges []imap.Range, u mailbox.UID) bool {
	at, _ := slices.BinarySearchFunc(ranges, u, func(r imap.Range, u mailbox.UID) int {
		if u > r.Last {
			return -1
		}
		return 0
	})
	return at < len(ranges) && ranges[at].First <= u
}

// ofNumbers says whether the view alone decides a key.
func (k *key) ofNumbers() bool {
	switch k.op {
	case "ALL", "UID":
		return true
	case "AND":
		return !slices.ContainsFunc(k.keys, func(k key) bool { return !k.ofNumbers() })
	}
	return false
}

// within narrows the UIDs that a key can be true of.
func (k *key) within(uids []imap.Range) []imap.Range {
	switch k.op {
	case "UID":
		return common(uids, k.uids)
	case "FLAG", "UNFLAG":
		if k.uids != nil {
			return common(uids, k.uids)
		}
	case "AND":
		for i := range k.keys {
			uids = k.keys[i].within(uids)
		}
	}
	return uids
}

// uidsOf is what a set names as ascending ranges of UIDs: by number what those
// numbers mean now, by UID with "*" open to what comes.
func (v *view) uidsOf(set imap.Set, uid bool) (out []imap.Range) {
	if set.Saved() {
		return v.saved
	}
	if !uid {
		for _, r := range set.Spans(uint32(v.uids.n)) {
			if from, to := int(max(r.First, 1)), int(min(r.Last, uint32(v.uids.n))); from <= to {
				out = append(out, imap.Range{First: v.uids.at(from - 1), Last: v.uids.at(to - 1)})
			}
		}
		return out
	}
	out = set.Spans(v.uids.top())
	if star := slices.ContainsFunc(set, func(r imap.Range) bool { return r.First == 0 || r.Last == 0 }); star && len(out) > 0 {
		if last := &out[len(out)-1]; last.Last >= v.uids.top() {
			last.Last = math.MaxUint32
		}
	}
	return out
}

// oneBox is a view of a mailbox that is not selected.
func (c *session) oneBox(tx *mailbox.Tx, account mail.AccountID, box mailbox.BoxID) (*view, error) {
	runs, err := tx.Runs(box)
	if err != nil {
		return nil, err
	}
	return &view{account: account, box: box, uids: newSequence(runs)}, nil
}
