package mailbox

import (
	"errors"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Tx is one account in one transaction: of View, where nothing can be written,
// of Update, or of someone else (In). It belongs to one goroutine and ends with
// the transaction.
//
// Rows that many messages share (the account's, the mailbox's, the blocks of
// UIDs) are decoded once and written once: at the end of Update, or at the end
// of each call where the transaction is someone else's.
type Tx struct {
	store   *Store
	account mail.AccountID
	who     mail.AccountID // in whose name; 0: the server's
	mate    bool           // who is of the account's circle
	shard   kv.Shard
	r       kv.Reader
	w       kv.Tx // nil in View
	hold    bool  // flush is called at the end
	wrote   bool
	load    load
	next    ModSeq // 0 until seq is asked

	acct     *accountRow
	acctDue  bool
	boxes    map[BoxID]*boxState
	messages map[MessageID]*messageState
	words    *keywordTable
}

// load is what the transaction will weigh for the engine, see kv.MaxWrites.
type load struct{ writes, octets int }

// boxState is a mailbox in hand. A nil row is one that is not there.
type boxState struct {
	row    *boxRow
	due    bool
	blocks map[UID]*block
	last   *block   // the one used last: neighbours are used together
	all    []*block // all of them, in a View

	acl     aclRow
	aclRead bool
	marks   map[UID]*markRow // of the one who is not the owner, by UID/markSpan
	head    *markHead
}

type messageState struct {
	row *messageRow
	due bool
}

func newTx(s *Store, a mail.AccountID, r kv.Reader) *Tx {
	t := &Tx{store: s, account: a, shard: kv.AccountShard(a), r: r}
	t.forget()
	return t
}

func (t *Tx) forget() {
	t.acct, t.acctDue, t.words = nil, false, nil
	t.boxes = map[BoxID]*boxState{}
	t.messages = map[MessageID]*messageState{}
}

// Version is the account's change number at this moment; once an Update has
// written something, the one its commit will give.
func (t *Tx) Version() ModSeq {
	if t.wrote {
		return t.seq()
	}
	return ModSeq(t.r.Version(t.shard))
}

// seq is the change number of all that this transaction does.
func (t *Tx) seq() ModSeq {
	if t.next == 0 {
		t.next = ModSeq(t.w.Next(t.shard))
	}
	return t.next
}

func (t *Tx) set(k, v []byte) {
	t.weigh(len(k) + len(v))
	t.w.Set(k, v)
}

func (t *Tx) del(k []byte) {
	t.weigh(len(k))
	t.w.Delete(k)
}

func (t *Tx) weigh(octets int) {
	t.wrote = true
	t.load.writes++
	t.load.octets += octets
}

// begin opens a call that writes and asks for rights itself, and done closes it.
func (t *Tx) begin(op string) error {
	if t.w == nil {
		return fault.As(fault.Internal, op, errors.New("a view cannot write"))
	}
	return nil
}

// beginOwn is begin of a call that only the owner, or the server, may make.
func (t *Tx) beginOwn(op string) error {
	if t.foreign() {
		return fault.New(fault.Denied, op, "that is not your account")
	}
	return t.begin(op)
}

func (t *Tx) done() {
	if !t.hold {
		t.flush()
		t.forget()
	}
}

// sync makes rows in hand visible to scans.
func (t *Tx) sync() {
	if t.w != nil {
		t.flush()
	}
}

// flush writes the rows in hand. Their weight was counted when they became due.
func (t *Tx) flush() {
	if t.acctDue {
		t.w.Set(t.key(tagAccount), t.acct.encode())
		t.acctDue = false
	}
	if t.words != nil && t.words.dirty {
		t.w.Set(t.key(tagKeywords), t.words.encode())
		t.words.dirty = false
	}
	for id, b := range t.boxes {
		if b.due {
			t.w.Set(t.boxKey(tagBox, id), b.row.encode())
			b.due = false
		}
		for _, k := range b.blocks {
			t.flushBlock(id, k)
		}
		t.flushMarks(id, b)
	}
	for id, m := range t.messages {
		if m.due {
			t.w.Set(t.msgKey(tagMessage, id), m.row.encode())
			m.due = false
		}
	}
}

func (t *Tx) flushBlock(b BoxID, k *block) {
	switch {
	case !k.dirty:
	case k.count == 0:
		t.w.Delete(t.runKey(b, k.first))
	default:
		t.w.Set(t.runKey(b, k.first), k.encode())
	}
	k.dirty = false
}

// get reads a row and hands it to decode; ok says whether it was there.
func (t *Tx) get(op string, key []byte, decode func([]byte) error) (ok bool, err error) {
	v, ok, err := t.r.Get(key)
	if err != nil {
		return false, fault.Wrap(op, err)
	}
	if ok {
		if err := decode(v); err != nil {
			return false, fault.As(fault.Corrupt, op, err)
		}
	}
	return ok, nil
}

// strange gives rows of which most are not there, as what a new message names is
// seldom known: GetMany finds that out without a look at other rows.
func (t *Tx) strange(op string, keys ...[]byte) ([][]byte, error) {
	rows, err := t.r.GetMany(keys)
	return rows, fault.Wrap(op, err)
}

// acctRow is the account's row; a new one where there is none yet.
func (t *Tx) acctRow() (*accountRow, error) {
	if t.acct != nil {
		return t.acct, nil
	}
	r := &accountRow{}
	_, err := t.get("mailbox.account", t.key(tagAccount), func(v []byte) (err error) {
		*r, err = decodeAccount(v)
		return err
	})
	if err != nil {
		return nil, err
	}
	t.acct = r
	return r, nil
}

func (t *Tx) acctChanged() {
	if !t.acctDue {
		t.acctDue = true
		t.weigh(60)
	}
}

// state is mailbox id in hand.
func (t *Tx) state(id BoxID) (*boxState, error) {
	if b := t.boxes[id]; b != nil {
		return b, nil
	}
	b := &boxState{blocks: map[UID]*block{}}
	_, err := t.get("mailbox.box", t.boxKey(tagBox, id), func(v []byte) error {
		r, err := decodeBox(id, v)
		b.row = &r
		return err
	})
	if err != nil {
		return nil, err
	}
	t.boxes[id] = b
	return b, nil
}

// live is state of a mailbox that must be there, and not hidden from whom the
// transaction is for.
func (t *Tx) live(id BoxID) (*boxState, error) {
	b, err := t.state(id)
	if err != nil {
		return nil, err
	}
	if b.row == nil || b.row.doomed || b.row.hidden {
		return nil, errNoBox()
	}
	if r, err := t.rights(b); err != nil {
		return nil, err
	} else if r&visible == 0 {
		return nil, errNoBox()
	}
	return b, nil
}

func errNoBox() error { return fault.New(fault.NotFound, "mailbox.box", "there is no such mailbox") }

// changed notes that a mailbox's row must be written.
func (t *Tx) changed(b *boxState) {
	if !b.due {
		b.due = true
		t.weigh(100)
	}
}

// touched is changed for a change to a placement or a count.
func (t *Tx) touched(b *boxState) error {
	a, err := t.acctRow()
	if err != nil {
		return err
	}
	t.changed(b)
	b.row.HighestModSeq = t.seq()
	a.states.Mailbox, a.states.Email = t.seq(), t.seq()
	t.acctChanged()
	return nil
}

// message is message id in hand; fault.NotFound if it is not there.
func (t *Tx) message(id MessageID) (*messageState, error) {
	if m := t.messages[id]; m != nil {
		return m, nil
	}
	m := &messageState{}
	ok, err := t.get("mailbox.message", t.msgKey(tagMessage, id), func(v []byte) error {
		r, err := decodeMessage(id, v)
		m.row = &r
		return err
	})
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errNoMessage()
	}
	// A view reads many messages once each: it need not keep them.
	if t.w != nil {
		t.messages[id] = m
	}
	return m, nil
}

func errNoMessage() error {
	return fault.New(fault.NotFound, "mailbox.message", "there is no such message")
}

func (t *Tx) messageChanged(m *messageState) {
	if !m.due {
		m.due = true
		t.weigh(160 + len(m.row.Prefix) + 16*len(m.row.Places))
	}
}

// keywords is the account's table.
func (t *Tx) keywords() (*keywordTable, error) {
	if t.words != nil {
		return t.words, nil
	}
	k := newKeywordTable(nil)
	_, err := t.get("mailbox.keywords", t.key(tagKeywords), func(v []byte) (err error) {
		k, err = decodeKeywords(v)
		return err
	})
	if err != nil {
		return nil, err
	}
	t.words = k
	return k, nil
}

// Keywords is every keyword that was ever used in the account, as first
// written: what SELECT lists in FLAGS beside the system flags. Others than the
// owner are told of none, as the list is not of one mailbox.
func (t *Tx) Keywords() ([]string, error) {
	k, err := t.keywords()
	if err != nil || t.foreign() {
		return nil, err
	}
	return append([]string(nil), k.names...), nil
}

// Usage is what the account holds.
func (t *Tx) Usage() (Usage, error) {
	a, err := t.acctRow()
	if err != nil {
		return Usage{}, err
	}
	return a.usage, nil
}

// States are the change numbers of the last changes by type.
func (t *Tx) States() (States, error) {
	a, err := t.acctRow()
	if err != nil {
		return States{}, err
	}
	return a.states, nil
}
