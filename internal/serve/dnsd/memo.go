package dnsd

import (
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Answers are kept packed for a moment: most questions are asked again and again.
const (
	maxMemo = 20_000          // answers
	memoFor = 5 * time.Second // a zone may be drawn anew any time
)

// packed is an answer ready to be sent, but for its id and the letters of the name.
type packed struct {
	msg     []byte
	of      reply // what it says, for the rate
	at      time.Time
	changes uint64 // of the zones when it was made
}

// memo keeps answers by question.
type memo struct {
	mu sync.RWMutex
	by map[key]*packed
}

// get gives an answer that may still be given.
func (m *memo) get(q *question, changes uint64, now time.Time) *packed {
	m.mu.RLock()
	defer m.mu.RUnlock()
	p := m.by[key{string(q.name[:q.len]), q.typ, q.class, q.edns, q.do, q.badv}] // not by key(): no copy of the name
	if p == nil || p.changes != changes || now.Sub(p.at) >= memoFor {
		return nil
	}
	return p
}

// put keeps an answer. Where there is no room, some others go.
func (m *memo) put(q *question, p *packed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.by == nil {
		m.by = map[key]*packed{}
	}
	for k, old := range m.by {
		if len(m.by) < maxMemo && p.at.Sub(old.at) < memoFor {
			break
		}
		delete(m.by, k)
	}
	m.by[q.key()] = p
}

// Bits of a header's third and fourth octet.
const (
	bitTC = 0x02
	bitRD = 0x01
	bitCD = 0x10
)

// reply writes the answer to a question in at most room octets: where that is too
// little, the asker is told to come by TCP.
func (p *packed) reply(q *question, msg []byte, room int, out []byte) []byte {
	question := header + q.len + 4
	if len(p.msg) <= room {
		out = append(out[:0], p.msg...)
	} else {
		out = append(out[:0], p.msg[:question]...)
		out[2] |= bitTC
		clear(out[6:12])
		if q.edns {
			out = append(out, p.msg[len(p.msg)-minOption:]...) // our OPT is always last
			out[11] = 1
		}
	}
	copy(out[:2], msg[:2])
	out[2] |= msg[2] & bitRD
	out[3] |= msg[3] & bitCD
	copy(out[header:question], msg[header:question])
	return out
}

// optionOf is our OPT record (RFC 6891 §6.1.2); packing puts the code into it.
func optionOf(do bool) *dns.OPT {
	o := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	o.SetUDPSize(largest)
	if do {
		o.SetDo()
	}
	return o
}
