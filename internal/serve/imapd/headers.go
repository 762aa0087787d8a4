package imapd

import (
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// headers calls fn with the header fields of these names of each hit. They come from
// what is kept for lists: no message is opened but those of which not all is.
func (f *finder) headers(names []string, fn func(*hit, message.Header)) error {
	var kept []message.Header
	for done := 0; done < len(f.hits); done += pageOfPlacements {
		page := f.hits[done:min(done+pageOfPlacements, len(f.hits))]
		ids := make([]mailbox.MessageID, len(page))
		for i := range page {
			ids[i] = page[i].message
		}
		there := make([]bool, len(page))
		err := f.c.readOf(f.v, func(tx *mailbox.Tx) error {
			kept = append(kept[:0], make([]message.Header, len(page))...)
			return tx.Views(ids, func(i int, view []byte) { kept[i], there[i] = listed(view, names) })
		})
		if err != nil {
			return err
		}
		for i := range page {
			if !there[i] {
				if kept[i], err = f.header(&page[i]); err != nil {
					return err
				}
			}
			fn(&page[i], kept[i])
		}
		f.c.progress(done, len(f.hits))
		if err := f.c.work.Err(); err != nil {
			return err
		}
	}
	return nil
}

// listed is the header fields of these names that are kept of a message; false if
// there may be more.
func listed(view []byte, names []string) (message.Header, bool) {
	if v, ok := message.OpenView(view); ok {
		return v.Header(names)
	}
	ix, err := message.Unmarshal(view)
	if err != nil || ix.Partial {
		return message.Header{}, false
	}
	return ix.Header, true
}

// header is a hit's whole header, from the content; none if that is gone.
func (f *finder) header(h *hit) (message.Header, error) {
	r := row{Placement: mailbox.Placement{UID: h.uid, Message: h.message}}
	b := body{c: f.c, account: f.v.account, row: &r}
	defer b.close()
	header, _, err := b.header(nil)
	return header, lost(err)
}
