package mailbox

import (
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Limits of annotations (RFC 5464 §4.1 asks for 1,024 octets and 10).
const (
	MaxAnnotation  = 16 << 10 // octets of a value
	MaxAnnotations = 64       // of one mailbox: shared ones, and as many of each one's private ones
	maxEntry       = 400      // octets of a name
)

// AllBelow is the depth at which Annotations gives all below an entry.
const AllBelow = -1

// Annotation is an entry with its value, which is nil where it is to be removed.
// Names are in lower case and begin with "/private/" or "/shared/".
type Annotation struct {
	Entry string
	Value []byte
}

// EntryName gives an entry's name as it is kept. What can be none is
// fault.Invalid (RFC 5464 §3.2): one of a single component, and below vendor one
// of fewer than four.
func EntryName(s string) (string, error) {
	name := strings.ToLower(s)
	parts := strings.Split(name, "/")
	bad := len(name) > maxEntry || len(parts) < 3 || parts[0] != "" || parts[1] != "private" && parts[1] != "shared" ||
		parts[2] == "vendor" && len(parts) < 5 || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c > '~' || c == '*' || c == '%' })
	for _, p := range parts[1:] {
		bad = bad || p == ""
	}
	if bad {
		return "", fault.Newf(fault.Invalid, "mailbox.EntryName", "%.80q is not the name of an annotation", s)
	}
	return name, nil
}

func errTooManyAnnotations() error {
	return fault.Newf(fault.TooMany, "mailbox.Annotate", "at most %d annotations", MaxAnnotations)
}

// annotationKey is where an entry stands. Private ones are of whom the
// transaction is for; mailbox 0 is the account as a whole.
func (t *Tx) annotationKey(b BoxID, name string) kv.Key {
	scope, rest, _ := strings.Cut(name[1:], "/")
	owner := mail.AccountID(0)
	if scope == "private" {
		owner = t.reader()
	}
	return t.readerKey(tagAnnotation, b, owner).Text(rest)
}

// reader is whom the transaction is for: the owner, where it is for the server.
func (t *Tx) reader() mail.AccountID {
	if t.who == 0 {
		return t.account
	}
	return t.who
}

// mayAnnotate asks for the rights that annotations of a mailbox need (RFC 5464
// §3.3): to see it, and to do something with what is in it. Shared ones are
// changed only by those who may change shared flags.
func (t *Tx) mayAnnotate(id BoxID, change bool) (*boxState, error) {
	if id == 0 {
		if t.foreign() {
			return nil, errNoBox()
		}
		return nil, nil
	}
	need := RightLookup
	if change {
		need |= RightWrite
	}
	b, err := t.may(id, need)
	if err != nil {
		return nil, err
	}
	const some = RightRead | RightSeen | RightWrite | RightInsert | RightPost
	if has, err := t.rights(b); err != nil {
		return nil, err
	} else if has&some == 0 {
		return nil, fault.New(fault.Denied, "mailbox.Annotations", "you may do nothing with what is in that mailbox")
	}
	return b, nil
}

// Annotations gives those of entries that a mailbox has, and those up to depth
// levels below them; mailbox 0 is the account as a whole. Names are as EntryName
// gives them, but may be of one component.
func (t *Tx) Annotations(id BoxID, entries []string, depth int) ([]Annotation, error) {
	if _, err := t.mayAnnotate(id, false); err != nil {
		return nil, err
	}
	var found []Annotation
	known := map[string]bool{}
	for _, scope := range []string{"/private", "/shared"} {
		prefix := t.annotationKey(id, scope+"/")
		prefix = prefix[:len(prefix)-2] // without the end of an empty text
		for p, err := range t.r.Scan(kv.Prefix(prefix)) {
			if err != nil {
				return nil, fault.Wrap("mailbox.Annotations", err)
			}
			k := kv.ReadKey(p.Key, prefix)
			name := scope + "/" + k.Text()
			value, err := decodeAnnotation(p.Value)
			if err != nil || k.Err() != nil {
				return nil, fault.As(fault.Corrupt, "mailbox.Annotations", errRow)
			}
			for _, e := range entries {
				if Below(e, name, depth) && !known[name] {
					known[name] = true
					found = append(found, Annotation{name, value})
				}
			}
		}
	}
	return found, nil
}

// Below says whether name is entry, or up to depth levels below it.
func Below(entry, name string, depth int) bool {
	rest, ok := strings.CutPrefix(name, entry)
	switch {
	case !ok || rest != "" && rest[0] != '/':
		return false
	case depth == AllBelow:
		return true
	}
	return strings.Count(rest, "/") <= depth
}

func encodeAnnotation(v []byte) []byte { return append([]byte{format1}, v...) }

func decodeAnnotation(v []byte) ([]byte, error) {
	if len(v) == 0 || v[0] != format1 {
		return nil, errRow
	}
	return v[1:], nil
}

// Annotate sets and removes annotations of a mailbox, all or none (RFC 5464
// §4.3). What they hold counts for the account, as far as quota lets them.
// fault.TooLarge for a value over MaxAnnotation, fault.TooMany beyond
// MaxAnnotations, fault.OverQuota.
func (t *Tx) Annotate(id BoxID, changes []Annotation, quota Quota) error {
	const op = "mailbox.Annotate"
	if err := t.begin(op); err != nil {
		return err
	}
	defer t.done()
	a, err := t.acctRow()
	if err != nil {
		return err
	}
	was := a.annotations
	for _, c := range changes {
		b, err := t.mayAnnotate(id, strings.HasPrefix(c.Entry, "/shared/"))
		if err != nil {
			return err
		}
		if len(c.Value) > MaxAnnotation {
			return fault.Newf(fault.TooLarge, op, "an annotation has at most %d octets", MaxAnnotation)
		}
		if err := t.annotate(a, id, c); err != nil {
			return err
		}
		if b != nil {
			if err := t.renamed(b); err != nil {
				return err
			}
		}
	}
	if a.annotations > was && quota.Annotations > 0 && a.annotations > quota.Annotations {
		return fault.New(fault.OverQuota, op, "the annotations would be over quota")
	}
	return nil
}

// annotate changes one entry and what the account counts.
func (t *Tx) annotate(a *accountRow, id BoxID, c Annotation) error {
	const op = "mailbox.Annotate"
	key := t.annotationKey(id, c.Entry)
	old, there, err := t.r.Get(key)
	if err != nil {
		return fault.Wrap(op, err)
	}
	if there {
		a.annotations -= weightOf(c.Entry, old[1:])
		t.acctChanged()
	}
	if c.Value == nil {
		if there {
			t.del(key)
		}
		return nil
	}
	if !there {
		prefix := key[:len(t.readerKey(tagAnnotation, id, 0))]
		r := kv.Prefix(prefix)
		n := 0
		for _, err := range t.r.Scan(r) {
			if err != nil {
				return fault.Wrap(op, err)
			}
			if n++; n >= MaxAnnotations {
				return errTooManyAnnotations()
			}
		}
	}
	a.annotations += weightOf(c.Entry, c.Value)
	t.acctChanged()
	t.set(key, encodeAnnotation(c.Value))
	return nil
}

// weightOf is what an annotation counts, in octets.
func weightOf(entry string, value []byte) int64 {
	_, name, _ := strings.Cut(entry[1:], "/")
	return int64(len(name) + len(value))
}

// dropAnnotations forgets those of a mailbox that goes, everyone's.
func (t *Tx) dropAnnotations(id BoxID) error {
	return t.eachAnnotation(id, func(key []byte, owner mail.AccountID, name string, value []byte) error {
		a, err := t.acctRow()
		if err != nil {
			return err
		}
		a.annotations -= int64(len(name) + len(value))
		t.acctChanged()
		t.del(key)
		return nil
	})
}

// copyAnnotations gives the owner's and the shared ones of a mailbox to another:
// to the new INBOX, as the old one takes its own with it (RFC 5464 §4.1).
func (t *Tx) copyAnnotations(from, to BoxID) error {
	return t.eachAnnotation(from, func(_ []byte, owner mail.AccountID, name string, value []byte) error {
		if owner != 0 && owner != t.account {
			return nil
		}
		a, err := t.acctRow()
		if err != nil {
			return err
		}
		a.annotations += int64(len(name) + len(value))
		t.acctChanged()
		t.set(t.readerKey(tagAnnotation, to, owner).Text(name), encodeAnnotation(value))
		return nil
	})
}

// eachAnnotation gives all annotations of a mailbox.
func (t *Tx) eachAnnotation(id BoxID, fn func(key []byte, owner mail.AccountID, name string, value []byte) error) error {
	prefix := t.boxKey(tagAnnotation, id)
	for p, err := range t.r.Scan(kv.Prefix(prefix)) {
		if err != nil {
			return fault.Wrap("mailbox.Annotations", err)
		}
		k := kv.ReadKey(p.Key, prefix)
		owner := mail.AccountID(k.Uint64())
		name := k.Text()
		value, err := decodeAnnotation(p.Value)
		if err != nil || k.Err() != nil {
			return fault.As(fault.Corrupt, "mailbox.Annotations", errRow)
		}
		if err := fn(p.Key, owner, name, value); err != nil {
			return err
		}
	}
	return nil
}
