package crashtest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// worker is one of those who work side by side.
type worker struct {
	*world
	*rand.Rand
	ctx context.Context
	me  int
}

// patience ends a run that does not come to its cut.
const patience = 2 * time.Second

// work runs everybody until the cut.
func (w *world) work(seed uint64) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var all, watchers sync.WaitGroup
	n := uint64(0)
	begin := func(times int, step func(*worker)) {
		for me := range times {
			n++
			k := &worker{w, rand.New(rand.NewPCG(seed, 100+n)), context.Background(), me}
			all.Go(func() {
				for end := time.Now().Add(patience); !w.disk.dead.Load(); {
					step(k)
					if time.Now().After(end) {
						w.disk.cutNow()
					}
				}
			})
		}
	}
	begin(3, (*worker).bring)
	begin(accounts, (*worker).use)
	begin(2, (*worker).peek)
	begin(1, (*worker).relay)
	begin(1, (*worker).keep)
	for _, h := range w.book.holders {
		watchers.Go(func() {
			for v := range w.boxes.Watch(ctx, h.id) {
				w.disk.tell(func() { h.sawVersion(mailbox.ModSeq(v)) })
			}
		})
	}
	all.Wait()
	cancel()
	watchers.Wait()
}

// arrival draws a message and who it is for. Its id is of few partitions.
func (k *worker) arrival() (*mail.Arrival, *letter, []byte) {
	a := &mail.Arrival{
		ID: mail.NewArrivalID(), At: time.Now().UTC().Truncate(time.Second),
		Peer:     mail.Peer{Addr: netip.MustParseAddrPort("192.0.2.7:4321"), Helo: "client.test", ESMTP: true},
		Envelope: mail.Envelope{From: mail.Address{Local: "sender", Domain: "elsewhere.test"}},
	}
	a.ID[0] = byte(k.IntN(partitions))
	l := &letter{id: a.ID, unique: k.IntN(4) > 0}
	for i := range accounts {
		if k.IntN(2) == 0 {
			l.accounts = append(l.accounts, i)
			a.Envelope.To = append(a.Envelope.To, mail.Recipient{Address: person(i)})
		}
	}
	for n := range k.IntN(3) {
		to := mail.Address{Local: fmt.Sprint("r", n), Domain: "far.test"}
		l.remote = append(l.remote, to)
		a.Envelope.To = append(a.Envelope.To, mail.Recipient{Address: to})
	}
	return a, l, k.content(l)
}

// content draws a body: most are small and become rows, some lie in a segment,
// few in a segment of their own. Some are the same as others.
func (k *worker) content(l *letter) []byte {
	size := 100 + k.IntN(2000)
	switch n := k.IntN(40); {
	case n < 8:
		size = 9_000 + k.IntN(30_000)
	case n == 8:
		size = 700_000
	}
	name, source := l.id.String(), k.Rand
	if !l.unique {
		same := k.Uint64N(4)
		name, source = fmt.Sprint("same-", same), rand.New(rand.NewPCG(same, 3))
		size = []int{300, 5_000, 20_000, 60_000}[same]
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: sender@elsewhere.test\r\nMessage-ID: <%s@elsewhere.test>\r\nSubject: talk %d\r\n\r\n", name, source.IntN(5))
	noise := make([]byte, size)
	for i := 0; i < len(noise); i += 8 {
		v := source.Uint64()
		for j := i; j < min(i+8, len(noise)); j++ {
			noise[j] = ' ' + byte(v)&63
			v >>= 8
		}
	}
	b.Write(noise)
	b.WriteString("\r\n")
	return b.Bytes()
}

// bring delivers one message.
func (k *worker) bring() {
	a, l, content := k.arrival()
	if len(a.Envelope.To) == 0 {
		return
	}
	k.handles.RLock()
	defer k.handles.RUnlock()
	h, err := k.blobs.Put(k.ctx, content)
	if !k.must("storing a body", err) {
		return
	}
	a.Size, l.blob = h.Size(), h.ID()
	k.disk.tell(func() {
		k.book.letters[l.id] = l
		k.book.flying = append(k.book.flying[max(0, len(k.book.flying)-6):], l)
	})
	replies, err := k.deliver.Deliver(k.ctx, a, h)
	if !k.must("delivering", err) {
		return
	}
	for _, r := range replies {
		if !r.OK() {
			k.errorf("a delivery was answered %v", r)
		}
	}
	k.disk.tell(func() { l.accepted = true })
}

// look reads a part of a mailbox and notes what it saw.
func (k *worker) look(h *holder, name string, last uint32) (box mailbox.Box, seen []mailbox.Placement) {
	var version mailbox.ModSeq
	var arrivals []mail.ArrivalID
	err := k.boxes.View(k.ctx, h.id, func(t *mailbox.Tx) (err error) {
		seen, arrivals, version = nil, nil, t.Version()
		if box, err = t.BoxByName(name); err != nil {
			return err
		}
		from := uint32(1)
		if box.UIDNext > last {
			from = box.UIDNext - last
		}
		for p, err := range t.Placements(box.ID, from, box.UIDNext) {
			if err != nil {
				return err
			}
			m, err := t.Message(p.Message)
			if err != nil {
				return err
			}
			seen, arrivals = append(seen, p), append(arrivals, m.Arrival)
		}
		return nil
	})
	k.must("looking into "+name, err)
	k.disk.tell(func() {
		h.sawVersion(version)
		if err == nil {
			h.sawBox(box)
		}
		for i, p := range seen {
			h.saw(p, arrivals[i])
			if l := k.book.letters[arrivals[i]]; l != nil {
				l.shown = true
			}
		}
	})
	return box, seen
}

func boxName(n int) string { return []string{"INBOX", "INBOX", "INBOX", "Archive", "Trash"}[n] }

// use is one command of an account's user.
func (k *worker) use() {
	h := k.book.holders[k.me]
	box, seen := k.look(h, boxName(k.IntN(5)), 12)
	dest, _ := k.look(h, boxName(k.IntN(5)), 2)
	var uids []uint32
	p := &pending{places: map[mailbox.Place]bool{}}
	for _, s := range seen {
		if k.IntN(3) == 0 {
			uids = append(uids, s.UID)
			p.places[mailbox.Place{Box: box.ID, UID: s.UID}] = true
		}
	}
	if len(uids) == 0 {
		time.Sleep(100 * time.Microsecond)
		return
	}
	switch n := k.IntN(8); {
	case n < 4:
		k.flag(h, p, box, uids)
	case n == 4:
		k.expunge(h, p, box, uids)
	default:
		p.leaves, p.arrives = n > 5, true
		k.transfer(h, p, box, uids, dest)
	}
}

func (k *worker) flag(h *holder, p *pending, box mailbox.Box, uids []uint32) {
	p.flags = true
	p.change = mailbox.FlagChange{Op: mailbox.FlagOp(k.IntN(3)), Flags: mail.Flags(k.IntN(32))}
	k.disk.tell(func() { h.pending = p })
	changed, modified, err := k.boxes.SetFlags(k.ctx, 0, h.id, box.ID, uids, p.change, 0)
	if !k.must("setting flags", err) || len(modified) > 0 {
		return
	}
	k.disk.tell(func() {
		for _, c := range changed {
			at := mailbox.Place{Box: c.Box, UID: c.UID}
			h.saw(c, h.spots[at].arrival)
		}
		for at := range p.places {
			if f := h.spots[at].flags; f != apply(p.change, f) {
				k.errorf("flags of %v are told as %v after %v", at, f, p.change)
			}
		}
		h.pending = nil
	})
}

func (k *worker) expunge(h *holder, p *pending, box mailbox.Box, uids []uint32) {
	p.leaves = true
	k.disk.tell(func() { h.pending = p })
	if _, err := k.boxes.Expunge(k.ctx, 0, h.id, box.ID, uids, true); !k.must("expunging", err) {
		return
	}
	k.disk.tell(func() { h.settle(p) })
}

// settle notes that the places asked for are gone.
func (h *holder) settle(p *pending) {
	for at := range p.places {
		h.spots[at].gone = h.spots[at].gone || p.leaves
	}
	h.pending = nil
}

func (k *worker) transfer(h *holder, p *pending, box mailbox.Box, uids []uint32, dest mailbox.Box) {
	if box.ID == dest.ID {
		return
	}
	k.disk.tell(func() { h.pending = p })
	fn := k.boxes.Copy
	if p.leaves {
		fn = k.boxes.Move
	}
	src, dst, _, err := fn(k.ctx, 0, h.id, box.ID, uids, dest.ID)
	if fault.Is(err, fault.TooMany) {
		err = nil
	}
	if !k.must("copying or moving", err) {
		return
	}
	k.disk.tell(func() {
		for i, u := range dst {
			from := h.spots[mailbox.Place{Box: box.ID, UID: src[i]}]
			at := mailbox.Place{Box: dest.ID, UID: u}
			if h.spots[at] == nil {
				h.spots[at] = &spot{message: from.message, arrival: from.arrival, flags: from.flags}
			}
		}
		h.settle(p)
	})
}

// peek looks at what others have not been answered yet.
func (k *worker) peek() {
	h := k.book.holders[k.IntN(accounts)]
	switch n := k.IntN(20); {
	case n < 5:
		k.look(h, boxName(k.IntN(5)), 6)
	case n < 8: // an Update that writes nothing
		var v mailbox.ModSeq
		err := k.boxes.Update(k.ctx, 0, h.id, func(t *mailbox.Tx) error { v = t.Version(); return nil })
		if k.must("an empty update", err) {
			k.disk.tell(func() { h.sawVersion(v) })
		}
	case n < 19:
		k.peekFlying(n)
	default:
		k.backup()
	}
	time.Sleep(time.Duration(k.IntN(60)) * time.Microsecond)
}

// peekFlying asks for a body or a history that may be on its way.
func (k *worker) peekFlying(n int) {
	var l *letter
	k.disk.tell(func() {
		for _, f := range k.book.flying {
			if !f.promised() && (l == nil || k.IntN(2) == 0) {
				l = f
			}
		}
	})
	if l == nil {
		return
	}
	var there bool
	switch {
	case n < 13 && l.unique:
		var err error
		if _, err = k.blobs.Handle(k.ctx, l.blob); err == nil {
			there = true
		} else if !fault.Is(err, fault.NotFound) {
			k.must("asking for a body", err)
		}
	case n < 18 && l.unique: // the rows of a small body, by scanning
		err := k.db.View(k.ctx, nil, func(r kv.Reader) error {
			for _, err := range r.Scan(kv.Prefix(kv.NewKey([]byte("b/ref/")).Fixed(l.blob[:]))) {
				there = err == nil
				return err
			}
			return nil
		})
		k.must("asking who holds a body", err)
	default:
		entries, err := k.history.ByArrival(k.ctx, l.id)
		k.must("asking for the history", err)
		there = len(entries) > 0
	}
	if there {
		k.disk.tell(func() { l.shown = true })
	}
}

// backup takes one and reads the versions in it.
func (k *worker) backup() {
	var out bytes.Buffer
	if !k.must("a backup", k.db.Backup(k.ctx, &out)) {
		return
	}
	versions := map[string]kv.Version{}
	err := kv.ReadDump(&out, func(_, _ []byte) error { return nil }, func(s kv.Shard, v kv.Version) error {
		versions[string(s)] = v
		return nil
	})
	k.must("reading a backup", err)
	k.disk.tell(func() {
		for _, h := range k.book.holders {
			h.sawVersion(mailbox.ModSeq(versions[string(kv.AccountShard(h.id))]))
		}
	})
}

// keep is housekeeping: sweeping, tidying, and the directory's changes.
func (k *worker) keep() {
	switch k.IntN(6) {
	case 0:
		k.must("a sweep", k.blobs.Sweep(k.ctx, time.Now()))
	case 1:
		k.handles.Lock()
		k.must("a late sweep", k.blobs.Sweep(k.ctx, time.Now().Add(time.Duration(1+k.IntN(2))*60*time.Hour)))
		k.handles.Unlock()
	case 2:
		h := k.book.holders[k.IntN(accounts)]
		k.must("tidying", k.boxes.Tidy(k.ctx, h.id, time.Now().Add(time.Hour)))
	default:
		k.alias(fmt.Sprint("alias", k.IntN(3)))
	}
	time.Sleep(time.Duration(k.IntN(800)) * time.Microsecond)
}

func (k *worker) alias(name string) {
	var t *toggle
	k.disk.tell(func() {
		if t = k.book.aliases[name]; t == nil {
			t = &toggle{}
			k.book.aliases[name] = t
		}
		t.ask = !t.there
	})
	if t == nil {
		return
	}
	addr := mail.Address{Local: strings.ToLower(name), Domain: home}
	var err error
	if t.ask {
		err = k.people.AddAlias(k.ctx, addr, []mail.Address{person(0)})
	} else {
		err = k.people.RemoveAlias(k.ctx, addr)
	}
	if k.must("changing an alias", err) {
		k.disk.tell(func() { t.there = t.ask })
	}
}
