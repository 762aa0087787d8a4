package dnsd

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// Sizes in octets.
const (
	header    = 12
	maxName   = 255  // RFC 1035 §2.3.4
	smallest  = 512  // of an answer without EDNS
	largest   = 1232 // of an answer by UDP: it is never cut in pieces on its way
	maxTCP    = 65535
	minOption = 11 // an OPT record without options (RFC 6891 §6.1.2)
)

// question is a plain question: one name, perhaps an OPT record, and nothing else.
type question struct {
	name  [maxName]byte // in lower case, as on the wire
	len   int           // octets of name
	typ   uint16
	class uint16
	edns  bool
	do    bool // signatures are wanted (RFC 3225 §3)
	badv  bool // of an EDNS version that we do not speak
	room  int  // octets that the asker takes by UDP
}

// key is what the answer depends on.
type key struct {
	name  string
	typ   uint16
	class uint16
	edns  bool
	do    bool
	badv  bool
}

func (q *question) key() key {
	return key{string(q.name[:q.len]), q.typ, q.class, q.edns, q.do, q.badv}
}

// readQuestion reads a plain question. Anything else is left to the full reader.
func readQuestion(msg []byte) (q question, plain bool) {
	if len(msg) < header+5 || msg[2]&0xF8 != 0 { // an answer, or another opcode
		return q, false
	}
	if binary.BigEndian.Uint32(msg[4:]) != 1<<16 || binary.BigEndian.Uint16(msg[8:]) != 0 {
		return q, false
	}
	more := binary.BigEndian.Uint16(msg[10:])
	i := header
	for {
		if i >= len(msg) {
			return q, false
		}
		n := int(msg[i])
		if n > 63 || i+1+n > len(msg) || q.len+1+n > maxName {
			return q, false
		}
		for _, c := range msg[i : i+1+n] {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			q.name[q.len] = c
			q.len++
		}
		i += 1 + n
		if n == 0 {
			break
		}
	}
	if i+4 > len(msg) {
		return q, false
	}
	q.typ, q.class, q.room = binary.BigEndian.Uint16(msg[i:]), binary.BigEndian.Uint16(msg[i+2:]), smallest
	rest := msg[i+4:]
	if q.typ == dns.TypeAXFR || q.typ == dns.TypeIXFR {
		return q, false
	}
	if more == 0 {
		return q, len(rest) == 0
	}
	return q, more == 1 && q.options(rest)
}

// options reads an OPT record, which is to be all there is. What it holds is not
// looked at.
func (q *question) options(b []byte) bool {
	if len(b) < minOption || b[0] != 0 || binary.BigEndian.Uint16(b[1:]) != dns.TypeOPT || len(b) != minOption+int(binary.BigEndian.Uint16(b[9:])) {
		return false
	}
	q.edns, q.badv, q.do = true, b[6] != 0, b[7]&0x80 != 0
	q.room = min(max(int(binary.BigEndian.Uint16(b[3:])), smallest), largest)
	return true
}
