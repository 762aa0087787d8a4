package imapd_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// TestFindAgainstNaive asks random things of a random mailbox, of which some is
// indexed, and compares the answers with those of an evaluator that knows nothing
// of indexes, pages and candidates.
func TestFindAgainstNaive(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { findAgainstNaive(t, seed) })
		})
	}
}

func findAgainstNaive(t *testing.T, seed uint64) {
	w := newWorld(t, nil)
	rnd := rand.New(rand.NewPCG(seed, 3))
	n := &naive{t: t, w: w, rnd: rnd}
	for i := range 70 {
		n.deliver()
		time.Sleep(time.Duration(rnd.IntN(20)) * time.Hour)
		if i == 30 {
			for more := true; more; {
				var err error
				if more, err = w.boxes.IndexMessages(t.Context(), w.alice); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	m := &model{t: t, w: w, c: w.connect(), name: "client", flags: map[uint32]string{}}
	m.do("LOGIN alice@example.test secret")
	m.do("SELECT INBOX")
	if seed%2 == 0 { // else no message is in the mailbox twice
		m.do("COPY 3:6 INBOX")
	}
	m.do("STORE 5,9,20:24 +FLAGS.SILENT (\\Deleted)")
	m.do("EXPUNGE")
	m.do("STORE 1:7 +FLAGS.SILENT ($c)")
	n.read()
	for i := range 250 {
		n.ask(m)
		if i%50 == 49 {
			for range rnd.IntN(5) {
				n.deliver()
			}
			m.do(fmt.Sprintf("STORE %d +FLAGS.SILENT (\\Deleted)", 1+rnd.IntN(20)))
			m.do("EXPUNGE")
			n.read()
		}
	}
	m.do("LOGOUT")
	_ = m.c.conn.Close()
	<-m.c.done
	w.close()
}

// naive is a mailbox as it is.
type naive struct {
	t    *testing.T
	w    *world
	rnd  *rand.Rand
	raws []string // by message id, from 1
	rows []naiveRow
	now  time.Time
}

type naiveRow struct {
	mailbox.Placement
	number uint32
	thread mailbox.ThreadID
	fields map[string]string // in lower case
	header string
	body   string
}

// deliver brings a message.
func (n *naive) deliver() {
	raw := searchLetter(n.rnd, len(n.raws))
	n.raws = append(n.raws, raw)
	box := []string{"INBOX", "INBOX", "INBOX", "Sent"}[n.rnd.IntN(4)]
	n.w.deliver(box, raw, mail.Flags(n.rnd.IntN(32)), []string{"$a", "$b"}[:n.rnd.IntN(3)]...)
}

// read takes the mailbox from the store.
func (n *naive) read() {
	n.now, n.rows = time.Now(), nil
	err := n.w.boxes.View(context.Background(), n.w.alice, func(tx *mailbox.Tx) error {
		box, err := tx.BoxByName("INBOX")
		if err != nil {
			return err
		}
		for p, err := range tx.Placements(box.ID, 1, math.MaxUint32) {
			if err != nil {
				return err
			}
			msg, err := tx.Message(p.Message)
			if err != nil {
				return err
			}
			r := naiveRow{Placement: p, number: uint32(len(n.rows) + 1), thread: msg.Thread, fields: map[string]string{}}
			r.header, r.body, _ = strings.Cut(n.raws[p.Message-1], "\r\n\r\n")
			for _, f := range strings.Split(r.header, "\r\n") {
				name, value, _ := strings.Cut(f, ":")
				r.fields[strings.ToLower(name)] = strings.TrimSpace(value)
			}
			n.rows = append(n.rows, r)
		}
		return nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

// ask sends one random search, and evaluates it.
func (n *naive) ask(m *model) {
	key := n.key(3)
	var want []uint32
	var numbers []string
	for i := range n.rows {
		if n.is(&key, &n.rows[i]) {
			want = append(want, n.rows[i].UID)
			numbers = append(numbers, strconv.Itoa(int(n.rows[i].number)))
		}
	}
	command := func(c *imap.SearchCommand) string {
		c.Keys = []imap.SearchKey{key}
		return strings.TrimSuffix(strings.TrimPrefix(string(imap.Print(imap.Request{Tag: "x", Command: c})), "x "), "\r\n")
	}
	first := command(&imap.SearchCommand{UID: true})
	if m.do(first); !slices.Equal(m.found, want) {
		m.fail("%s:\n%d, want\n%d", first, m.found, want)
	}
	w := imap.Window{First: uint32(1 + n.rnd.IntN(6)), FromEnd: n.rnd.IntN(2) == 0}
	w.Last = w.First + uint32(n.rnd.IntN(6))
	ret := &imap.SearchReturn{Min: true, Max: true, Count: true, Partial: &w}
	m.log = nil
	m.do(command(&imap.SearchCommand{Return: ret}))
	told := fmt.Sprintf("* ESEARCH (TAG \"t%d\")", m.tags)
	if len(want) > 0 {
		told += " MIN " + numbers[0] + " MAX " + numbers[len(numbers)-1]
	}
	told += fmt.Sprintf(" COUNT %d PARTIAL (%s ", len(want), w)
	from, to := int(w.First)-1, int(w.Last)
	if w.FromEnd {
		from, to = len(numbers)-to, len(numbers)-from
	}
	if from, to = max(from, 0), min(to, len(numbers)); from < to {
		told += setOf(numbers[from:to]) + ")"
	} else {
		told += "NIL)"
	}
	modSeq := regexp.MustCompile(` MODSEQ \d+$`)
	if !slices.ContainsFunc(m.log, func(l string) bool { return modSeq.ReplaceAllString(l, "") == told }) {
		m.fail("want %s", told)
	}
}

func setOf(ns []string) string {
	var all []uint32
	for _, s := range ns {
		n, _ := strconv.ParseUint(s, 10, 32)
		all = append(all, uint32(n))
	}
	return imap.SetOf(all).String()
}

// key makes a search key.
func (n *naive) key(depth int) imap.SearchKey {
	rnd := n.rnd
	within := func() imap.SearchKey { return n.key(depth - 1) }
	if depth > 0 {
		switch rnd.IntN(8) {
		case 0:
			return imap.SearchKey{Op: "NOT", Keys: []imap.SearchKey{within()}}
		case 1, 2:
			return imap.SearchKey{Op: "OR", Keys: []imap.SearchKey{within(), within()}}
		case 3:
			return imap.SearchKey{Op: "AND", Keys: []imap.SearchKey{within(), within()}}
		}
	}
	word := func() string { return searchWords()[rnd.IntN(len(searchWords()))] }
	some := func(of uint32) imap.Set {
		return imap.Set{{First: rnd.Uint32N(of), Last: rnd.Uint32N(of) + 1}, {First: 1 + rnd.Uint32N(of), Last: 1 + rnd.Uint32N(of)}}
	}
	day := n.rows[rnd.IntN(len(n.rows))].Received.Truncate(24 * time.Hour)
	pick := func(ops ...imap.SearchOp) imap.SearchOp { return ops[rnd.IntN(len(ops))] }
	switch rnd.IntN(14) {
	case 0:
		return imap.SearchKey{Op: pick("FLAG", "UNFLAG"), Flag: mail.Flags(1 << rnd.IntN(5))}
	case 1:
		return imap.SearchKey{Op: pick("KEYWORD", "UNKEYWORD"), Text: []string{"$a", "$B", "$c", "$d"}[rnd.IntN(4)]}
	case 2:
		return imap.SearchKey{Op: "SET", Set: some(uint32(len(n.rows)))}
	case 3:
		return imap.SearchKey{Op: "UID", Set: some(80)}
	case 4:
		return imap.SearchKey{Op: pick("UIDAFTER", "UIDBEFORE"), Number: uint64(1 + rnd.IntN(70))}
	case 5:
		return imap.SearchKey{Op: pick("LARGER", "SMALLER"), Number: uint64(n.rows[rnd.IntN(len(n.rows))].Size)}
	case 6:
		return imap.SearchKey{Op: pick("BEFORE", "ON", "SINCE", "SAVEDBEFORE", "SAVEDON", "SAVEDSINCE"), Date: day}
	case 7:
		return imap.SearchKey{Op: pick("YOUNGER", "OLDER"), Number: uint64(1 + rnd.IntN(70*36_000))}
	case 8:
		return imap.SearchKey{Op: pick("MODSEQ"), Number: n.rows[rnd.IntN(len(n.rows))].ModSeq}
	case 9:
		return imap.SearchKey{Op: pick("X-GM-MSGID", "X-GM-THRID"), Number: uint64(1 + rnd.IntN(70))}
	case 10:
		return imap.SearchKey{Op: pick("EMAILID"), Text: fmt.Sprint("M", 1+rnd.IntN(70))}
	case 11:
		text := word() + " " + word()
		return imap.SearchKey{Op: "FUZZY", Keys: []imap.SearchKey{{Op: pick("SUBJECT", "BODY", "TEXT"), Text: text}}}
	case 12:
		return imap.SearchKey{Op: "HEADER", Field: []string{"X-Odd", "x-none"}[rnd.IntN(2)], Text: []string{"", word()}[rnd.IntN(2)]}
	}
	return imap.SearchKey{Op: pick("SUBJECT", "FROM", "TO", "BODY", "TEXT"), Text: word()}
}

// is says whether a key is true of a message.
func (n *naive) is(k *imap.SearchKey, r *naiveRow) bool {
	in := func(text string) bool { return strings.Contains(plain(text), plain(k.Text)) }
	day := func(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
	switch k.Op {
	case "AND":
		return n.is(&k.Keys[0], r) && n.is(&k.Keys[1], r)
	case "OR":
		return n.is(&k.Keys[0], r) || n.is(&k.Keys[1], r)
	case "NOT":
		return !n.is(&k.Keys[0], r)
	case "FUZZY":
		for _, word := range strings.Fields(k.Keys[0].Text) {
			one := imap.SearchKey{Op: k.Keys[0].Op, Text: word}
			if !n.is(&one, r) {
				return false
			}
		}
		return true
	case "FLAG":
		return r.Flags.Has(k.Flag)
	case "UNFLAG":
		return !r.Flags.Has(k.Flag)
	case "KEYWORD", "UNKEYWORD":
		has := slices.ContainsFunc(r.Keywords, func(w string) bool { return strings.EqualFold(w, k.Text) })
		return has == (k.Op == "KEYWORD")
	case "SET":
		return inSet(k.Set, r.number, uint32(len(n.rows)))
	case "UID":
		return inSet(k.Set, r.UID, n.rows[len(n.rows)-1].UID)
	case "UIDAFTER":
		return uint64(r.UID) > k.Number
	case "UIDBEFORE":
		return uint64(r.UID) < k.Number
	case "LARGER":
		return uint64(r.Size) > k.Number
	case "SMALLER":
		return uint64(r.Size) < k.Number
	case "BEFORE":
		return day(r.Received).Before(k.Date)
	case "ON":
		return day(r.Received).Equal(k.Date)
	case "SINCE":
		return !day(r.Received).Before(k.Date)
	case "SAVEDBEFORE":
		return day(r.Saved).Before(k.Date)
	case "SAVEDON":
		return day(r.Saved).Equal(k.Date)
	case "SAVEDSINCE":
		return !day(r.Saved).Before(k.Date)
	case "YOUNGER":
		return n.now.Sub(r.Received) <= time.Duration(k.Number)*time.Second
	case "OLDER":
		return n.now.Sub(r.Received) >= time.Duration(k.Number)*time.Second
	case "MODSEQ":
		return r.ModSeq >= k.Number
	case "X-GM-MSGID":
		return uint64(r.Message) == k.Number
	case "X-GM-THRID":
		return r.thread == k.Number
	case "EMAILID":
		return fmt.Sprint("M", r.Message) == k.Text
	case "HEADER":
		value, there := r.fields[strings.ToLower(k.Field)]
		return there && in(value)
	case "BODY":
		return in(r.body)
	case "TEXT":
		return in(r.body) || slices.ContainsFunc(strings.Split(r.header, "\r\n"), in)
	}
	return in(r.fields[strings.ToLower(string(k.Op))])
}

func inSet(s imap.Set, n, top uint32) bool {
	return slices.ContainsFunc(s, func(r imap.Range) bool {
		from, to := r.Span(top)
		return from <= n && n <= to
	})
}

// plain folds a text as far as the letters here need it.
func plain(s string) string {
	var out []rune
	for _, r := range strings.ToLower(s) {
		switch {
		case r == 'ö':
			r = 'o'
		case r >= 'ァ' && r <= 'ヶ':
			r -= 'ァ' - 'ぁ'
		case r == '\r':
			continue
		}
		out = append(out, r)
	}
	dense := func(i int) bool { return i >= 0 && i < len(out) && (out[i] > 0x3000 && out[i] != '、') }
	var b strings.Builder
	for i, r := range out {
		switch {
		case r == '\n' && dense(i-1) && dense(i+1):
		case unicode.IsSpace(r):
			if i == 0 || !unicode.IsSpace(out[i-1]) {
				b.WriteByte(' ')
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
