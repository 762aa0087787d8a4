package mailbox

import (
	"context"
	"slices"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// verifySearch looks at the account's search index, whether each message that
// counts as indexed is in it, and whether whoever indexes knows of the others.
// What seems wrong is looked at once more, as messages come and go meanwhile.
func (s *Store) verifySearch(ctx context.Context, a mail.AccountID, v *verifier) error {
	if err := s.verifyLag(ctx, a, v); err != nil {
		return err
	}
	found, err := s.search.Verify(ctx, a)
	if err != nil {
		return err
	}
	for _, p := range found.Problems {
		v.tell("search index: %s", p)
	}
	last, _, err := s.searchState(ctx, a)
	if err == nil && found.UpTo > uint64(last) {
		v.tell("search index: it is ahead of the account's last message")
	}
	for _, id := range slices.Sorted(v.live.all()) {
		if err != nil || id > found.UpTo {
			break
		}
		if !within(found.Spans, id) {
			err = s.verifyUnfound(ctx, a, MessageID(id), v)
		}
	}
	return err
}

func within(spans [][2]uint64, id uint64) bool {
	i, found := slices.BinarySearchFunc(spans, id, func(s [2]uint64, id uint64) int {
		switch {
		case s[1] <= id:
			return -1
		case s[0] > id:
			return 1
		}
		return 0
	})
	return found && spans[i][0] <= id
}

// verifyUnfound is about a message that counts as indexed and is in no segment.
// Only one without any text may be so.
func (s *Store) verifyUnfound(ctx context.Context, a mail.AccountID, id MessageID, v *verifier) error {
	upTo, err := s.search.Cursor(ctx, a)
	if err != nil || upTo < uint64(id) {
		return err // it is being built anew
	}
	err = s.View(ctx, a, func(t *Tx) error {
		if _, err := t.message(id); err != nil {
			return err
		}
		ix, err := t.Index(id)
		if err == nil && len(ix.Header.Fields()) > 0 {
			v.tell("search index: message %d is not in it", id)
		}
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// verifyLag tells of messages that are not indexed and that no row tells of.
func (s *Store) verifyLag(ctx context.Context, a mail.AccountID, v *verifier) error {
	for range 2 { // Reindex forgets the index a moment before it writes the row
		last, lags, err := s.searchState(ctx, a)
		if err != nil || lags {
			return err
		}
		if old, _ := s.search.Outdated(ctx, a); old {
			return nil // the program lists it when it starts
		}
		upTo, err := s.search.Cursor(ctx, a)
		if err != nil && !fault.Is(err, fault.Corrupt) || uint64(last) <= upTo {
			return err
		}
	}
	v.tell("messages are not indexed, and the account is not among those that lag")
	return nil
}

// searchState is the account's last message and then, not at the same moment,
// whether the account lags.
func (s *Store) searchState(ctx context.Context, a mail.AccountID) (last MessageID, lags bool, err error) {
	err = s.View(ctx, a, func(t *Tx) error {
		row, err := t.acctRow()
		if err == nil {
			last = row.lastMessage
		}
		return err
	})
	if err == nil {
		err = s.db.View(ctx, nil, func(r kv.Reader) (err error) {
			_, lags, err = r.Get(lagKey(a))
			return err
		})
	}
	return last, lags, err
}
