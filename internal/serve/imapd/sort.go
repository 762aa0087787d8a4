package imapd

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/imap"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
	"github.com/ekiden-mail/ekiden/internal/wire/order"
)

// sortable is a hit with what it is sorted by.
type sortable struct {
	hit
	values []sortValue // one for each criterion
}

// sortValue is a number or a text as i;unicode-casemap compares it.
type sortValue struct {
	n int64
	s string
}

// sort is SORT and UID SORT (RFC 5256 §3). It reads rows, and no message but those
// whose header is not kept.
func (c *session) sort(cmd *imap.SortCommand) (reply, error) {
	return c.searching(&cmd.SearchCommand, func(f *finder) error {
		f.rows, f.order = true, cmd.Order
		if err := f.find(); err != nil {
			return err
		}
		return f.sort()
	}, "SORT")
}

// sort puts the hits into the order that is wanted.
func (f *finder) sort() error {
	sorted, err := f.sortables()
	if err != nil {
		return err
	}
	by := make([]*sortable, len(sorted))
	for i := range sorted {
		by[i] = &sorted[i]
	}
	slices.SortFunc(by, f.compare)
	for i, s := range by {
		f.hits[i] = s.hit
	}
	if f.keep {
		f.sorted = by
	}
	return nil
}

// sortables finds out what the hits are sorted by.
func (f *finder) sortables() ([]sortable, error) {
	if f.sortedBy(func(name string) bool { return name == "RELEVANCY" }) {
		if err := f.score(); err != nil {
			return nil, err
		}
	}
	k := len(f.order)
	all := make([]sortValue, k*len(f.hits))
	sorted := make([]sortable, len(f.hits))
	for i := range f.hits {
		sorted[i] = sortable{f.hits[i], all[i*k : (i+1)*k : (i+1)*k]}
		for j, o := range f.order {
			switch o.Name {
			case "ARRIVAL":
				sorted[i].values[j].n = f.hits[i].received
			case "SIZE":
				sorted[i].values[j].n = f.hits[i].size
			case "RELEVANCY": // the highest comes first (RFC 6203 §6)
				sorted[i].values[j].n = -int64(f.hits[i].score)
			}
		}
	}
	if !f.sortedBy(ofHeader) {
		return sorted, nil
	}
	var names []string
	for _, o := range f.order {
		names = append(names, strings.TrimPrefix(o.Name, "DISPLAY"))
	}
	i := 0
	err := f.headers(names, func(h *hit, header message.Header) {
		for j, o := range f.order {
			if ofHeader(o.Name) {
				sorted[i].values[j] = headerValue(o.Name, h, header)
			}
		}
		i++
	})
	return sorted, err
}

func (f *finder) sortedBy(is func(name string) bool) bool {
	return slices.ContainsFunc(f.order, func(k imap.SortKey) bool { return is(k.Name) })
}

// ofHeader says whether a criterion is found in the header.
func ofHeader(name string) bool { return name != "ARRIVAL" && name != "SIZE" && name != "RELEVANCY" }

func headerValue(name string, h *hit, header message.Header) sortValue {
	switch name {
	case "DATE":
		return sortValue{n: sentDate(h, header)}
	case "SUBJECT":
		return sortValue{s: order.Casemap(message.BaseSubject(header.Get("Subject")))}
	case "DISPLAYFROM", "DISPLAYTO":
		return sortValue{s: order.Casemap(displayed(firstAddress(header, strings.TrimPrefix(name, "DISPLAY"))))}
	}
	return sortValue{s: order.Casemap(strings.ToValidUTF8(firstAddress(header, name).Mailbox, "\uFFFD"))}
}

// sentDate is when a message was sent, or else came (RFC 5256 §2.2), in Unix seconds.
func sentDate(h *hit, header message.Header) int64 {
	if t, ok := message.ParseDate(header.Get("Date")); ok {
		return t.Unix()
	}
	return h.received
}

func firstAddress(h message.Header, name string) message.Addr {
	if all := message.ParseAddressList(h.Get(name)); len(all) > 0 {
		return all[0]
	}
	if all := h.Addresses(name); len(all) > 0 {
		return all[0]
	}
	return message.Addr{}
}

// displayed is the sort value of an address (RFC 5957 §3).
func displayed(a message.Addr) string {
	if name := message.DecodeHeader(a.Name); name != "" {
		return name
	}
	return strings.ToValidUTF8(a.String(), "\uFFFD")
}

// compare is the order of two hits; mailbox order where the criteria leave it open
// (RFC 5256 §3).
func (f *finder) compare(a, b *sortable) int {
	for i := range f.order {
		d := cmp.Or(cmp.Compare(a.values[i].n, b.values[i].n), strings.Compare(a.values[i].s, b.values[i].s))
		if d == 0 {
			continue
		}
		if f.order[i].Reverse {
			return -d
		}
		return d
	}
	return cmp.Compare(a.uid, b.uid)
}
