package mailbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

// The model is an account as one would write it without a store: maps. Random
// operations go to both, and after each the two are compared.
type model struct {
	*bench
	rt       *rapid.T
	boxes    map[string]*modelBox
	subs     map[string]bool
	arrivals map[mail.ArrivalID]map[BoxID]bool
	became   map[mail.ArrivalID]MessageID
	tidied   ModSeq // points before it may be too old
	validity uint32 // the highest seen
	version  ModSeq
	points   []point
	cameAs   map[MessageID]mail.ArrivalID
	gone     map[MessageID]modelGone
	staged   map[MessageID]modelGone // in a stage that a crash left
}

// modelGone is a message that can be restored.
type modelGone struct {
	name string
	modelMail
}

type modelBox struct {
	id    BoxID
	next  UID
	mails map[UID]modelMail
}

type modelMail struct {
	message MessageID
	flags   mail.Flags
	words   string
	modSeq  ModSeq
}

// point is what a client remembers of a mailbox.
type point struct {
	box   BoxID
	at    ModSeq
	mails map[UID]modelMail
}

func newModel(rt *rapid.T, b *bench) *model {
	b.run, b.piece = 3, 4 // so that few messages have many blocks and pieces
	m := &model{bench: b, rt: rt, boxes: map[string]*modelBox{}, subs: map[string]bool{}, arrivals: map[mail.ArrivalID]map[BoxID]bool{}, became: map[mail.ArrivalID]MessageID{},
		cameAs: map[MessageID]mail.ArrivalID{}, gone: map[MessageID]modelGone{}, staged: map[MessageID]modelGone{}}
	b.update(func(t *Tx) error { return t.Provision() })
	for _, p := range provisioned {
		m.boxes[p.name] = &modelBox{id: b.box(p.name).ID, next: 1, mails: map[UID]modelMail{}}
		m.subs[p.name] = true
	}
	return m
}

func (m *model) pick() *modelBox {
	return m.boxes[rapid.SampledFrom(slices.Sorted(maps.Keys(m.boxes))).Draw(m.rt, "box")]
}

var modelNames = []string{"INBOX", "A", "B", "A/x", "A/x/y", "B/é", "INBOX/in", "Sent", "C/d/e"}

func (m *model) pickName() string { return rapid.SampledFrom(modelNames).Draw(m.rt, "name") }

func (m *model) pickUIDs(b *modelBox) []UID {
	all := slices.Sorted(maps.Keys(b.mails))
	all = append(all, b.next, b.next+7)
	return rapid.SliceOfN(rapid.SampledFrom(all), 0, 6).Draw(m.rt, "uids")
}

// have is those of uids that are there, in order.
func (b *modelBox) have(uids []UID) []UID {
	return slices.DeleteFunc(ordered(uids), func(u UID) bool { _, ok := b.mails[u]; return !ok })
}

func (m *model) drawFlags() mail.Flags {
	return mail.Flags(rapid.IntRange(0, 31).Draw(m.rt, "flags"))
}

func (m *model) drawWords() []string {
	return rapid.SliceOfN(rapid.SampledFrom([]string{"one", "two", "three"}), 0, 3).Draw(m.rt, "words")
}

func joinWords(w []string) string {
	w = slices.Clone(w)
	slices.Sort(w)
	return strings.Join(slices.Compact(w), " ")
}

func (m *model) add(*rapid.T) {
	b := m.pick()
	var news []NewMessage
	for range rapid.IntRange(1, 3).Draw(m.rt, "n") {
		ids := rapid.SliceOfN(rapid.SampledFrom([]string{"<a@x>", "<b@x>", "<c@x>", "<d@x>"}), 1, 3).Draw(m.rt, "ids")
		n := m.letter(fmt.Sprintf("Subject: Re: s|Message-ID: %s|References: %s", ids[0], strings.Join(ids[1:], " ")), "x")
		n.Flags, n.Keywords = m.drawFlags(), m.drawWords()
		if rapid.Bool().Draw(m.rt, "arrived") {
			n.Arrival = mail.ArrivalID{byte(rapid.IntRange(1, 9).Draw(m.rt, "arrival"))}
		}
		news = append(news, n)
	}
	got := make([]Placement, len(news))
	m.update(func(t *Tx) error {
		for i, n := range news {
			var err error
			if got[i], err = t.Add(b.id, n); err != nil {
				return err
			}
		}
		return nil
	})
	for i, n := range news {
		if n.Arrival != (mail.ArrivalID{}) {
			if m.arrivals[n.Arrival][b.id] {
				continue
			}
			if m.arrivals[n.Arrival] == nil {
				m.arrivals[n.Arrival] = map[BoxID]bool{}
			}
			m.arrivals[n.Arrival][b.id] = true
			m.became[n.Arrival] = got[i].Message
			m.cameAs[got[i].Message] = n.Arrival
		}
		if got[i].UID != b.next {
			m.t.Fatalf("added as %d, want %d", got[i].UID, b.next)
		}
		b.mails[b.next] = modelMail{got[i].Message, n.Flags, joinWords(n.Keywords), got[i].ModSeq}
		b.next++
	}
}

func (m *model) setFlags(*rapid.T) {
	b := m.pick()
	uids := m.pickUIDs(b)
	c := FlagChange{FlagOp(rapid.IntRange(0, 2).Draw(m.rt, "op")), m.drawFlags(), m.drawWords()}
	since := ModSeq(0)
	if rapid.Bool().Draw(m.rt, "conditional") {
		since = rapid.Uint64Range(1, m.version+1).Draw(m.rt, "since")
	}
	changed, modified, err := m.SetFlags(context.Background(), alice, alice, b.id, uids, c, since)
	m.must(err)
	var wantChanged, wantModified, gotChanged []UID
	for _, p := range changed {
		gotChanged = append(gotChanged, p.UID)
	}
	for _, u := range b.have(uids) {
		old := b.mails[u]
		now := old
		had := strings.Fields(old.words)
		switch c.Op {
		case FlagsSet:
			now.flags, now.words = c.Flags, joinWords(c.Keywords)
		case FlagsAdd:
			now.flags, now.words = old.flags|c.Flags, joinWords(append(had, c.Keywords...))
		case FlagsRemove:
			now.flags = old.flags &^ c.Flags
			now.words = joinWords(slices.DeleteFunc(had, func(w string) bool { return slices.Contains(c.Keywords, w) }))
		}
		if since > 0 && old.modSeq > since {
			wantModified = append(wantModified, u)
		} else if now != old {
			i := slices.Index(gotChanged, u)
			if i < 0 || changed[i].ModSeq <= m.version {
				m.t.Fatalf("UID %d: not changed, or its modseq did not grow: %v", u, changed)
			}
			now.modSeq = changed[i].ModSeq
			b.mails[u] = now
			wantChanged = append(wantChanged, u)
		}
	}
	equalList(m.t, "changed", gotChanged, wantChanged)
	equalList(m.t, "modified", modified, wantModified)
}

func (m *model) expunge(*rapid.T) {
	b := m.pick()
	var uids, want []UID
	if rapid.Bool().Draw(m.rt, "some") {
		uids = m.pickUIDs(b)
		want = b.have(uids)
		if uids == nil {
			uids = []UID{}
		}
	} else {
		want = slices.Sorted(maps.Keys(b.mails))
	}
	force := rapid.IntRange(0, 4).Draw(m.rt, "force") == 0
	if !force {
		want = slices.DeleteFunc(want, func(u UID) bool { return !b.mails[u].flags.Has(deleted) })
	}
	got, err := m.Expunge(context.Background(), alice, alice, b.id, uids, force)
	m.must(err)
	equalList(m.t, "expunged", got, want)
	for _, u := range want {
		m.drop(b, u)
	}
}

// drop takes a mail out of b; after its last place it can be restored.
func (m *model) drop(b *modelBox, u UID) {
	x := b.mails[u]
	delete(b.mails, u)
	name := ""
	for n, o := range m.boxes {
		for _, y := range o.mails {
			if y.message == x.message {
				return
			}
		}
		if o == b {
			name = n
		}
	}
	if _, ok := m.staged[x.message]; ok {
		return
	}
	m.gone[x.message] = modelGone{name, x}
}

func (m *model) transfer(*rapid.T) {
	b, to := m.pick(), m.pick()
	uids := m.pickUIDs(b)
	move := rapid.Bool().Draw(m.rt, "move")
	do := m.Copy
	switch unsettled := rapid.Bool().Draw(m.rt, "unsettled"); {
	case move:
		do = m.Move
	case unsettled:
		do = m.copyUnsettled
	}
	src, dst, _, err := do(context.Background(), alice, alice, b.id, uids, to.id)
	m.must(err)
	equalList(m.t, "source", src, b.have(uids))
	for i, u := range src {
		if dst[i] != to.next {
			m.t.Fatalf("copied to %d, want %d", dst[i], to.next)
		}
		c := b.mails[u]
		c.modSeq = 0 // whatever it is, it is the version of the commit
		to.mails[to.next] = c
		to.next++
		if move {
			delete(b.mails, u)
		}
	}
}

func (m *model) create(*rapid.T) {
	name := m.pickName()
	var box Box
	err := m.try(func(t *Tx) (err error) { box, err = t.CreateBox(name, RoleNone); return err })
	if m.boxes[name] != nil {
		m.fails(fault.Exists, err)
		return
	}
	m.must(err)
	m.enter(name)
	if box.UIDValidity <= m.validity {
		m.t.Fatalf("UIDVALIDITY %d after %d", box.UIDValidity, m.validity)
	}
}

// enter notes a mailbox that was made, with its parents.
func (m *model) enter(name string) {
	for i, c := range name + "/" {
		if c == '/' && m.boxes[name[:i]] == nil {
			m.boxes[name[:i]] = &modelBox{id: m.box(name[:i]).ID, next: 1, mails: map[UID]modelMail{}}
		}
	}
}

func (m *model) within(name string) bool {
	for n := range m.boxes {
		if strings.HasPrefix(n, name+"/") {
			return true
		}
	}
	return false
}

func (m *model) remove(*rapid.T) {
	name := m.pickName()
	err := m.DeleteBox(context.Background(), alice, alice, name)
	switch {
	case m.boxes[name] == nil:
		m.fails(fault.NotFound, err)
	case name == "INBOX":
		m.fails(fault.Unsupported, err)
	case m.within(name):
		m.fails(fault.Conflict, err)
	default:
		m.must(err)
		for _, u := range slices.Sorted(maps.Keys(m.boxes[name].mails)) {
			m.drop(m.boxes[name], u)
		}
		delete(m.boxes, name)
	}
}

func (m *model) rename(*rapid.T) {
	from, to := m.pickName(), m.pickName()
	err := m.try(func(t *Tx) error { return t.RenameBox(from, to) })
	switch {
	case m.boxes[from] == nil:
		m.fails(fault.NotFound, err)
		return
	case m.boxes[to] != nil:
		m.fails(fault.Exists, err)
		return
	case from != "INBOX" && strings.HasPrefix(to, from+"/"):
		m.fails(fault.Unsupported, err)
		return
	}
	m.must(err)
	if from == "INBOX" {
		m.boxes[to] = m.boxes["INBOX"]
		m.boxes["INBOX"] = &modelBox{id: m.box("INBOX").ID, next: 1, mails: map[UID]modelMail{}}
		m.enter(to)
		return
	}
	moved := map[string]string{from: to}
	for n := range m.boxes {
		if rest, ok := strings.CutPrefix(n, from+"/"); ok {
			moved[n] = to + "/" + rest
		}
	}
	took := map[string]*modelBox{}
	subbed := map[string]bool{}
	for old, now := range moved {
		took[now] = m.boxes[old]
		subbed[now] = m.subs[old] || m.subs[now]
		delete(m.boxes, old)
		delete(m.subs, old)
	}
	maps.Copy(m.boxes, took)
	for n, on := range subbed {
		if on {
			m.subs[n] = true
		}
	}
	m.enter(to)
}

func (m *model) subscribe(*rapid.T) {
	name, on := m.pickName(), rapid.Bool().Draw(m.rt, "on")
	err := m.try(func(t *Tx) error { return t.Subscribe(name, on) })
	if on && m.boxes[name] == nil {
		m.fails(fault.NotFound, err)
		return
	}
	m.must(err)
	if delete(m.subs, name); on {
		m.subs[name] = true
	}
}

func (m *model) fail(*rapid.T) {
	b, stop := m.pick(), errors.New("stop")
	h := m.put("never")
	err := m.try(func(t *Tx) error {
		if _, err := t.Add(b.id, NewMessage{Content: h, Received: when}); err != nil {
			return err
		}
		return stop
	})
	if err != stop {
		m.t.Fatalf("got %v", err)
	}
}

// remember is a client that goes away.
func (m *model) remember(*rapid.T) {
	b := m.pick()
	m.points = append(m.points, point{b.id, m.version, maps.Clone(b.mails)})
}

// tidy forgets all that vanished, and the arrivals whose message did.
func (m *model) tidy(*rapid.T) {
	m.must(m.Tidy(context.Background(), alice, time.Now().Add(time.Hour)))
	m.tidied = m.version
	held := map[MessageID]bool{}
	for id := range m.staged {
		held[id] = true
	}
	for _, b := range m.boxes {
		for _, x := range b.mails {
			held[x.message] = true
		}
	}
	for a, id := range m.became {
		if !held[id] {
			delete(m.arrivals, a)
			delete(m.became, a)
		}
	}
}

// compare checks all that can be seen against the model.
func (m *model) compare(*rapid.T) {
	m.audit()
	m.compareGone()
	m.view(func(t *Tx) error {
		if v := t.Version(); v < m.version {
			m.t.Fatalf("version %d after %d", v, m.version)
		} else {
			m.version = v
		}
		boxes, err := t.Boxes()
		if err != nil {
			return err
		}
		var names []string
		for _, b := range boxes {
			names = append(names, b.Name)
			m.validity = max(m.validity, b.UIDValidity)
			if err := m.compareBox(t, b); err != nil {
				return err
			}
		}
		equalList(m.t, "mailboxes", names, slices.SortedFunc(maps.Keys(m.boxes), compareNames))
		subs, err := t.Subscriptions()
		equalList(m.t, "subscriptions", subs, slices.SortedFunc(maps.Keys(m.subs), compareNames))
		if err != nil {
			return err
		}
		for _, p := range m.points {
			m.catchUp(t, p)
		}
		return nil
	})
}

func (m *model) compareBox(t *Tx, b Box) error {
	want := m.boxes[b.Name]
	if want == nil {
		m.t.Fatalf("unexpected mailbox %q", b.Name)
	}
	equal(m.t, b.Name+" id", b.ID, want.id)
	equal(m.t, b.Name+" uidnext", b.UIDNext, want.next)
	uids, err := t.UIDs(b.ID)
	if err != nil {
		return err
	}
	equalList(m.t, b.Name+" uids", uids, slices.Sorted(maps.Keys(want.mails)))
	runs, err := t.Runs(b.ID)
	if err != nil {
		return err
	}
	equalList(m.t, b.Name+" runs", runs, runsOf(uids))
	var first [2]uint32
	n := uint32(0)
	for p, err := range t.Placements(b.ID, 1, want.next) {
		if err != nil {
			return err
		}
		if n++; !p.Flags.Has(seen) && first[0] == 0 {
			first = [2]uint32{p.UID, n}
		}
		w := want.mails[p.UID]
		if w.modSeq == 0 {
			w.modSeq = p.ModSeq
			want.mails[p.UID] = w
		}
		equal(m.t, "placement", modelMail{p.Message, p.Flags, joinWords(p.Keywords), p.ModSeq}, w)
	}
	u, k, err := t.FirstUnseen(b.ID)
	equal(m.t, "first unseen", [2]uint32{u, k}, first)
	return err
}

// catchUp brings what a client remembers up to date by Changes alone.
func (m *model) catchUp(t *Tx, p point) {
	var b *modelBox
	for _, x := range m.boxes {
		if x.id == p.box {
			b = x
		}
	}
	changed, vanished, err := t.Changes(p.box, p.at)
	if b == nil {
		m.fails(fault.NotFound, err)
		return
	}
	if fault.Is(err, fault.Expunged) && p.at < m.tidied {
		return
	}
	m.must(err)
	now := maps.Clone(p.mails)
	for _, u := range vanished {
		if _, ok := now[u]; !ok {
			m.t.Fatalf("UID %d vanished, but was never there", u)
		}
		delete(now, u)
	}
	for _, c := range changed {
		if c.ModSeq <= p.at {
			m.t.Fatalf("change %d is not after %d", c.ModSeq, p.at)
		}
		now[c.UID] = modelMail{c.Message, c.Flags, joinWords(c.Keywords), c.ModSeq}
	}
	if !maps.Equal(now, b.mails) {
		m.t.Fatalf("after Changes since %d: %v, want %v", p.at, now, b.mails)
	}
	if !slices.IsSortedFunc(changed, func(a, b Placement) int { return cmp.Compare(a.UID, b.UID) }) {
		m.t.Fatal("changes out of order")
	}
}

func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"": m.compare, "add": m.add, "add more": m.add, "set flags": m.setFlags, "expunge": m.expunge, "transfer": m.transfer,
		"create": m.create, "delete": m.remove, "rename": m.rename, "subscribe": m.subscribe, "fail": m.fail, "remember": m.remember, "tidy": m.tidy, "restore": m.restore, "purge": m.purge, "crash": m.crash, "sweep": m.sweep,
	}
}

func TestModel(t *testing.T) {
	seed := uint64(0)
	rapid.Check(t, func(rt *rapid.T) {
		seed++
		db := memkv.New(memkv.Options{Rerun: true, Seed: seed})
		blobs, err := blob.Open(blob.Options{DB: db})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { blobs.Close(); db.Close() }()
		rt.Repeat(newModel(rt, &bench{rt, db, blobs, New(Options{DB: db, Blobs: blobs})}).actions())
	})
}
