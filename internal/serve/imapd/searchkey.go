package imapd

import (
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/search"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// key is a search key ready to be asked of many messages.
type key struct {
	op     imap.SearchOp
	keys   []key
	flag   mail.Flags
	field  string
	word   string // of KEYWORD
	text   search.Needle
	raw    string // of text, as it came
	found  *search.Result
	asked  search.Query    // that was answered by found
	seen   map[uint64]bool // what looking at messages has shown
	number int64
	date   time.Time
	uids   []imap.Range // ascending, of UID; of others those it can be true of now, nil: any
	ids    []uint64     // of ID, ascending: the messages that names names
	names  *imap.SearchKey
}

// compile makes keys ready; in each list those that cost least come first. Within
// a FUZZY key, texts are searched for word by word.
func (f *finder) compile(tx *mailbox.Tx, from []imap.SearchKey, fuzzy bool) ([]key, error) {
	out := make([]key, 0, len(from))
	for i := range from {
		c, err := f.compileKey(tx, &from[i], fuzzy)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	slices.SortStableFunc(out, func(a, b key) int { return a.cost() - b.cost() })
	return out, nil
}

func (f *finder) compileKey(tx *mailbox.Tx, k *imap.SearchKey, fuzzy bool) (key, error) {
	sub, err := f.compile(tx, k.Keys, fuzzy || k.Op == "FUZZY")
	if err != nil {
		return key{}, err
	}
	c := key{op: k.Op, keys: sub, flag: k.Flag, field: k.Field, word: k.Text, number: int64(k.Number), date: k.Date, raw: k.Text}
	switch k.Op {
	case "SET", "UID":
		c.op, c.uids = "UID", f.v.uidsOf(k.Set, k.Op == "UID")
	case "UIDAFTER":
		c.op, c.uids = "UID", imap.Set{{First: uint32(min(k.Number+1, math.MaxUint32)), Last: math.MaxUint32}}
	case "UIDBEFORE":
		c.op, c.uids = "UID", common(everyUID(), []imap.Range{{First: 1, Last: uint32(k.Number) - 1}})
	case "RECENT":
		c.uids = f.v.fresh
	case "FLAG", "UNFLAG":
		err = f.narrow(tx, &c)
	case "MODSEQ":
		f.modSeq = true
	case "FUZZY":
		return sub[0], nil
	case "SAVEDATESUPPORTED": // by every mailbox
		c.op = "ALL"
	case "YOUNGER", "OLDER": // RFC 5032 §2
		c.date = f.now.Add(-time.Duration(k.Number) * time.Second)
	case "EMAILID", "X-GM-MSGID", "THREADID", "X-GM-THRID", "X-GM-LABELS":
		switch {
		case strings.EqualFold(k.Text, starred):
			c.op, c.flag = "FLAG", mail.FlagFlagged
		case strings.EqualFold(k.Text, important):
			c.op, c.word = "KEYWORD", importantWord
		default:
			c.op, c.names = "ID", k
			c.ids, err = f.idsOf(tx, k)
		}
	case "X-GM-RAW":
		var keys []imap.SearchKey
		if keys, err = imap.ParseRaw(k.Text, f.now); err == nil {
			c.op = "AND"
			c.keys, err = f.compile(tx, keys, true)
		}
	case "SUBJECT", "FROM", "TO", "CC", "BCC":
		c.op, c.field = "HEADER", string(k.Op)
		return f.textKey(c, fuzzy), nil
	case "HEADER", "BODY", "TEXT":
		return f.textKey(c, fuzzy), nil
	}
	return c, err
}

// narrow finds the UIDs that UNSEEN and DELETED can be true of, where that is kept.
func (f *finder) narrow(tx *mailbox.Tx, k *key) error {
	few := tx.FewDeleted
	switch {
	case k.op == "UNFLAG" && k.flag == flagSeen:
		few = tx.FewUnseen
	case k.op != "FLAG" || k.flag != flagDeleted:
		return nil
	}
	runs, ok, err := few(f.v.box)
	if !ok {
		return err
	}
	k.uids = make([]imap.Range, len(runs))
	for i, r := range runs {
		k.uids[i] = imap.Range{First: r.First, Last: r.Last}
	}
	return nil
}

// textKey makes a key with a text ready, or one for each of its words.
func (f *finder) textKey(k key, fuzzy bool) key {
	words := strings.Fields(k.raw)
	if !fuzzy || len(words) == 0 {
		k.text = search.NewNeedle(k.raw)
		return k
	}
	f.fuzzy = append(f.fuzzy, newFuzzyText(k.raw, words))
	all := key{op: "AND"}
	for _, w := range words {
		one := k
		one.raw, one.text = w, search.NewNeedle(w)
		all.keys = append(all.keys, one)
	}
	return all
}

// cost says what has to be read for a key: 0 the placement, 1 the header, 2 the
// content.
func (k *key) cost() int {
	cost := 0
	switch k.op {
	case "HEADER", "SENTBEFORE", "SENTON", "SENTSINCE":
		cost = 1
	case "BODY", "TEXT":
		cost = 2
	}
	for i := range k.keys {
		cost = max(cost, k.keys[i].cost())
	}
	return cost
}

func (k *key) needs() want {
	cost := k.cost()
	return want{message: cost > 0, index: cost > 0}
}

// answer is what a placement alone can say.
type answer int8

const (
	never answer = iota
	perhaps
	surely
)

func yes(b bool) answer {
	if b {
		return surely
	}
	return never
}

// cheap asks the placement.
func (k *key) cheap(r *row) answer {
	switch k.op {
	case "AND":
		a := surely
		for i := range k.keys {
			if a = min(a, k.keys[i].cheap(r)); a == never {
				break
			}
		}
		return a
	case "OR":
		return max(k.keys[0].cheap(r), k.keys[1].cheap(r))
	case "NOT":
		return surely - k.keys[0].cheap(r)
	case "ALL":
		return surely
	case "RECENT":
		return yes(isFresh(k.uids, r.UID))
	case "FLAG":
		return yes(r.Flags.Has(k.flag))
	case "UNFLAG":
		return yes(!r.Flags.Has(k.flag))
	case "KEYWORD":
		return yes(hasWord(r.Keywords, k.word))
	case "UNKEYWORD":
		return yes(!hasWord(r.Keywords, k.word))
	case "UID":
		return yes(inRanges(k.uids, r.UID))
	case "ID":
		_, found := slices.BinarySearch(k.ids, uint64(r.Placement.Message))
		return yes(found)
	case "MODSEQ":
		return yes(r.ModSeq >= uint64(k.number))
	case "LARGER":
		return yes(r.Size > k.number)
	case "SMALLER":
		return yes(r.Size < k.number)
	case "BEFORE":
		return yes(day(r.Received).Before(k.date))
	case "ON":
		return yes(day(r.Received).Equal(k.date))
	case "SINCE":
		return yes(!day(r.Received).Before(k.date))
	case "SAVEDBEFORE":
		return yes(day(r.Saved).Before(k.date))
	case "SAVEDON":
		return yes(day(r.Saved).Equal(k.date))
	case "SAVEDSINCE":
		return yes(!day(r.Saved).Before(k.date))
	case "YOUNGER":
		return yes(!r.Received.Before(k.date))
	case "OLDER":
		return yes(!r.Received.After(k.date))
	}
	return k.indexed(r)
}

func hasWord(words []string, word string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, word) })
}

// full asks the header and the content too.
func (k *key) full(r *row, b *body) (bool, error) {
	if a := k.cheap(r); a != perhaps {
		return a == surely, nil
	}
	if k.found != nil {
		hit, err := k.look(b)
		if id := uint64(r.Placement.Message); err == nil && id <= k.found.UpTo && len(k.seen) < maxSeen {
			k.seen[id] = hit
		}
		return hit, err
	}
	return k.look(b)
}

// look is full where the placement did not decide.
func (k *key) look(b *body) (bool, error) {
	switch k.op {
	case "AND", "OR":
		for i := range k.keys {
			hit, err := k.keys[i].full(b.row, b)
			if err != nil || hit == (k.op == "OR") {
				return hit, err
			}
		}
		return k.op == "AND", nil
	case "NOT":
		hit, err := k.keys[0].full(b.row, b)
		return !hit, err
	case "HEADER":
		return k.inHeader(b)
	case "BODY":
		return k.inBody(b)
	case "TEXT":
		if hit, err := k.inText(b); hit || err != nil {
			return hit, err
		}
		return k.inBody(b)
	}
	return k.sent(b)
}

// field is the values of a header field, from the kept index where that has it.
func (b *body) field(name string) ([]string, error) {
	if err := b.whole(); err != nil {
		return nil, err
	}
	if b.index.Keeps(name) {
		return b.index.Header.All(name), nil
	}
	h, _, err := b.header(nil)
	return h.All(name), err
}

// inHeader searches a header field.
func (k *key) inHeader(b *body) (bool, error) {
	values, err := b.field(k.field)
	if err != nil {
		return false, err
	}
	for _, v := range values {
		if v = message.DecodeHeader(v); k.text.In(v) || k.text.In(search.OddAddresses(k.field, v)) {
			return true, nil
		}
	}
	return false, nil
}

// sent compares the day of the Date field, in the sender's own zone.
func (k *key) sent(b *body) (bool, error) {
	values, err := b.field("Date")
	if err != nil || len(values) == 0 {
		return false, err
	}
	t, valid := message.ParseDate(values[0])
	if !valid {
		return false, nil
	}
	switch d := day(t); k.op {
	case "SENTBEFORE":
		return d.Before(k.date), nil
	case "SENTON":
		return d.Equal(k.date), nil
	default:
		return !d.Before(k.date), nil
	}
}

// inText searches the header of the message.
func (k *key) inText(b *body) (hit bool, err error) {
	h, _, err := b.header(nil)
	search.Fields(h, func(name, value string) bool {
		hit = k.text.In(name+": "+value) || k.text.In(search.OddAddresses(name, value))
		return !hit
	})
	return hit && err == nil, err
}

// inBody searches the texts of the message and the headers of those within it.
func (k *key) inBody(b *body) (hit bool, err error) {
	if err := b.whole(); err != nil {
		return false, err
	}
	if err := b.open(); err != nil {
		return false, err
	}
	var failed error
	err = search.Texts(b.index, b.content, func(text io.Reader) bool {
		hit, failed = k.text.InReader(text, b.scratch)
		return !hit && failed == nil
	})
	return hit, fault.Wrap("imapd.search", errors.Join(err, failed))
}

// day is the date of t as IMAP compares it: without time and zone.
func day(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}
