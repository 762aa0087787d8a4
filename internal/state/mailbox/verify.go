package mailbox

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// maxProblems is how many problems of one account are told.
const maxProblems = 100

// Verify counts all that is account a's anew and compares it with what is kept:
// every count, the blocks, the log, threads, names, that each message's blob is
// held and there, and the search index. It gives what is wrong in words, at most 100 of it, and an
// error if it could not go on. It reads each row once, in one moment of the
// account, while others go on writing; its memory does not grow with the number
// of messages but for a bit each. Bodies are not read: see blob.Store.Verify.
func (s *Store) Verify(ctx context.Context, a mail.AccountID) (problems []string, err error) {
	v := &verifier{ctx: ctx, boxes: map[BoxID]*boxCheck{}, words: newKeywordTable(nil), names: map[string]BoxID{}, roles: map[Role]BoxID{}}
	err = s.View(ctx, a, func(t *Tx) error {
		v.t = t
		return v.account()
	})
	if err == nil {
		err = s.verifyBlobs(ctx, a, v.tell)
	}
	if err == nil {
		err = s.verifySearch(ctx, a, v)
	}
	return v.problems, fault.Wrap("mailbox.Verify", err)
}

// verifier is one run over an account.
type verifier struct {
	ctx      context.Context
	t        *Tx
	rows     int
	acct     accountRow
	words    *keywordTable
	boxes    map[BoxID]*boxCheck
	names    map[string]BoxID // PARENT/LEAF
	roles    map[Role]BoxID
	live     bitset // messages that are there
	ended    bitset // messages whose end the log tells with their arrival
	gone     bitset // messages that can be restored
	usage    Usage
	kept     Usage
	problems []string

	// What must be the same from two sides.
	log, places, members, threads, arrivals balance
}

// boxCheck is a mailbox with what was found of it.
type boxCheck struct {
	boxRow
	blocks []block // in UID order
	found  []block // their counts
	got    Box
	last   UID
}

func (v *verifier) tell(format string, args ...any) {
	switch {
	case len(v.problems) < maxProblems:
		v.problems = append(v.problems, fmt.Sprintf(format, args...))
	case len(v.problems) == maxProblems:
		v.problems = append(v.problems, "and more")
	}
}

// each gives every row of one kind to fn. A row that cannot be read is a
// problem, not an error; where the engine finds damage the rest of the kind goes
// unread.
func (v *verifier) each(tag byte, fn func(k *kv.KeyReader, value []byte) error) error {
	prefix := v.t.key(tag)
	last := []byte(prefix)
	for p, err := range v.t.r.Scan(kv.Prefix(prefix)) {
		if fault.Is(err, fault.Corrupt) {
			v.tell("rows %c behind %x: %v", tag, last[len(prefix):], err)
			return nil
		} else if err != nil {
			return err
		}
		last = p.Key
		if v.rows++; v.rows%4096 == 0 && v.ctx.Err() != nil {
			return v.ctx.Err()
		}
		k := kv.ReadKey(p.Key, prefix)
		if err := errors.Join(fn(k, p.Value), k.Err()); err != nil {
			v.tell("row %c %x: %v", tag, p.Key[len(prefix):], err)
		}
	}
	return nil
}

// account reads the rows kind by kind, in an order in which each can be held
// against those before.
func (v *verifier) account() error {
	if _, err := v.t.get("", v.t.key(tagAccount), func(b []byte) (err error) { v.acct, err = decodeAccount(b); return err }); err != nil {
		v.tell("the account's row: %v", err)
	}
	if _, err := v.t.get("", v.t.key(tagKeywords), func(b []byte) (err error) { v.words, err = decodeKeywords(b); return err }); err != nil {
		v.tell("the keywords' row: %v", err)
		v.words = newKeywordTable(nil)
	}
	for _, step := range []func() error{
		v.readBoxes, v.readNames, v.readPlacements, v.checkBoxes, v.readShares, v.readAnnotations, v.readLog, v.readVanished,
		v.readMessages, v.readGone, v.readThreads, v.readViews, v.readArrivals, v.checkBalance, v.checkRest,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) readBoxes() error {
	err := v.each(tagBox, func(k *kv.KeyReader, value []byte) error {
		id := BoxID(k.Uint64())
		row, err := decodeBox(id, value)
		v.boxes[id] = &boxCheck{boxRow: row}
		return err
	})
	if err != nil {
		return err
	}
	err = v.each(tagRun, func(k *kv.KeyReader, value []byte) error {
		id := BoxID(k.Uint64())
		b, err := decodeBlock(^k.Uint32(), value)
		if c := v.boxes[id]; c != nil {
			c.blocks = append(c.blocks, b)
		} else {
			v.tell("a block of mailbox %d, which is not there", id)
		}
		return err
	})
	for id, c := range v.boxes {
		slices.Reverse(c.blocks)
		c.found = make([]block, len(c.blocks))
		end := UID(0)
		for _, b := range c.blocks {
			if len(b.spans) == 0 || end > 0 && b.first <= end {
				v.tell("mailbox %d: block %d is empty or overlaps the one before", id, b.first)
				continue
			}
			end = b.spans[len(b.spans)-1].to
		}
	}
	return err
}

func (v *verifier) readNames() error {
	err := v.each(tagName, func(k *kv.KeyReader, value []byte) error {
		parent, leaf := k.Uint64(), k.Text()
		id, err := decodeID(value)
		v.names[fmt.Sprint(parent, "/", leaf)] = id
		return err
	})
	if err != nil {
		return err
	}
	err = v.each(tagRole, func(k *kv.KeyReader, value []byte) error {
		role := Role(k.Text())
		id, err := decodeID(value)
		v.roles[role] = id
		return err
	})
	if err != nil {
		return err
	}
	subs := uint64(0)
	err = v.each(tagSub, func(k *kv.KeyReader, value []byte) error {
		k.Fixed(16)
		subs++
		d := open(value)
		d.text()
		return d.done()
	})
	if subs != v.acct.gone {
		v.tell("%d names of mailboxes that are gone, %d counted", subs, v.acct.gone)
	}
	return errors.Join(err, v.each(tagDead, func(k *kv.KeyReader, value []byte) error {
		k.Fixed(8 + 8)
		_, err := decodeDead(value)
		return err
	}))
}

func (v *verifier) readPlacements() error {
	return v.each(tagUID, func(k *kv.KeyReader, value []byte) error {
		id, uid := BoxID(k.Uint64()), k.Uint32()
		row, err := decodePlacement(value)
		if err != nil {
			return err
		}
		c := v.boxes[id]
		if c == nil {
			v.tell("placement %d of mailbox %d, which is not there", uid, id)
			return nil
		}
		v.places.add(uint64(id), uint64(uid), uint64(row.message), uint64(row.size))
		if c.into != 0 { // counted by the mailbox it was joined to
			p := c.adopt(placed{uid: uid, row: row})
			if d := v.boxes[c.into]; d != nil && slices.Contains(d.stages, id) && uid < c.UIDNext {
				d.count(v, p.uid, p.row)
			} else {
				v.tell("placement %d of stage %d, which is joined to nothing", uid, id)
			}
			return nil
		}
		c.count(v, uid, row)
		if _, err := v.words.list(row.keywords); err != nil {
			v.tell("placement %d of mailbox %d has a keyword that is not in the table", uid, id)
		}
		if !c.hidden {
			v.log.add(uint64(id), row.modSeq, uint64(uid))
		}
		return nil
	})
}

// count takes a placement into what was found of its mailbox.
func (c *boxCheck) count(v *verifier, uid UID, row placementRow) {
	c.last = max(c.last, uid)
	c.got.HighestModSeq = max(c.got.HighestModSeq, row.modSeq)
	c.got.Messages++
	c.got.Size += row.size
	one := block{}
	state := boxState{row: &boxRow{Box: c.got}}
	tally(&state, &one, row.flags, 1)
	c.got = state.row.Box
	i := c.block(uid)
	if i < 0 {
		v.tell("placement %d of mailbox %d is in none of its blocks", uid, c.ID)
		return
	}
	f := &c.found[i]
	f.count, f.unseen, f.deleted = f.count+1, f.unseen+one.unseen, f.deleted+one.deleted
}

func (v *verifier) checkBoxes() error {
	live := 0
	version := v.t.Version()
	for id, c := range v.boxes {
		if !c.doomed && !c.hidden {
			live++
			if v.names[fmt.Sprint(uint64(c.Parent), "/", c.leaf)] != id {
				v.tell("mailbox %d is not found by its name %q", id, c.leaf)
			}
			if c.Role != RoleNone && v.roles[c.Role] != id {
				v.tell("mailbox %d is not found by its role %q", id, c.Role)
			}
			if c.Parent != 0 && v.boxes[c.Parent] == nil {
				v.tell("mailbox %d: its parent %d is not there", id, c.Parent)
			}
		}
		if c.HighestModSeq > version || c.Changed > version || id > v.acct.lastBox || !c.hidden && c.UIDValidity > v.acct.lastUIDValidity {
			v.tell("mailbox %d is ahead of its account", id)
		}
		if c.got.HighestModSeq > c.HighestModSeq || c.last >= c.UIDNext {
			v.tell("mailbox %d: a placement is ahead of it", id)
		}
		for _, s := range c.stages {
			if st := v.boxes[s]; st == nil || st.into != id || !st.hidden {
				v.tell("mailbox %d: its stage %d is not there", id, s)
			}
		}
		if got, kept := c.got.counts(), c.Box.counts(); got != kept {
			v.tell("mailbox %d counts (messages, unseen, deleted, octets) %v; there are %v", id, kept, got)
		}
		for i, b := range c.blocks {
			if f := c.found[i]; f.count != b.count || f.unseen != b.unseen || f.deleted != b.deleted {
				v.tell("mailbox %d: block %d counts (UIDs, unseen, deleted) %d %d %d; there are %d %d %d",
					id, b.first, b.count, b.unseen, b.deleted, f.count, f.unseen, f.deleted)
			}
		}
	}
	if uint64(live) != v.acct.boxes || live != len(v.names) {
		v.tell("%d mailboxes, %d counted, %d names", live, v.acct.boxes, len(v.names))
	}
	return nil
}

func (b Box) counts() [4]int64 {
	return [4]int64{int64(b.Messages), int64(b.Unseen), int64(b.Deleted), b.Size}
}
