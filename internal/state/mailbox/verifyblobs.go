package mailbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// holder is a row that says that its message holds a blob.
type holder struct {
	key []byte
	ref blob.Reference
}

// verifyBlobs looks for each message's blob and its hold on it, a page at a
// time, also where the message is gone and can be restored. What seems missing
// is looked for once more, as the message may have been let go meanwhile.
func (s *Store) verifyBlobs(ctx context.Context, a mail.AccountID, tell func(string, ...any)) error {
	for _, tag := range []byte{tagMessage, tagGone} {
		from := newTx(s, a, nil).key(tag)
		for end := kv.PrefixEnd(from); ; {
			page, err := s.holders(ctx, a, tag, kv.Range{From: from, To: end, Limit: maxPiece})
			if err != nil && !fault.Is(err, fault.Corrupt) {
				return err
			}
			if len(page) == 0 { // or the rest cannot be read, which was told
				break
			}
			from = append(page[len(page)-1].key, 0)
			if err := s.verifyHolders(ctx, a, tag, page, tell); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) verifyHolders(ctx context.Context, a mail.AccountID, tag byte, page []holder, tell func(string, ...any)) error {
	refs := make([]blob.Reference, len(page))
	for i, h := range page {
		refs[i] = h.ref
	}
	missing, err := s.blobs.Missing(ctx, refs)
	if err != nil {
		return err
	}
	for i, h := range page {
		if missing[i] == nil {
			continue
		}
		again, err := s.holders(ctx, a, tag, kv.Range{From: h.key, To: append(h.key[:len(h.key):len(h.key)], 0), Limit: 1})
		if err != nil {
			return err
		}
		if len(again) > 0 && again[0].ref == h.ref {
			tell("message %d: %v", ownedMessage(h.ref.Owner), missing[i])
		}
	}
	return nil
}

// holders reads rows of messages. One that cannot be read is left out: Verify has
// told of it.
func (s *Store) holders(ctx context.Context, a mail.AccountID, tag byte, r kv.Range) (page []holder, err error) {
	err = s.View(ctx, a, func(t *Tx) error {
		page = nil
		for p, err := range t.r.Scan(r) {
			if err != nil {
				return err
			}
			k := kv.ReadKey(p.Key, t.key(tag))
			var id MessageID
			var m messageRow
			if tag == tagGone {
				k.Uint64()
				id = MessageID(k.Uint64())
				g, e := decodeGone(id, p.Value)
				m, err = g.messageRow, e
			} else {
				id = MessageID(k.Uint64())
				m, err = decodeMessage(id, p.Value)
			}
			h := holder{p.Key, blob.Reference{ID: m.Blob, Owner: t.owner(id)}}
			if errors.Join(err, k.Err()) != nil {
				h.ref = blob.Reference{}
				continue
			}
			page = append(page, h)
		}
		return nil
	})
	return page, err
}

func ownedMessage(o blob.Owner) MessageID { return MessageID(kv.ReadKey(o.ID[:8], nil).Uint64()) }

// VerifyReferences looks at every hold of a message on a blob, in all accounts,
// and tells of those without a message: their blobs would never be swept.
// Accounts that are being removed meanwhile may show.
func (s *Store) VerifyReferences(ctx context.Context, bad func(a mail.AccountID, problem string)) error {
	gone := map[mail.AccountID]bitset{}
	return fault.Wrap("mailbox.VerifyReferences", s.blobs.References(ctx, func(refs []blob.Reference) error {
		byAccount := map[mail.AccountID][]blob.Reference{}
		for _, r := range refs {
			if r.Owner.Kind == 'm' {
				a := mail.AccountID(r.Owner.Shard)
				byAccount[a] = append(byAccount[a], r)
			}
		}
		for a, refs := range byAccount {
			if err := s.verifyReferences(ctx, a, refs, gone, bad); err != nil {
				return err
			}
		}
		return nil
	}))
}

// verifyReferences does it for one account. Gone is what could be restored when
// the account was last looked at.
func (s *Store) verifyReferences(ctx context.Context, a mail.AccountID, refs []blob.Reference, gone map[mail.AccountID]bitset, bad func(mail.AccountID, string)) error {
	var lone []blob.Reference
	err := s.View(ctx, a, func(t *Tx) error {
		lone = nil
		fresh := false
		for _, r := range refs {
			id := ownedMessage(r.Owner)
			m, err := t.message(id)
			if err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
			if err == nil && m.row.Blob == r.ID || gone[a].has(uint64(id)) {
				continue
			}
			if !fresh {
				fresh = true
				if gone[a], err = t.goneIDs(); err != nil {
					return err
				}
			}
			if !gone[a].has(uint64(id)) {
				lone = append(lone, r)
			}
		}
		return nil
	})
	if err != nil || len(lone) == 0 {
		return err
	}
	// They may have been released between the two looks.
	missing, err := s.blobs.Missing(ctx, lone)
	for i, r := range lone {
		if err == nil && missing[i] == nil {
			bad(a, fmt.Sprintf("a blob is held for message %d, which is not there", ownedMessage(r.Owner)))
		}
	}
	return err
}

func (t *Tx) goneIDs() (ids bitset, err error) {
	prefix := t.key(tagGone)
	for p, err := range t.r.Scan(kv.Prefix(prefix)) {
		if err != nil {
			return nil, err
		}
		k := kv.ReadKey(p.Key, prefix)
		k.Uint64()
		ids.set(k.Uint64())
	}
	return ids, nil
}
