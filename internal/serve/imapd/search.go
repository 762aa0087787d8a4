package imapd

import (
	"time"

	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/search"
	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// search is SEARCH and UID SEARCH (RFC 3501 §6.4.4). What the placements cannot
// decide is looked up in the kept index, and only then in the content.
func (c *session) search(cmd *imap.SearchCommand) (reply, error) {
	if !imap.KnownCharset(cmd.Charset) {
		return reply{"NO", "BADCHARSET (US-ASCII UTF-8)", "unknown charset"}, nil
	}
	v := c.sel
	keys, err := compile(v, cmd.Keys)
	if err != nil {
		return reply{}, err
	}
	all := key{op: "AND", keys: keys}
	var found []int64
	var m search.Scratch
	if err := c.consult(&all); err != nil {
		return reply{}, err
	}
	defer c.learn(&all)
	if some, ok := all.candidates(); ok && len(some.ids) < v.uids.n/fewIDs {
		if found, err = c.searchFew(&all, some, cmd.UID, &m); err != nil {
			return reply{}, err
		}
		return c.tellFound(found)
	}
	for p := newPager(v, wholeView(v), want{}); !p.done(); {
		rows, err := c.searchPage(p, &all)
		if err != nil {
			return reply{}, err
		}
		for i := range rows {
			hit, err := c.matches(&all, &rows[i], &m)
			switch {
			case err != nil:
				return reply{}, err
			case !hit:
			case cmd.UID:
				found = append(found, int64(rows[i].UID))
			default:
				found = append(found, int64(rows[i].number))
			}
		}
		// A search may take long; the server's end or the client's is seen between
		// two pages.
		if err := c.work.Err(); err != nil {
			return reply{}, err
		}
	}
	return c.tellFound(found)
}

func (c *session) tellFound(found []int64) (reply, error) {
	c.enc.Untagged().Raw("SEARCH")
	for _, n := range found {
		c.enc.Raw(" ").Number(n)
	}
	c.enc.CRLF()
	return ok("SEARCH done"), nil
}

func wholeView(v *view) []span {
	if v.uids.n == 0 {
		return nil
	}
	return []span{{0, v.uids.n}}
}

// searchPage reads the next page and leaves only rows that may match, those
// that need it with their message and index.
func (c *session) searchPage(p *pager, all *key) ([]row, error) {
	w := all.needs()
	if w.message {
		p.size = pageOfMessages
	}
	page := p.take()
	var rows []row
	err := c.readSelected(func(tx *mailbox.Tx) error {
		rows = rows[:0]
		for _, s := range page {
			for pl, err := range tx.Placements(p.v.box, p.v.uids.at(s.from), p.v.uids.at(s.to-1)) {
				if err != nil {
					return err
				}
				r := row{Placement: pl, number: p.v.number(pl.UID)}
				if r.number == 0 {
					continue
				}
				switch all.cheap(&r) {
				case never:
					continue
				case perhaps:
					if err := load(tx, &r, w); err != nil {
						return err
					}
				}
				rows = append(rows, r)
			}
		}
		return nil
	})
	return rows, err
}

// matches decides about a row for good.
func (c *session) matches(all *key, r *row, m *search.Scratch) (bool, error) {
	if all.cheap(r) == surely {
		return true, nil
	}
	b := body{c: c, row: r, index: r.index, scratch: m}
	defer b.close()
	return all.full(r, &b)
}

// day is the date of t as IMAP compares it: without time and zone.
func day(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}
