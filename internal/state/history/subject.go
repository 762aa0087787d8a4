package history

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// maxSubject bounds the octets of a subject that are kept.
const maxSubject = 200

// Subject is as much of a subject as is kept, in one line of UTF-8.
func Subject(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s))
	if len(s) <= maxSubject {
		return s
	}
	end := maxSubject
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return strings.TrimSpace(s[:end])
}

// subjectPage is how many rows one View of BySubject looks at.
const subjectPage = 500

// BySubject gives the latest messages whose subject has text in it, since a time,
// latest first, at most limit; case is ignored. There is no index of subjects: it
// looks at what began each message's story since then.
func (s *Store) BySubject(ctx context.Context, text string, since time.Time, limit int) ([]Found, error) {
	text = strings.ToLower(text)
	var all []Found
	for part := range uint8(kv.Partitions) {
		shard := kv.Partition(part)
		r := kv.Prefix(ordersKey(shard))
		r.Reverse, r.Limit = true, subjectPage
		var found []Found
		for more := true; more && len(found) < limit; {
			err := s.db.View(ctx, shard, func(tx kv.Reader) error {
				page, next, err := bySubject(tx, shard, r, text, since)
				found = append(found, page...)
				r.To, more = next, next != nil
				return err
			})
			if err != nil {
				return nil, fault.Wrap("history.BySubject", err)
			}
		}
		all = newest(append(all, found...), limit)
	}
	return all, nil
}

// bySubject looks at one page of the order of commits, from its end on, and says
// where the page before it ends; nil if there is none.
func bySubject(tx kv.Reader, shard kv.Shard, r kv.Range, text string, since time.Time) (found []Found, next []byte, err error) {
	var keys [][]byte
	var ids []mail.ArrivalID
	rows := 0
	for p, err := range tx.Scan(r) {
		if err != nil {
			return nil, nil, err
		}
		rows++
		next = p.Key
		q, err := readOrderKey(p.Key, shard)
		if err != nil {
			return nil, nil, err
		}
		id, at, err := readOrder(p.Value)
		if err != nil {
			return nil, nil, err
		}
		if at.Before(since) {
			next = nil
			break
		}
		if int(q.rank) <= slices.Index(ranks[:], Discarded) {
			keys, ids = append(keys, entryKey(id, q)), append(ids, id)
		}
	}
	if rows < subjectPage {
		next = nil
	}
	values, err := tx.GetMany(keys)
	if err != nil {
		return nil, nil, err
	}
	for i, v := range values {
		es, err := unpack(v)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range es {
			if e.Subject != "" && strings.Contains(strings.ToLower(e.Subject), text) {
				found = append(found, Found{ids[i], e})
				break
			}
		}
	}
	return found, next, nil
}
