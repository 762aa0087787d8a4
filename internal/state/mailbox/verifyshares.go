package mailbox

import (
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// reading is one reader of a mailbox.
type reading struct {
	box BoxID
	who mail.AccountID
}

// readAnnotations counts them, and looks at unique-ids.
func (v *verifier) readAnnotations() error {
	annotations := int64(0)
	err := v.each(tagAnnotation, func(k *kv.KeyReader, value []byte) error {
		id := BoxID(k.Uint64())
		k.Uint64()
		text, err := decodeAnnotation(value)
		annotations += int64(len(k.Text()) + len(text))
		if id != 0 && v.boxes[id] == nil {
			v.tell("an annotation of mailbox %d, which is not there", id)
		}
		return err
	})
	if err != nil {
		return err
	}
	err = v.each(tagUIDL, func(k *kv.KeyReader, value []byte) error {
		if id := BoxID(k.Uint64()); v.boxes[id] == nil {
			v.tell("a unique-id in mailbox %d, which is not there", id)
		}
		k.Uint32()
		_, err := decodeUIDL(value)
		return err
	})
	if err != nil {
		return err
	}
	if annotations != v.acct.annotations {
		v.tell("the account counts %d octets of annotations; there are %d", v.acct.annotations, annotations)
	}
	return nil
}

// readShares looks at lists and marks: that each is of a mailbox that is there,
// and that the log has each row of marks once, at its last change.
func (v *verifier) readShares() error {
	err := v.each(tagACL, func(k *kv.KeyReader, value []byte) error {
		if id := BoxID(k.Uint64()); v.boxes[id] == nil {
			v.tell("an access control list of mailbox %d, which is not there", id)
		}
		_, err := decodeACL(value)
		return err
	})
	if err != nil {
		return err
	}
	seen := map[reading]uint32{}
	var marks balance
	err = v.each(tagMark, func(k *kv.KeyReader, value []byte) error {
		r := reading{BoxID(k.Uint64()), mail.AccountID(k.Uint64())}
		span := k.Uint32()
		row, err := decodeMarks(value)
		if err != nil {
			return err
		}
		c := v.boxes[r.box]
		if c == nil {
			v.tell("marks in mailbox %d, which is not there", r.box)
			return nil
		}
		marks.add(uint64(r.box), uint64(r.who), row.logged, uint64(span))
		for _, m := range row.marks {
			if m.seen && c.block(span*markSpan+UID(m.at)) >= 0 {
				seen[r]++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = v.each(tagMarkLog, func(k *kv.KeyReader, value []byte) error {
		marks.sub(k.Uint64(), k.Uint64(), k.Uint64(), uint64(k.Uint32()))
		return open(value).done()
	})
	if err != nil {
		return err
	}
	if marks != (balance{}) {
		v.tell("the log does not have each row of marks once, at its last change (%+d)", marks.n)
	}
	return v.each(tagReader, func(k *kv.KeyReader, value []byte) error {
		r := reading{BoxID(k.Uint64()), mail.AccountID(k.Uint64())}
		if _, err := decodeMarkHead(value); err != nil {
			return err
		}
		b, err := v.t.state(r.box)
		if err != nil || b.row == nil {
			return errRow
		}
		was, marks := v.t.who, b.marks
		v.t.who, b.marks, b.head = r.who, nil, nil
		h, err := v.t.markHead(b)
		v.t.who, b.marks, b.head = was, marks, nil
		if err == nil && h.seen != seen[r] {
			v.tell("account %d has seen %d messages of mailbox %d, and %d are counted", r.who, seen[r], r.box, h.seen)
		}
		return err
	})
}
