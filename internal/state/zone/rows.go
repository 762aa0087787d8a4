package zone

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Held is a zone as it is kept.
type Held struct {
	Name    string      `json:"-"`                // canonical, with the final dot
	Domain  mail.Domain `json:"domain,omitempty"` // whose records are drawn in it; "" is nobody's
	Reverse bool        `json:"reverse,omitempty"`
	Added   time.Time   `json:"added"`
	Signed  bool        `json:"signed,omitempty"`
	Follows bool        `json:"follows,omitempty"` // its parent reads CDS records
	Keys    []Key       `json:"keys,omitempty"`
	// Transfer lists who may have the whole zone: networks, or TSIG keys as
	// "key:NAME". Notify lists whom to tell of changes, as "host:port".
	Transfer []string `json:"transfer,omitempty"`
	Notify   []string `json:"notify,omitempty"`

	Serial uint32 `json:"serial"`
	Digest string `json:"digest,omitempty"` // of what Serial stands for
	Own    int    `json:"own,omitempty"`    // records written by hand
}

// The rows of zones, in kv.ZoneShard behind its prefix:
//
//	n ZONE           how often the zone was changed, and 1 if somebody is told of it (an
//	                 index that is read at the start)
//	z ZONE           the zone: 1, JSON
//	r ZONE NAME TYPE records written by hand: 1, a record a line
//	t NAME           a TSIG key: 1, algorithm, secret
const (
	tagName   = 'n'
	tagZone   = 'z'
	tagRecord = 'r'
	tagTSIG   = 't'
)

const rowVersion = 1

func rowKey(tag byte, zone string) kv.Key {
	return kv.NewKey(kv.ZoneShard()).Uint8(tag).Text(zone)
}

func recordKey(zone, name string, t uint16) kv.Key {
	return rowKey(tagRecord, zone).Text(name).Uint32(uint32(t))
}

func (h *Held) encode() ([]byte, error) {
	b, err := json.Marshal(h)
	return append([]byte{rowVersion}, b...), err
}

func decodeHeld(name string, b []byte) (Held, error) {
	h := Held{Name: name}
	if len(b) == 0 || b[0] != rowVersion || json.Unmarshal(b[1:], &h) != nil {
		return h, fault.Newf(fault.Corrupt, "zone", "the row of %s is damaged", name)
	}
	return h, nil
}

// readZone reads a zone. fault.NotFound: it is not served.
func readZone(r kv.Reader, name string) (Held, error) {
	b, ok, err := r.Get(rowKey(tagZone, name))
	if err != nil {
		return Held{}, err
	}
	if !ok {
		return Held{}, fault.Newf(fault.NotFound, "", "there is no zone %s", strings.TrimSuffix(name, "."))
	}
	return decodeHeld(name, b)
}

// write keeps a zone, and notes that it has changed.
func write(tx kv.Tx, h *Held) error {
	b, err := h.encode()
	if err != nil {
		return fault.As(fault.Internal, "", err)
	}
	if len(b) > kv.MaxValue {
		return fault.New(fault.TooLarge, "", "too much is kept of the zone")
	}
	tx.Set(rowKey(tagZone, h.Name), b)
	tell := byte(0)
	if len(h.Notify) > 0 {
		tell = 1
	}
	tx.Set(rowKey(tagName, h.Name), kv.Value{}.Byte(rowVersion).Uint(uint64(tx.Next(kv.ZoneShard()))).Byte(tell))
	return nil
}

// readRecords reads what was written by hand.
func readRecords(r kv.Reader, zone string) ([]dns.RR, error) {
	var rrs []dns.RR
	for p, err := range r.Scan(kv.Prefix(rowKey(tagRecord, zone))) {
		if err != nil {
			return nil, err
		}
		set, err := decodeRecords(p.Value)
		if err != nil {
			return nil, err
		}
		rrs = append(rrs, set...)
	}
	return rrs, nil
}

func encodeRecords(rrs []dns.RR) []byte {
	var b strings.Builder
	b.WriteByte(rowVersion)
	for _, rr := range rrs {
		b.WriteString(rr.String())
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

func decodeRecords(b []byte) ([]dns.RR, error) {
	if len(b) == 0 || b[0] != rowVersion {
		return nil, fault.New(fault.Corrupt, "zone", "a row of records is damaged")
	}
	var rrs []dns.RR
	for line := range strings.Lines(string(b[1:])) {
		rr, err := dns.NewRR(line)
		if err != nil || rr == nil {
			return nil, fault.New(fault.Corrupt, "zone", "a row of records is damaged")
		}
		rrs = append(rrs, rr)
	}
	return rrs, nil
}
