package mailbox

import (
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Epoch changes the rows of a backup that is being restored, in the order of
// their keys: every mailbox gets a new UIDVALIDITY (RFC 3501 §2.3.1.1), from the
// account's counter, since clients may know UIDs that were given after the
// backup was taken and will be given again.
type Epoch struct {
	now     uint32
	account mail.AccountID
	base    uint32 // a mailbox gets this and its id
}

// NewEpoch begins an epoch at a time.
func NewEpoch(now time.Time) *Epoch { return &Epoch{now: uint32(now.Unix())} }

// Row gives a row of a backup as the restored store has it.
func (e *Epoch) Row(key, value []byte) ([]byte, error) {
	const prefix = "a/"
	if len(key) < len(prefix)+9 || string(key[:len(prefix)]) != prefix {
		return value, nil
	}
	r := kv.ReadKey(key, []byte(prefix))
	account, tag := mail.AccountID(r.Uint64()), r.Uint8()
	switch tag {
	case tagAccount:
		row, err := decodeAccount(value)
		if err != nil {
			return nil, fault.As(fault.Corrupt, "mailbox.Epoch", err)
		}
		e.account, e.base = account, max(row.lastUIDValidity, e.now)
		row.lastUIDValidity = e.base + uint32(row.lastBox)
		return row.encode(), nil
	case tagBox:
		id := BoxID(r.Uint64())
		row, err := decodeBox(id, value)
		if err == nil {
			err = r.Err()
		}
		if err != nil || e.account != account || e.base == 0 {
			return nil, fault.As(fault.Corrupt, "mailbox.Epoch", errRow)
		}
		row.UIDValidity = e.base + uint32(id)
		return row.encode(), nil
	}
	return value, nil
}
