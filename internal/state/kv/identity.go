package kv

import (
	"context"
	"crypto/rand"
	"encoding/binary"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// identityKey lies in no shard, so that a backup holds it.
const identityKey = Loose + "store"

// Identity tells one store from another, and from itself before a restore: what
// clients and backups know of a store ends with its epoch.
type Identity struct {
	ID    [16]byte // random; another one after a restore
	Epoch uint64   // 1, and one more after each restore; 0 where nobody has asked yet
}

const identityVersion = 1

func (i Identity) encode() []byte {
	return binary.BigEndian.AppendUint64(append([]byte{identityVersion}, i.ID[:]...), i.Epoch)
}

func decodeIdentity(b []byte) (i Identity, err error) {
	if len(b) != 25 || b[0] != identityVersion {
		return i, fault.New(fault.Corrupt, "kv.Identify", "the row that names the store is damaged")
	}
	copy(i.ID[:], b[1:])
	i.Epoch = binary.BigEndian.Uint64(b[17:])
	return i, nil
}

// WhoIs gives the store's identity; the zero one if it has none yet.
func WhoIs(ctx context.Context, db DB) (i Identity, err error) {
	err = db.View(ctx, nil, func(r Reader) error {
		b, ok, err := r.Get([]byte(identityKey))
		if err == nil && ok {
			i, err = decodeIdentity(b)
		}
		return err
	})
	return i, err
}

// Identify gives the store's identity, and one to a store that has none.
func Identify(ctx context.Context, db DB) (Identity, error) {
	i, err := WhoIs(ctx, db)
	if err != nil || i.Epoch != 0 {
		return i, err
	}
	fresh := newIdentity(1)
	err = db.Update(ctx, nil, func(tx Tx) error {
		i = fresh
		b, ok, err := tx.Get([]byte(identityKey))
		if err != nil {
			return err
		}
		if ok {
			i, err = decodeIdentity(b)
			return err
		}
		tx.Set([]byte(identityKey), fresh.encode())
		return nil
	})
	return i, err
}

func newIdentity(epoch uint64) Identity {
	i := Identity{Epoch: epoch}
	_, _ = rand.Read(i.ID[:]) // never fails
	return i
}

// NextEpoch gives a row of a backup as a restored store has it: the row that
// names the store begins a new epoch, any other stays.
func NextEpoch(key, value []byte) ([]byte, error) {
	if string(key) != identityKey {
		return value, nil
	}
	i, err := decodeIdentity(value)
	if err != nil {
		return nil, err
	}
	return newIdentity(i.Epoch + 1).encode(), nil
}
