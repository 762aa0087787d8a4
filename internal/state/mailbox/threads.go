package mailbox

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// maxThreadIDs bounds what one message adds to the thread look-up: its own id,
// In-Reply-To and the last of References.
const maxThreadIDs = 12

// threadKeys is where the thread look-up knows a message: one key for each of
// the message-ids it names, together with its base subject, as two messages are
// of one thread only if both agree (RFC 8621 §3).
func threadKeys(ix *message.Index) []uint64 {
	if ix == nil {
		return nil
	}
	ids := message.MessageIDs(ix.Header.Get("Message-ID"))
	ids = append(ids, message.MessageIDs(ix.Header.Get("In-Reply-To"))...)
	if len(ids) > maxThreadIDs/2 {
		ids = ids[:maxThreadIDs/2]
	}
	refs := message.MessageIDs(ix.Header.Get("References"))
	slices.Reverse(refs)
	// RFC 5256 §2.1 compares base subjects without case.
	subject := strings.ToLower(message.BaseSubject(message.DecodeHeader(ix.Header.Get("Subject"))))
	var keys []uint64
	for _, id := range append(ids, refs...) {
		h := sha256.Sum256([]byte(id + "\x00" + subject))
		if k := binary.BigEndian.Uint64(h[:]); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
		if len(keys) == maxThreadIDs {
			break
		}
	}
	return keys
}

func (t *Tx) threadRow(h uint64) (r threadRow, ok bool, err error) {
	ok, err = t.get("mailbox.thread", t.threadKey(h), func(v []byte) (err error) {
		r, err = decodeThread(v)
		return err
	})
	return r, ok, err
}

// joinThread puts a new message into the oldest thread that knows one of its
// ids, or into one of its own. Two threads that a late message connects stay
// two, as a message never changes its thread (RFC 8474 §5.2), but later answers
// to either join the older one.
func (t *Tx) joinThread(m *messageRow) error {
	keys := m.threads
	rows := make([]threadRow, len(keys))
	m.Thread = ThreadID(m.ID)
	at := make([][]byte, len(keys))
	for i, h := range keys {
		at[i] = t.threadKey(h)
	}
	known, err := t.strange("mailbox.thread", at...)
	if err != nil {
		return err
	}
	for i, v := range known {
		if v == nil {
			continue
		}
		if rows[i], err = decodeThread(v); err != nil {
			return fault.As(fault.Corrupt, "mailbox.thread", err)
		}
		m.Thread = min(m.Thread, rows[i].thread)
	}
	for i, h := range keys {
		rows[i].thread = m.Thread // what comes later meets here
		rows[i].count++
		t.set(t.threadKey(h), rows[i].encode())
	}
	t.set(t.memberKey(m.Thread, m.ID), []byte{format1})
	return nil
}

// leaveThread undoes joinThread and says whether the thread is gone with it.
func (t *Tx) leaveThread(m *messageRow) (lone bool, err error) {
	for _, h := range m.threads {
		r, ok, err := t.threadRow(h)
		if err != nil {
			return false, err
		}
		switch {
		case !ok:
			return false, fault.As(fault.Corrupt, "mailbox.thread", errRow)
		case r.count <= 1:
			t.del(t.threadKey(h))
		default:
			r.count--
			t.set(t.threadKey(h), r.encode())
		}
	}
	t.del(t.memberKey(m.Thread, m.ID))
	rest, err := t.thread(m.Thread, 1)
	return len(rest) == 0, err
}

// Thread is the messages of a thread in order of creation, none if it is gone.
func (t *Tx) Thread(id ThreadID) ([]MessageID, error) { return t.thread(id, 0) }

func (t *Tx) thread(id ThreadID, limit int) ([]MessageID, error) {
	prefix := t.key(tagMember).Uint64(id)
	r := kv.Prefix(prefix)
	r.Limit = limit
	var ids []MessageID
	for p, err := range t.r.Scan(r) {
		if err != nil {
			return nil, fault.Wrap("mailbox.Thread", err)
		}
		k := kv.ReadKey(p.Key, prefix)
		ids = append(ids, MessageID(k.Uint64()))
		if err = errors.Join(k.Err()); err != nil {
			return nil, fault.As(fault.Corrupt, "mailbox.Thread", err)
		}
	}
	return ids, nil
}
