package mailbox

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// audit counts alice's rows anew and compares them with what is kept.
func (b *bench) audit() {
	b.t.Helper()
	a := newAuditor()
	b.must(b.View(context.Background(), alice, func(t *Tx) error {
		a.version = t.Version()
		return a.read(t)
	}))
	b.must(b.db.View(context.Background(), nil, a.readRefs))
	for _, s := range a.check() {
		b.t.Error(s)
	}
	if b.t.Failed() {
		b.t.FailNow()
	}
}

type auditor struct {
	version    ModSeq
	account    accountRow
	words      *keywordTable
	boxes      map[BoxID]boxRow
	placements map[Place]placementRow
	messages   map[MessageID]messageRow
	views      map[MessageID]bool
	runs       map[BoxID][]block
	changed    map[Place]ModSeq
	vanished   map[Place]ModSeq
	threadIDs  map[uint64]threadRow
	members    map[[2]uint64]bool
	arrivals   map[mail.ArrivalID]arrivalRow
	names      map[string]BoxID
	roles      map[string]BoxID
	subs       int
	refs       map[mail.BlobID]int
	wrong      []string
}

func newAuditor() *auditor {
	return &auditor{
		boxes: map[BoxID]boxRow{}, placements: map[Place]placementRow{}, messages: map[MessageID]messageRow{},
		runs: map[BoxID][]block{}, changed: map[Place]ModSeq{}, vanished: map[Place]ModSeq{},
		threadIDs: map[uint64]threadRow{}, members: map[[2]uint64]bool{}, arrivals: map[mail.ArrivalID]arrivalRow{},
		names: map[string]BoxID{}, views: map[MessageID]bool{}, roles: map[string]BoxID{},
		words: newKeywordTable(nil), refs: map[mail.BlobID]int{},
	}
}

func (a *auditor) errorf(format string, args ...any) {
	if len(a.wrong) < 20 {
		a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
	}
}

// read decodes every row of the account.
func (a *auditor) read(t *Tx) error {
	for p, err := range t.r.Scan(kv.Prefix(t.shard)) {
		if err != nil {
			return err
		}
		tag := p.Key[len(t.shard)]
		k := kv.ReadKey(p.Key, t.key(tag))
		if err := a.row(tag, k, p.Value); err != nil {
			return fmt.Errorf("row %c: %w", tag, err)
		}
		if err := k.Err(); err != nil {
			return fmt.Errorf("key %c: %w", tag, err)
		}
	}
	return nil
}

func (a *auditor) row(tag byte, k *kv.KeyReader, v []byte) (err error) {
	place := func() Place { return Place{BoxID(k.Uint64()), k.Uint32()} }
	switch tag {
	case tagAccount:
		a.account, err = decodeAccount(v)
	case tagKeywords:
		a.words, err = decodeKeywords(v)
	case tagBox:
		id := BoxID(k.Uint64())
		a.boxes[id], err = decodeBox(id, v)
	case tagUID:
		a.placements[place()], err = decodePlacement(v)
	case tagMessage:
		id := MessageID(k.Uint64())
		a.messages[id], err = decodeMessage(id, v)
	case tagView:
		a.views[MessageID(k.Uint64())] = true
	case tagRun:
		id := BoxID(k.Uint64())
		var b block
		b, err = decodeBlock(^k.Uint32(), v)
		a.runs[id] = slices.Insert(a.runs[id], 0, b)
	case tagChanged, tagVanished:
		id, seq := BoxID(k.Uint64()), k.Uint64()
		p := Place{id, k.Uint32()}
		to := map[byte]map[Place]ModSeq{tagChanged: a.changed, tagVanished: a.vanished}[tag]
		if to[p] != 0 {
			a.errorf("%v twice in log %c", p, tag)
		}
		to[p] = seq
		if tag == tagVanished {
			_, err = decodeVanished(v)
		}
	case tagThreadID:
		h := k.Uint64()
		a.threadIDs[h], err = decodeThread(v)
	case tagMember:
		a.members[[2]uint64{k.Uint64(), k.Uint64()}] = true
	case tagArrival:
		id := mail.ArrivalID(k.Fixed(16))
		a.arrivals[id], err = decodeArrival(v)
	case tagName:
		parent, leaf := k.Uint64(), k.Text()
		a.names[fmt.Sprint(parent, "/", leaf)], err = decodeID(v)
	case tagRole:
		role := k.Text()
		a.roles[role], err = decodeID(v)
	case tagSub:
		k.Fixed(16)
		a.subs++
	case tagDead:
		k.Fixed(16)
		_, err = decodeDead(v)
	default:
		err = fmt.Errorf("unknown")
	}
	return err
}

// readRefs reads which blobs alice's messages hold.
func (a *auditor) readRefs(r kv.Reader) error {
	prefix := []byte("b/ref/")
	for p, err := range r.Scan(kv.Prefix(prefix)) {
		if err != nil {
			return err
		}
		k := kv.ReadKey(p.Key, prefix)
		id := mail.BlobID(k.Fixed(32))
		if kind, shard := k.Uint8(), k.Uint64(); kind == 'm' && shard == uint64(alice) {
			a.refs[id]++
		}
		k.Fixed(16)
		if err := k.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (a *auditor) check() []string {
	a.checkBoxes()
	a.checkPlacements()
	a.checkMessages()
	a.checkThreads()
	return a.wrong
}

func (a *auditor) checkBoxes() {
	live := uint64(0)
	for id, b := range a.boxes {
		if !b.doomed {
			live++
			if got := a.names[fmt.Sprint(uint64(b.Parent), "/", b.leaf)]; got != id {
				a.errorf("name of mailbox %d leads to %d", id, got)
			}
			if b.Role != RoleNone && a.roles[string(b.Role)] != id {
				a.errorf("role %s leads to %d, not %d", b.Role, a.roles[string(b.Role)], id)
			}
		}
		if b.HighestModSeq > a.version || b.Changed > a.version || id > a.account.lastBox || b.UIDValidity > a.account.lastUIDValidity {
			a.errorf("mailbox %d is ahead of its account", id)
		}
		a.checkRuns(b)
	}
	if live != a.account.boxes || int(live) != len(a.names) {
		a.errorf("%d mailboxes, %d counted, %d names", live, a.account.boxes, len(a.names))
	}
	if uint64(a.subs) != a.account.gone {
		a.errorf("%d names of mailboxes gone, %d counted", a.subs, a.account.gone)
	}
	for id := range a.runs {
		if _, ok := a.boxes[id]; !ok {
			a.errorf("blocks of mailbox %d, which is not there", id)
		}
	}
}

// checkRuns compares a mailbox's blocks and counts with its placements.
func (a *auditor) checkRuns(b boxRow) {
	var uids []UID
	var unseen, deletedN uint32
	end := UID(0)
	for _, k := range a.runs[b.ID] {
		if k.count == 0 || k.count > maxRun || k.first <= end && end > 0 {
			a.errorf("mailbox %d: block %d after %d with %d UIDs", b.ID, k.first, end, k.count)
		}
		in := k.appendTo(nil)
		uids = append(uids, in...)
		end = in[len(in)-1]
		var u, d uint32
		for _, uid := range in {
			f := a.placements[Place{b.ID, uid}].flags
			if !f.Has(seen) {
				u++
			}
			if f.Has(deleted) {
				d++
			}
		}
		if u != k.unseen || d != k.deleted {
			a.errorf("mailbox %d: block %d counts %d unseen, %d deleted; there are %d, %d", b.ID, k.first, k.unseen, k.deleted, u, d)
		}
		unseen, deletedN = unseen+u, deletedN+d
	}
	var have []UID
	var size int64
	var highest ModSeq
	for p, r := range a.placements {
		if p.Box == b.ID {
			have = append(have, p.UID)
			size += r.size
			highest = max(highest, r.modSeq)
		}
	}
	slices.Sort(have)
	if !slices.Equal(uids, have) {
		a.errorf("mailbox %d: blocks have %v, placements %v", b.ID, uids, have)
	}
	got := [4]int64{int64(b.Messages), int64(b.Unseen), int64(b.Deleted), b.Size}
	if want := [4]int64{int64(len(have)), int64(unseen), int64(deletedN), size}; got != want {
		a.errorf("mailbox %d: counts %v, rows say %v", b.ID, got, want)
	}
	if highest > b.HighestModSeq || len(have) > 0 && have[len(have)-1] >= b.UIDNext {
		a.errorf("mailbox %d: a placement is ahead of it", b.ID)
	}
}

func (a *auditor) checkPlacements() {
	for p, r := range a.placements {
		if a.changed[p] != r.modSeq {
			a.errorf("placement %v of change %d stands in the log at %d", p, r.modSeq, a.changed[p])
		}
		if a.vanished[p] != 0 {
			a.errorf("placement %v is there and has vanished", p)
		}
		if _, ok := a.boxes[p.Box]; !ok {
			a.errorf("placement %v without a mailbox", p)
		}
		m, ok := a.messages[r.message]
		if !ok || !slices.Contains(m.Places, p) || m.Size != r.size {
			a.errorf("placement %v is not known to message %d", p, r.message)
		}
		if _, err := a.words.list(r.keywords); err != nil {
			a.errorf("placement %v has unknown keywords", p)
		}
	}
	if len(a.changed) != len(a.placements) {
		a.errorf("%d placements, %d in the log", len(a.placements), len(a.changed))
	}
}

func (a *auditor) checkMessages() {
	var u Usage
	want := map[mail.BlobID]int{}
	for id, m := range a.messages {
		u.Messages++
		u.Octets += m.Size
		want[m.Blob]++
		if len(m.Places) == 0 || id > a.account.lastMessage {
			a.errorf("message %d: places %v", id, m.Places)
		}
		for _, p := range m.Places {
			if a.placements[p].message != id {
				a.errorf("message %d says it is at %v", id, p)
			}
		}
		if m.Arrival != (mail.ArrivalID{}) && a.arrivals[m.Arrival].message != id {
			a.errorf("message %d: arrival leads to %d", id, a.arrivals[m.Arrival].message)
		}
	}
	if u != a.account.usage {
		a.errorf("usage %v, rows say %v", a.account.usage, u)
	}
	for id := range a.views {
		if _, ok := a.messages[id]; !ok {
			a.errorf("view without message %d", id)
		}
	}
	if len(want) != len(a.refs) {
		a.errorf("%d blobs wanted, %d held", len(want), len(a.refs))
	}
	for id, n := range want {
		if a.refs[id] != n {
			a.errorf("blob %v is held %d times, wanted %d", id, a.refs[id], n)
		}
	}
}

func (a *auditor) checkThreads() {
	counts := map[uint64]uint64{}
	for id, m := range a.messages {
		if !a.members[[2]uint64{m.Thread, uint64(id)}] {
			a.errorf("message %d is no member of its thread %d", id, m.Thread)
		}
		for _, h := range m.threads {
			counts[h]++
		}
	}
	if len(a.members) != len(a.messages) || len(counts) != len(a.threadIDs) {
		a.errorf("%d members, %d messages; %d ids, %d rows", len(a.members), len(a.messages), len(counts), len(a.threadIDs))
	}
	for h, n := range counts {
		if a.threadIDs[h].count != n {
			a.errorf("thread id %x counts %d, used by %d", h, a.threadIDs[h].count, n)
		}
	}
}

func TestAuditFindsFaults(t *testing.T) {
	b := newBench(t)
	b.addMany("INBOX", 3)
	b.update(func(t *Tx) error {
		s, err := t.live(1)
		if err != nil {
			return err
		}
		s.row.Unseen++
		t.changed(s)
		return nil
	})
	probe := &probeTB{T: t}
	func() {
		defer func() { _ = recover() }()
		(&bench{probe, b.db, b.blobs, b.Store}).audit()
	}()
	if !probe.failed {
		t.Error("a wrong count went unseen")
	}
}

// probeTB takes failures instead of failing.
type probeTB struct {
	*testing.T
	failed bool
}

func (p *probeTB) Helper()           {}
func (p *probeTB) Error(args ...any) { p.failed = true }
func (p *probeTB) Failed() bool      { return p.failed }
func (p *probeTB) FailNow()          { panic("failed") }
