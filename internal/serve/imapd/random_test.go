package imapd_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// TestClientsAgree lets five clients do what they like to one mailbox, believes
// nothing but what the server tells each of them, and compares each one's
// picture with the store.
func TestClientsAgree(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { agree(t, seed) })
		})
	}
}

func agree(t *testing.T, seed uint64) {
	w := newWorld(t, nil)
	rnd := rand.New(rand.NewPCG(seed, 1))
	w.rnd = rnd
	var all []*model
	for i := range 5 {
		m := &model{t: t, w: w, c: w.connect(), name: fmt.Sprint("client ", i), flags: map[uint32]string{}}
		m.do("LOGIN alice@example.test secret")
		m.do("SELECT INBOX")
		switch {
		case i < 2:
			m.follow()
		case i == 3:
			m.resyncs()
		case i == 4:
			m.uidsOnly()
		}
		all = append(all, m)
	}
	for range 400 {
		m := all[rnd.IntN(len(all))]
		switch {
		case m.alone:
			m.randomAlone(rnd)
		case m.sync != nil && rnd.IntN(3) == 0:
			m.randomSync(rnd)
		default:
			m.random(rnd)
		}
		if rnd.IntN(20) == 0 {
			for _, m := range all {
				m.check()
			}
		}
		if t.Failed() {
			break
		}
	}
	for _, m := range all {
		m.do("LOGOUT")
		_ = m.c.conn.Close()
		<-m.c.done
	}
	w.close()
}

// model is what one client knows.
type model struct {
	t     *testing.T
	w     *world
	c     *client
	name  string
	tags  int
	log   []string
	uids  []uint32 // by sequence number, 0 where unknown
	flags map[uint32]string
	holds bool // a command by sequence number is in progress
	kept  map[string]*kept
	found []uint32 // of the last SEARCH or SORT response
	sync  *synced  // of a client of QRESYNC, else nil
	alone bool     // a client of UIDONLY
}

// do sends a command and takes all that comes.
func (m *model) do(cmd string) imap.Response {
	m.tags++
	tag := "t" + strconv.Itoa(m.tags)
	first, _, _ := strings.Cut(cmd, " ")
	m.holds = first == "FETCH" || first == "STORE" || first == "SEARCH" || first == "SORT"
	m.log = append(m.log, tag+" "+cmd)
	_, _ = m.c.conn.Write([]byte(tag + " " + cmd + "\r\n"))
	synctest.Wait()
	got, _ := m.c.take()
	var last imap.Response
	for got != "" {
		var l string
		l, got = cutResponse(got)
		m.log = append(m.log, l)
		r, err := imap.ParseResponse([]byte(l))
		if err != nil {
			m.fail("%q: %v", l, err)
			continue
		}
		m.hear(r)
		last = r
	}
	if last.Tag != tag {
		m.fail("%s is not answered", cmd)
	}
	return last
}

// cutResponse takes one response, its literals in it, off the front of s.
func cutResponse(s string) (response, rest string) {
	for at := 0; ; {
		end := strings.Index(s[at:], "\r\n")
		if end < 0 {
			return s, ""
		}
		at += end
		var n int
		if i := strings.LastIndexByte(s[:at], '{'); i < 0 || s[at-1] != '}' {
			return s[:at], s[at+2:]
		} else if n, _ = strconv.Atoi(s[i+1 : at-1]); at+2+n > len(s) {
			return s, ""
		}
		at += 2 + n
	}
}

func (m *model) fail(format string, args ...any) {
	if m.t.Failed() {
		return // one is enough
	}
	m.t.Errorf("%s: %s\n%s", m.name, fmt.Sprintf(format, args...), strings.Join(m.log[max(0, len(m.log)-100):], "\n"))
}

func (m *model) hear(r imap.Response) {
	m.alike(r)
	m.code(r)
	n := m.number(r)
	switch r.Name {
	case "VANISHED":
		m.vanished(r.Args)
	case "EXISTS":
		if m.alone {
			return
		}
		if n < len(m.uids) {
			m.fail("EXISTS %d after %d", n, len(m.uids))
		}
		for len(m.uids) < n {
			m.uids = append(m.uids, 0)
		}
	case "EXPUNGE":
		if m.holds || n < 1 || n > len(m.uids) {
			m.fail("EXPUNGE %d of %d, numbers in use: %v", n, len(m.uids), m.holds)
			return
		}
		m.expunged(uint32(n))
		delete(m.flags, m.uids[n-1])
		m.uids = slices.Delete(m.uids, n-1, n)
	case "FETCH", "UIDFETCH":
		if n < 1 || n > len(m.uids) {
			m.fail("FETCH %d of %d", n, len(m.uids))
			return
		}
		m.fetched(n, r.Args[0].List)
	case "ESEARCH":
		m.updated(r)
	case "SEARCH", "SORT":
		m.found = nil
		for _, v := range r.Args {
			if v.Kind == imap.List { // (MODSEQ n)
				continue
			}
			m.found = append(m.found, numbers(v.Text)...)
		}
	}
}

func (m *model) fetched(n int, items []imap.Value) {
	for i := 0; i+1 < len(items); i += 2 {
		switch items[i].Text {
		case "MODSEQ":
			m.modSeq(m.uids[n-1], items[i+1].List)
		case "UID":
			u, _ := strconv.ParseUint(items[i+1].Text, 10, 32)
			if have := m.uids[n-1]; have != 0 && have != uint32(u) {
				m.fail("message %d was UID %d and is %d", n, have, u)
			}
			m.uids[n-1] = uint32(u)
		case "FLAGS":
			if u := m.uids[n-1]; u != 0 {
				m.flags[u] = flagText(items[i+1].List)
			}
		}
	}
}

func flagText(list []imap.Value) string {
	var names []string
	for _, v := range list {
		if v.Text != `\Recent` { // it is the session's, not the store's
			names = append(names, v.Text)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// random does one thing.
func (m *model) random(rnd *rand.Rand) {
	some := func() string {
		if len(m.uids) == 0 {
			return "1:*"
		}
		a, b := 1+rnd.IntN(len(m.uids)), 1+rnd.IntN(len(m.uids))
		return fmt.Sprintf("%d:%d", a, b)
	}
	flag := []string{`\Seen`, `\Flagged`, `\Deleted`, `$Work`}[rnd.IntN(4)]
	sign := string("+-"[rnd.IntN(2)])
	switch rnd.IntN(12) {
	case 0, 1:
		m.w.deliver("INBOX", "Subject: x\r\n\r\ny\r\n", 0)
	case 2:
		m.do("APPEND INBOX (\\Seen) {14+}\r\nSubject: z\r\n\r\n")
	case 3:
		m.do("STORE " + some() + " " + sign + "FLAGS (" + flag + ")")
	case 4:
		m.silent(some(), sign, flag)
	case 5:
		m.do("EXPUNGE")
	case 6:
		m.do("FETCH " + some() + " (UID FLAGS)")
	case 7:
		m.do("FETCH " + some() + " BODY[TEXT]<0.1>")
	case 8:
		m.do("UID SEARCH ALL")
	case 9:
		m.do("SEARCH DELETED")
	case 10:
		m.do("UID MOVE " + fmt.Sprint(1+rnd.IntN(30)) + " Trash")
	case 11:
		if len(m.uids) < 20 {
			m.do("COPY " + some() + " INBOX")
		}
	}
}

// silent changes flags without being told, and changes its own picture instead.
func (m *model) silent(set, sign, flag string) {
	before := slices.Clone(m.uids)
	known := maps.Clone(m.flags)
	r := m.do("STORE " + set + " " + sign + "FLAGS.SILENT (" + flag + ")")
	if len(before) == 0 || r.Status == "NO" {
		m.do("FETCH 1:* (UID FLAGS)")
		return
	}
	var a, b int
	_, _ = fmt.Sscanf(set, "%d:%d", &a, &b)
	for n := min(a, b); n <= max(a, b); n++ {
		u := before[n-1]
		if u == 0 || m.flags[u] != known[u] {
			continue // told after all
		}
		words := strings.Fields(known[u])
		words = slices.DeleteFunc(words, func(w string) bool { return w == flag })
		if sign == "+" {
			words = append(words, flag)
		}
		slices.Sort(words)
		if _, there := known[u]; there {
			m.flags[u] = strings.Join(words, " ")
		}
	}
}

// check compares the picture with the store.
func (m *model) check() {
	m.do("NOOP")
	m.checkKept()
	was := maps.Clone(m.flags)
	m.forget()
	m.do("UID FETCH 1:* FLAGS")
	for u, f := range was {
		if m.flags[u] != f {
			m.fail("the flags of UID %d were thought to be %q and are %q", u, f, m.flags[u])
		}
	}
	var uids []uint32
	truth, modSeqs := map[uint32]string{}, map[uint32]uint64{}
	err := m.w.boxes.View(context.Background(), m.w.alice, func(tx *mailbox.Tx) error {
		box, err := tx.BoxByName("INBOX")
		if err != nil {
			return err
		}
		for p, err := range tx.Placements(box.ID, 1, 1<<32-1) {
			if err != nil {
				return err
			}
			names := append(p.Flags.Names(), p.Keywords...)
			slices.Sort(names)
			uids = append(uids, p.UID)
			truth[p.UID] = strings.Join(names, " ")
			modSeqs[p.UID] = p.ModSeq
		}
		return nil
	})
	if err != nil || !slices.Equal(uids, m.uids) || !maps.Equal(truth, m.flags) {
		m.fail("the store has %v %v, the client %v %v, %v", uids, truth, m.uids, m.flags, err)
	}
	m.agrees(modSeqs)
}
