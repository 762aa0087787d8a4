package ban

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

func under(kind string) kv.Key       { return kv.NewKey(kv.BanShard()).Text(kind) }
func banKey(p netip.Prefix) kv.Key   { return under("ban").Text(p.String()) }
func allowKey(p netip.Prefix) kv.Key { return under("allow").Text(p.String()) }
func goodKey(p netip.Prefix) kv.Key  { return under("good").Text(p.String()) }
func banRange() kv.Range             { return kv.Prefix(under("ban")) }
func allowRange() kv.Range           { return kv.Prefix(under("allow")) }
func goodRange() kv.Range            { return kv.Prefix(under("good")) }

// Rows are an octet that says which encoding it is, and JSON; a success is that
// octet and Unix seconds.
const encoding1 = 1

var errRow = errors.New("malformed row of a ban")

type banRow struct {
	Since  int64  `json:"at"`
	Until  int64  `json:"until,omitempty"`
	Times  int    `json:"n"`
	Reason string `json:"why,omitempty"`
	Manual bool   `json:"manual,omitempty"`
}

func (b Ban) encode() []byte {
	row := banRow{Since: b.Since.Unix(), Times: b.Times, Reason: b.Reason, Manual: b.Manual}
	if !b.Until.IsZero() {
		row.Until = b.Until.Unix()
	}
	return encode(row)
}

func decodeBan(p netip.Prefix, v []byte) (Ban, error) {
	var row banRow
	if err := decode(v, &row); err != nil {
		return Ban{}, err
	}
	b := Ban{Net: p, Since: time.Unix(row.Since, 0).UTC(), Times: row.Times, Reason: row.Reason, Manual: row.Manual}
	if row.Until != 0 {
		b.Until = time.Unix(row.Until, 0).UTC()
	}
	return b, nil
}

type allowRow struct {
	Since int64  `json:"at"`
	Note  string `json:"note,omitempty"`
}

func (a Allowed) encode() []byte { return encode(allowRow{a.Since.Unix(), a.Note}) }

func decodeAllowed(p netip.Prefix, v []byte) (Allowed, error) {
	var row allowRow
	err := decode(v, &row)
	return Allowed{Net: p, Since: time.Unix(row.Since, 0).UTC(), Note: row.Note}, err
}

func encodeGood(at time.Time) []byte {
	return binary.BigEndian.AppendUint64([]byte{encoding1}, uint64(at.Unix()))
}

func decodeGood(v []byte) (time.Time, error) {
	if len(v) != 9 || v[0] != encoding1 {
		return time.Time{}, errRow
	}
	return time.Unix(int64(binary.BigEndian.Uint64(v[1:])), 0), nil
}

func encode(row any) []byte {
	b, err := json.Marshal(row)
	if err != nil { // rows are made of texts and numbers
		return nil
	}
	return append([]byte{encoding1}, b...)
}

func decode(v []byte, row any) error {
	if len(v) == 0 || v[0] != encoding1 || json.Unmarshal(v[1:], row) != nil {
		return errRow
	}
	return nil
}

func readBan(r kv.Reader, p netip.Prefix) (Ban, bool, error) {
	v, ok, err := r.Get(banKey(p))
	if err != nil || !ok {
		return Ban{}, false, err
	}
	b, err := decodeBan(p, v)
	if err != nil {
		return Ban{}, false, fault.As(fault.Corrupt, "ban", err)
	}
	return b, true, nil
}

// scan gives the rows of a range with their networks. An error of fn is one of
// the row.
func scan(r kv.Reader, rows kv.Range, fn func(netip.Prefix, []byte) error) error {
	for p, err := range r.Scan(rows) {
		if err != nil {
			return err
		}
		k := kv.ReadKey(p.Key, rows.From)
		net, err := netip.ParsePrefix(k.Text())
		if err == nil {
			err = k.Err()
		}
		if err == nil {
			err = fn(net, p.Value)
		}
		if err != nil {
			return fault.As(fault.Corrupt, "ban", err)
		}
	}
	return nil
}
