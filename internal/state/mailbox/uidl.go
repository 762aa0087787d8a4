package mailbox

import (
	"iter"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// A message that was imported may keep the unique-id by which POP3 clients know
// it (RFC 1939 §7, UIDL), so that they do not fetch it again. It stands in a row
// of its own, which outlives the placement until Tidy.

// maxUIDL is the length of a unique-id (RFC 1939 §7).
const maxUIDL = 70

// IsUIDL says whether s can be a unique-id.
func IsUIDL(s string) bool {
	return s != "" && len(s) <= maxUIDL && !strings.ContainsFunc(s, func(c rune) bool { return c < '!' || c > '~' })
}

// uidlRow is the value of such a row.
func uidlRow(s string) []byte { return append([]byte{format1}, s...) }

func decodeUIDL(b []byte) (string, error) {
	if len(b) < 2 || b[0] != format1 || !IsUIDL(string(b[1:])) {
		return "", errRow
	}
	return string(b[1:]), nil
}

// UIDLs is the unique-ids that messages of a mailbox brought with them, with
// UIDs from..to. Some may be of messages that are gone.
func (t *Tx) UIDLs(id BoxID, from, to UID) iter.Seq2[UIDL, error] {
	prefix := t.boxKey(tagUIDL, id)
	r := kv.Range{From: t.boxKey(tagUIDL, id).Uint32(from), To: t.boxKey(tagUIDL, id).Uint32(to).Uint8(0)}
	return func(yield func(UIDL, error) bool) {
		if _, err := t.may(id, RightRead); err != nil {
			yield(UIDL{}, err)
			return
		}
		for p, err := range t.r.Scan(r) {
			u := UIDL{}
			if err == nil {
				k := kv.ReadKey(p.Key, prefix)
				u.UID = k.Uint32()
				if u.Text, err = decodeUIDL(p.Value); err != nil || k.Err() != nil {
					err = fault.As(fault.Corrupt, "", errRow)
				}
			}
			if !yield(u, fault.Wrap("mailbox.UIDLs", err)) || err != nil {
				return
			}
		}
	}
}

// UIDL is a message's unique-id.
type UIDL struct {
	UID  UID
	Text string
}

// trimUIDLs forgets those of messages that are gone.
func (t *Tx) trimUIDLs(id BoxID) error {
	b, err := t.live(id)
	if err != nil {
		return err
	}
	n := 0
	for u, err := range t.UIDLs(id, 1, b.row.UIDNext) {
		if err != nil {
			return err
		}
		k, err := t.blockOf(b, u.UID)
		if err != nil {
			return err
		}
		if k == nil && n < t.store.piece {
			n++
			t.del(t.boxKey(tagUIDL, id).Uint32(u.UID))
		}
	}
	return nil
}
