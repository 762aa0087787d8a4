// Package search finds the messages of an account by the words in them. It keeps
// an index in the account's search shard, written in batches behind the
// deliveries, and says of each indexed message whether it has a text, or whether
// somebody must look.
package search

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Store holds the indexes of all accounts. One writer an account is enough for
// all of them; a second one gets fault.Conflict.
type Store struct {
	db       kv.DB
	few      int
	verdicts verdicts
}

// fewHits is when looking at the messages costs less than asking further.
const fewHits = 32

// New gives the store over db.
func New(db kv.DB) *Store { return &Store{db: db, few: fewHits} }

// Mode says what it means to find a text.
type Mode uint8

const (
	// Substring finds the text anywhere, also within words, as IMAP's SEARCH wants
	// (RFC 9051 §6.4.4).
	Substring Mode = iota
	// Words finds messages that have all words of the text, anywhere and in any
	// order; of scripts without spaces each run.
	Words
)

// Query is a text and where to look for it.
type Query struct {
	In   Regions
	Text string
	Mode Mode
	// Field narrows Others to one header field.
	Field string
}

// Result is what the index knows. Messages up to UpTo that are in neither list do
// not have the text. Both lists ascend, and no message is in both.
type Result struct {
	UpTo  uint64   // beyond it nothing is known
	Sure  []uint64 // these have it, if they are still there
	Maybe []uint64 // these have to be looked at
	// Blind says that the index cannot help: any message may have the text.
	Blind bool
}

// Search asks the index of account a.
func (s *Store) Search(ctx context.Context, a mail.AccountID, q Query) (Result, error) {
	var out Result
	p := newPlan(q, s.few)
	shard := kv.SearchShard(a)
	err := s.db.View(ctx, shard, func(r kv.Reader) error {
		out = Result{}
		h := shelf{shard, r}
		c, err := h.cursor()
		if err != nil {
			return err
		}
		out.UpTo = c.upTo
		if out.Blind = p.blind; out.Blind {
			return nil
		}
		if c.old { // there is none until it is built again
			return nil
		}
		segments, err := h.segments()
		if err != nil {
			return err
		}
		for _, seg := range segments {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := p.ask(h, seg, &out); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && len(out.Maybe) > 0 {
		s.verdicts.apply(a, q, &out)
	}
	return out, fault.Wrap("search.Search", err)
}

// Remove removes the index of an account.
func (s *Store) Remove(ctx context.Context, a mail.AccountID) error {
	shard := kv.SearchShard(a)
	err := s.db.Update(ctx, []kv.Shard{shard}, func(tx kv.Tx) error {
		tx.Clear(kv.Prefix(shard))
		return nil
	})
	return fault.Wrap("search.Remove", err)
}
