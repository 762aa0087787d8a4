package mailbox

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

// Two who share with alice: bob is of her circle, carol is not.
const (
	bob   = alice + 1
	carol = alice + 2
)

var sharers = []mail.AccountID{alice, bob, carol}

func circle(_ context.Context, a mail.AccountID) (string, error) {
	if a == carol {
		return "elsewhere", nil
	}
	return "here", nil
}

// shareModel is alice's account as maps, each mailbox with its list.
type shareModel struct {
	*bench
	rt     *rapid.T
	boxes  map[string]*shareBox
	points []sharePoint
}

type shareBox struct {
	id    BoxID
	next  UID
	acl   map[Subject]Rights
	mails map[UID]*shareMail
}

type shareMail struct {
	flags mail.Flags // shared ones
	word  bool       // a keyword
	seen  map[mail.AccountID]bool
}

// sharePoint is what a client of who's remembers.
type sharePoint struct {
	who   mail.AccountID
	box   string
	id    BoxID
	at    ModSeq
	mails map[UID]shareView
}

// shareView is a message as one sees it.
type shareView struct {
	flags mail.Flags
	word  bool
}

func (m *shareMail) as(who mail.AccountID) shareView {
	v := shareView{m.flags, m.word}
	if m.seen[who] {
		v.flags |= seen
	}
	return v
}

// rights are found as RFC 4314 §2 tells it: what is given, less what is denied.
func (b *shareBox) rights(who mail.AccountID) Rights {
	if who == alice {
		return AllRights
	}
	has, lacks := b.acl[Subject{who, false}], b.acl[Subject{who, true}]
	if who == bob {
		has, lacks = has|b.acl[Subject{0, false}], lacks|b.acl[Subject{0, true}]
	}
	return has &^ lacks
}

func (b *shareBox) visible(who mail.AccountID) bool { return b.rights(who)&visible != 0 }

// refusal is the kind of error that one without need gets.
func (b *shareBox) refusal(who mail.AccountID, need Rights) (fault.Kind, bool) {
	switch {
	case !b.visible(who):
		return fault.NotFound, true
	case !b.rights(who).Has(need):
		return fault.Denied, true
	}
	return 0, false
}

func (m *shareModel) pick() (string, *shareBox) {
	name := rapid.SampledFrom(slices.Sorted(maps.Keys(m.boxes))).Draw(m.rt, "box")
	return name, m.boxes[name]
}

func (m *shareModel) actor() mail.AccountID { return rapid.SampledFrom(sharers).Draw(m.rt, "who") }

func (m *shareModel) uids(b *shareBox) []UID {
	all := append(slices.Sorted(maps.Keys(b.mails)), b.next)
	return ordered(rapid.SliceOfN(rapid.SampledFrom(all), 1, 5).Draw(m.rt, "uids"))
}

// refused checks an error against what the model foresees, and says whether
// there was one.
func (m *shareModel) refused(err error, b *shareBox, who mail.AccountID, need Rights) bool {
	kind, refused := b.refusal(who, need)
	if refused {
		m.fails(kind, err)
		return true
	}
	m.must(err)
	return false
}

func (m *shareModel) share(*rapid.T) {
	_, b := m.pick()
	who := rapid.SampledFrom([]mail.AccountID{alice, alice, bob, carol}).Draw(m.rt, "who")
	s := Subject{rapid.SampledFrom([]mail.AccountID{0, bob, carol}).Draw(m.rt, "subject"), rapid.IntRange(0, 4).Draw(m.rt, "negative") == 0}
	rights := Rights(rapid.IntRange(0, int(AllRights)).Draw(m.rt, "rights"))
	if !s.Negative && rapid.Bool().Draw(m.rt, "much") {
		rights = AllRights
	}
	op := FlagOp(rapid.IntRange(0, 2).Draw(m.rt, "op"))
	err := m.SetACL(m.t.Context(), who, alice, b.id, s, op, rights)
	if m.refused(err, b, who, RightAdminister) {
		return
	}
	now := rights
	switch op {
	case FlagsAdd:
		now |= b.acl[s]
	case FlagsRemove:
		now = b.acl[s] &^ rights
	}
	if b.acl[s] = now; now == 0 {
		delete(b.acl, s)
	}
}

func (m *shareModel) add(*rapid.T) {
	_, b := m.pick()
	who := m.actor()
	n := NewMessage{Content: m.put("x"), Received: when, Flags: mail.Flags(rapid.IntRange(0, 31).Draw(m.rt, "flags")), Keywords: []string{"word"}}
	err := m.Update(m.t.Context(), who, alice, func(t *Tx) error { _, err := t.Add(b.id, n); return err })
	if m.refused(err, b, who, RightInsert) {
		return
	}
	b.lay(who, shareView{n.Flags, true})
}

// lay is what becomes of a message that who brings.
func (b *shareBox) lay(who mail.AccountID, v shareView) {
	r := b.rights(who)
	n := &shareMail{seen: map[mail.AccountID]bool{}, word: v.word && r.Has(RightWrite)}
	if r.Has(RightWrite) {
		n.flags |= v.flags &^ (seen | deleted)
	}
	if r.Has(RightDeleteMail) {
		n.flags |= v.flags & deleted
	}
	n.seen[who] = v.flags.Has(seen) && r.Has(RightSeen)
	b.mails[b.next] = n
	b.next++
}

func (m *shareModel) setFlags(*rapid.T) {
	_, b := m.pick()
	who, uids := m.actor(), m.uids(b)
	c := FlagChange{Op: FlagOp(rapid.IntRange(0, 2).Draw(m.rt, "op")), Flags: mail.Flags(rapid.IntRange(0, 31).Draw(m.rt, "flags"))}
	if rapid.Bool().Draw(m.rt, "word") {
		c.Keywords = []string{"word"}
	}
	_, _, err := m.SetFlags(m.t.Context(), who, alice, b.id, uids, c, 0)
	r := b.rights(who)
	// One flag that may be changed is enough; without a word about any, a right is.
	none := r&(RightSeen|RightWrite|RightDeleteMail) == 0
	if c.Op != FlagsSet && (c.Flags != 0 || len(c.Keywords) > 0) {
		none = (!r.Has(RightSeen) || !c.Flags.Has(seen)) && (!r.Has(RightDeleteMail) || !c.Flags.Has(deleted)) &&
			(!r.Has(RightWrite) || c.Flags&^(seen|deleted) == 0 && len(c.Keywords) == 0)
	}
	if b.visible(who) && none {
		m.fails(fault.Denied, err)
		return
	}
	if m.refused(err, b, who, 0) {
		return
	}
	for _, u := range uids {
		n := b.mails[u]
		if n == nil {
			continue
		}
		was := n.as(who)
		now := was
		switch c.Op {
		case FlagsSet:
			now = shareView{c.Flags, len(c.Keywords) > 0}
		case FlagsAdd:
			now = shareView{was.flags | c.Flags, was.word || len(c.Keywords) > 0}
		case FlagsRemove:
			now = shareView{was.flags &^ c.Flags, was.word && len(c.Keywords) == 0}
		}
		if r.Has(RightWrite) {
			n.flags, n.word = now.flags&^(seen|deleted)|n.flags&deleted, now.word
		}
		if r.Has(RightDeleteMail) {
			n.flags = n.flags&^deleted | now.flags&deleted
		}
		if r.Has(RightSeen) {
			n.seen[who] = now.flags.Has(seen)
		}
	}
}

func (m *shareModel) expunge(*rapid.T) {
	_, b := m.pick()
	who := m.actor()
	gone, err := m.Expunge(m.t.Context(), who, alice, b.id, nil, false)
	if m.refused(err, b, who, RightExpunge) {
		return
	}
	var want []UID
	for u, n := range b.mails {
		if n.flags.Has(deleted) {
			want = append(want, u)
			delete(b.mails, u)
		}
	}
	equalList(m.t, "expunged", gone, ordered(want))
}

func (m *shareModel) transfer(*rapid.T) {
	_, b := m.pick()
	_, d := m.pick()
	who, uids := m.actor(), m.uids(b)
	move := rapid.Bool().Draw(m.rt, "move")
	do, need := m.Copy, RightRead
	if move {
		do, need = m.Move, moveRights
	}
	src, _, _, err := do(m.t.Context(), who, alice, b.id, uids, d.id)
	if _, refused := d.refusal(who, RightInsert); refused {
		m.refused(err, d, who, RightInsert)
		return
	}
	if m.refused(err, b, who, need) {
		return
	}
	for _, u := range src {
		d.lay(who, b.mails[u].as(who))
		if move {
			delete(b.mails, u)
		}
	}
}

func (m *shareModel) remember(*rapid.T) {
	name, b := m.pick()
	who := m.actor()
	p := sharePoint{who: who, box: name, id: b.id, mails: map[UID]shareView{}}
	for u, n := range b.mails {
		p.mails[u] = n.as(who)
	}
	m.view(func(t *Tx) error { p.at = t.Version(); return nil })
	m.points = append(m.points, p)
}

func (m *shareModel) tidy(*rapid.T) { m.must(m.Tidy(m.t.Context(), alice, when.Add(-time.Hour))) }

// compare looks at all mailboxes as each of them.
func (m *shareModel) compare(*rapid.T) {
	for _, who := range sharers {
		m.must(m.ViewAs(m.t.Context(), who, alice, func(t *Tx) error {
			var want []string
			for name, b := range m.boxes {
				if b.rights(who).Has(RightLookup) {
					want = append(want, name)
				}
				m.compareBox(t, who, name, b)
			}
			boxes, err := t.Boxes()
			var names []string
			for _, b := range boxes {
				if m.boxes[b.Name] != nil {
					names = append(names, b.Name)
				}
			}
			slices.Sort(want)
			slices.Sort(names)
			equalList(m.t, "listed", names, want)
			return err
		}))
	}
	for _, p := range m.points {
		m.catchUp(p)
	}
	problems, err := m.Verify(m.t.Context(), alice)
	m.must(err)
	equalList(m.t, "problems", problems, nil)
}

func (m *shareModel) compareBox(t *Tx, who mail.AccountID, name string, b *shareBox) {
	r, err := t.Rights(b.id)
	if m.refused(err, b, who, 0) {
		return
	}
	equal(m.t, name+" rights", r, b.rights(who))
	box, err := t.BoxByName(name)
	m.must(err)
	unseen, first := uint32(0), UID(0)
	for _, u := range slices.Sorted(maps.Keys(b.mails)) {
		if !b.mails[u].seen[who] {
			if unseen++; first == 0 {
				first = u
			}
		}
	}
	equal(m.t, name+" unseen", box.Unseen, unseen)
	u, _, err := t.FirstUnseen(b.id)
	if m.refused(err, b, who, RightRead) {
		return
	}
	equal(m.t, name+" first unseen", u, first)
	got := map[UID]shareView{}
	for p, err := range t.Placements(b.id, 1, b.next) {
		m.must(err)
		got[p.UID] = shareView{p.Flags, len(p.Keywords) > 0}
		equal(m.t, name+" modseq is not above the mailbox's", p.ModSeq <= box.HighestModSeq, true)
		_, err = t.Message(p.Message)
		m.must(err)
	}
	want := map[UID]shareView{}
	for u, n := range b.mails {
		want[u] = n.as(who)
	}
	if !maps.Equal(got, want) {
		m.t.Fatalf("%s as %d: %v, want %v", name, who, got, want)
	}
}

// catchUp brings what a client remembers up to date by Changes alone.
func (m *shareModel) catchUp(p sharePoint) {
	b := m.boxes[p.box]
	err := m.ViewAs(m.t.Context(), p.who, alice, func(t *Tx) error {
		changed, vanished, err := t.Changes(p.id, p.at)
		if err != nil {
			return err
		}
		now := maps.Clone(p.mails)
		for _, u := range vanished {
			delete(now, u)
		}
		for _, c := range changed {
			now[c.UID] = shareView{c.Flags, len(c.Keywords) > 0}
		}
		want := map[UID]shareView{}
		for u, n := range b.mails {
			want[u] = n.as(p.who)
		}
		if !maps.Equal(now, want) {
			m.t.Fatalf("%s as %d after Changes since %d: %v, want %v", p.box, p.who, p.at, now, want)
		}
		return nil
	})
	m.refused(err, b, p.who, RightRead)
}

// TestShareModel holds rights, flags, counts and changes, as an owner and two
// others see them, against maps.
func TestShareModel(t *testing.T) {
	seed := uint64(0)
	rapid.Check(t, func(rt *rapid.T) {
		seed++
		db := memkv.New(memkv.Options{Rerun: true, Seed: seed})
		blobs, err := blob.Open(blob.Options{DB: db})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { blobs.Close(); db.Close() }()
		b := &bench{rt, db, blobs, New(Options{DB: db, Blobs: blobs, Circle: circle})}
		b.run, b.piece = 3, 4
		b.update(func(t *Tx) error { return t.Provision() })
		m := &shareModel{bench: b, rt: rt, boxes: map[string]*shareBox{}}
		for _, name := range []string{"INBOX", "Archive"} {
			m.boxes[name] = &shareBox{id: b.box(name).ID, next: 1, acl: map[Subject]Rights{}, mails: map[UID]*shareMail{}}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"": m.compare, "share": m.share, "share more": m.share, "add": m.add, "set flags": m.setFlags, "set more": m.setFlags,
			"expunge": m.expunge, "transfer": m.transfer, "remember": m.remember, "tidy": m.tidy,
		})
	})
}
