package imapd_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// synced is what a client that has enabled QRESYNC knows beside what others do.
type synced struct {
	validity string
	modSeq   uint64            // all changes up to it are known
	modSeqs  map[uint32]uint64 // by UID
	selects  bool              // a SELECT is in hand: the picture is an older one
}

// resyncs makes m a client of CONDSTORE and QRESYNC (RFC 7162).
func (m *model) resyncs() {
	m.sync = &synced{modSeqs: map[uint32]uint64{}}
	m.do("ENABLE QRESYNC")
	m.do("SELECT INBOX")
}

// uidsOnly makes m a client that knows no sequence numbers (RFC 9586).
func (m *model) uidsOnly() {
	m.alone = true
	m.do("ENABLE UIDONLY")
	m.do("SELECT INBOX")
}

// code takes what a response code says.
func (m *model) code(r imap.Response) {
	if len(r.Code) < 2 || m.sync == nil {
		return
	}
	switch r.Code[0].Text {
	case "UIDVALIDITY":
		m.sync.validity = r.Code[1].Text
	case "HIGHESTMODSEQ":
		n, _ := strconv.ParseUint(r.Code[1].Text, 10, 64)
		if n < m.sync.modSeq {
			m.fail("HIGHESTMODSEQ %d after %d", n, m.sync.modSeq)
		}
		// Behind an EXPUNGE all news have been told. In a SELECT they come after it.
		if r.Tag != "*" {
			m.sync.modSeq = n
		}
	}
}

// vanished takes a VANISHED response.
func (m *model) vanished(args []imap.Value) {
	earlier := args[0].Kind == imap.List
	if m.sync == nil && !m.alone || m.holds && !earlier {
		m.fail("VANISHED, numbers in use: %v", m.holds)
	}
	for _, u := range numbers(args[len(args)-1].Text) {
		delete(m.flags, u)
		if m.sync != nil {
			delete(m.sync.modSeqs, u)
		}
		i := m.standsAt(u)
		switch {
		case m.alone || m.sync.selects || earlier && !slices.Contains(m.uids, u):
		case i < 0 || earlier:
			m.fail("UID %d vanished, and is number %d here", u, i+1)
		default:
			m.expunged(uint32(i + 1))
			m.uids = slices.Delete(m.uids, i, i+1)
		}
	}
}

// standsAt is where a UID stands, or one that is not known yet and could be it;
// -1 if it is not there.
func (m *model) standsAt(u uint32) int {
	if i := slices.Index(m.uids, u); i >= 0 {
		return i
	}
	i := slices.IndexFunc(m.uids, func(k uint32) bool { return k > u })
	if i < 0 {
		i = len(m.uids)
	}
	if i == 0 || m.uids[i-1] != 0 {
		return -1
	}
	return i - 1
}

// modSeq takes the mod-sequence of a message.
func (m *model) modSeq(uid uint32, list []imap.Value) {
	n, _ := strconv.ParseUint(list[0].Text, 10, 64)
	if uid == 0 || m.sync == nil {
		return
	}
	if old := m.sync.modSeqs[uid]; n < old {
		m.fail("MODSEQ %d of UID %d after %d", n, uid, old)
	}
	m.sync.modSeqs[uid] = n
}

// randomSync does one thing that only such clients do.
func (m *model) randomSync(rnd *rand.Rand) {
	s := m.sync
	flag, sign := []string{`\Seen`, `\Flagged`, `\Deleted`}[rnd.IntN(3)], string("+-"[rnd.IntN(2)])
	known := slices.Sorted(maps.Keys(m.flags))
	switch rnd.IntN(4) {
	case 0:
		m.comeBack()
	case 1:
		// All of these have the mod-sequence that is known of them, or are told of.
		if len(known) == 0 {
			return
		}
		u := known[rnd.IntN(len(known))]
		before, since := m.flags[u], s.modSeqs[u]
		r := m.do(fmt.Sprintf("UID STORE %d (UNCHANGEDSINCE %d) %sFLAGS (%s)", u, since, sign, flag))
		_, there := m.flags[u]
		if len(r.Code) > 0 && r.Code[0].Text == "MODIFIED" && there && m.flags[u] == before && s.modSeqs[u] == since {
			m.fail("UID %d was changed by someone, and it is not told how", u)
		}
	case 2:
		m.do(fmt.Sprintf("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)", 1+rnd.Uint64N(s.modSeq+1)))
	default:
		m.do("STATUS INBOX (HIGHESTMODSEQ)")
	}
}

// comeBack leaves the mailbox and selects it again with what is known of it.
func (m *model) comeBack() {
	s := m.sync
	m.do("UNSELECT")
	if m.w.rnd.IntN(2) == 0 {
		m.w.deliver("INBOX", "Subject: x\r\n\r\ny\r\n", 0)
	}
	m.uids, s.selects = nil, true
	m.do(fmt.Sprintf("SELECT INBOX (QRESYNC (%s %d))", s.validity, max(1, s.modSeq)))
	s.selects = false
	m.do("UID FETCH 1:* (UID)")
	for u := range m.flags {
		if !slices.Contains(m.uids, u) {
			m.fail("UID %d is gone, and it was not told", u)
		}
	}
}

// randomAlone does one thing by UID.
func (m *model) randomAlone(rnd *rand.Rand) {
	u := fmt.Sprint(1 + rnd.IntN(40))
	switch rnd.IntN(5) {
	case 0:
		m.do("UID FETCH 1:* (FLAGS)")
	case 1:
		m.do("UID STORE " + u + " +FLAGS (\\Deleted)")
	case 2:
		m.do("UID STORE " + u + ":* -FLAGS.SILENT (\\Answered)")
	case 3:
		m.do("UID EXPUNGE " + u + ":*")
	default:
		m.do("UID MOVE " + u + " Archive")
	}
}

// agrees compares mod-sequences with the store, once all news were told.
func (m *model) agrees(truth map[uint32]uint64) {
	if m.sync == nil {
		return
	}
	for u, n := range m.sync.modSeqs {
		if truth[u] != n {
			m.fail("UID %d has MODSEQ %d, and %d here", u, truth[u], n)
		}
	}
	for _, n := range truth {
		m.sync.modSeq = max(m.sync.modSeq, n)
	}
}

// number is a message's sequence number for the model: for one that knows none,
// where it stands.
func (m *model) number(r imap.Response) int {
	if r.Name != "UIDFETCH" {
		return int(r.Number)
	}
	i, found := slices.BinarySearch(m.uids, r.Number)
	if !found {
		m.uids = slices.Insert(m.uids, i, r.Number)
	}
	return i + 1
}

// forget is what a client that knows no numbers does before it looks at all.
func (m *model) forget() {
	if m.alone {
		m.uids, m.flags = nil, map[uint32]string{}
	}
}

// alike says whether a response has sequence numbers where it should have.
func (m *model) alike(r imap.Response) {
	if m.alone && (r.Name == "FETCH" || r.Name == "EXPUNGE" || strings.HasPrefix(r.Name, "SEARCH")) || !m.alone && r.Name == "UIDFETCH" {
		m.fail("%s", r.Name)
	}
}
