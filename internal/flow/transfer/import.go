package transfer

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Options say where a parcel goes.
type Options struct {
	Mailbox *mailbox.Store
	Account mail.AccountID
	Quota   mailbox.Quota
	Anew    bool // also what was imported before
}

// Imported is what became of a parcel.
type Imported struct {
	Messages  int64 // that are new
	Repeated  int64 // that were imported before
	Octets    int64 // of those that are new
	Mailboxes int   // that were made
	Problems
}

// The most that one transaction adds.
const (
	maxBatch       = 64
	maxBatchOctets = 1 << 20 // of content; what is large is not in the transaction
	largeOctets    = 32 << 10
)

// importer carries one parcel into an account.
type importer struct {
	Options
	Imported
	salt   []byte
	seen   map[[8]byte]uint32 // how often a content came into a mailbox
	names  map[string]string  // mailboxes by how the parcel names them
	ids    map[string]bool    // unique-ids that messages of a mailbox have
	batch  []incoming
	octets int64

	room mailbox.Usage // what is left of the quota; it is asked for again when it ends
}

// incoming is a message whose content is in the store.
type incoming struct {
	mailbox.NewMessage
	box, where string
	size       int64
}

// Import adds the messages of a parcel to an account, and the mailboxes they
// are in. What cannot be added is listed. Given again, with the same messages in
// any order, it adds nothing: a message is known by its mailbox and content.
// The error is what ended it early; what was added until then stays.
func Import(ctx context.Context, o Options, parcel io.Reader) (Imported, error) {
	i := &importer{Options: o, seen: map[[8]byte]uint32{}, names: map[string]string{}, ids: map[string]bool{}}
	if o.Anew {
		i.salt = []byte(rand.Text())
	}
	u := newUnpacker(parcel)
	for {
		it, err := u.next()
		if errors.Is(err, io.EOF) {
			return i.Imported, i.flush(ctx)
		}
		if err == nil {
			err = i.take(ctx, it)
		}
		if err != nil {
			return i.Imported, errors.Join(err, i.flush(context.WithoutCancel(ctx)))
		}
	}
}

// take adds one item. Its error ends the import.
func (i *importer) take(ctx context.Context, it Item) error {
	box := i.name(it)
	switch {
	case it.Box:
		if err := i.flush(ctx); err != nil {
			return err
		}
		if err := i.makeBox(ctx, box); err != nil {
			if !passable(err) {
				return err
			}
			i.fail(it.Where, err)
		}
		return nil
	case it.Lost != "":
		i.Add(it.Where, it.Lost)
		return nil
	case it.Size == 0:
		i.Add(it.Where, "the message is empty")
		return nil
	}
	if err := i.hasRoom(ctx, it.Size); err != nil {
		return err
	}
	m, err := i.receive(ctx, it)
	if err != nil {
		return err
	}
	m.box = box
	i.batch = append(i.batch, m)
	if it.Size <= largeOctets {
		i.octets += it.Size
	}
	if len(i.batch) >= maxBatch || i.octets >= maxBatchOctets {
		return i.flush(ctx)
	}
	return nil
}

// passable errors are about one message, not about the store or the account.
func passable(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Unsupported, fault.TooLarge, fault.TooMany, fault.Conflict, fault.Exists:
		return true
	}
	return false
}

// hasRoom keeps to the quota. Those imported before are counted too until the
// room seems to end; then the account is asked what it really holds.
func (i *importer) hasRoom(ctx context.Context, size int64) error {
	if i.Quota == (mailbox.Quota{}) || i.room.Messages > 0 && size <= i.room.Octets {
		i.room.Messages--
		i.room.Octets -= size
		return nil
	}
	if err := i.flush(ctx); err != nil {
		return err
	}
	return i.Mailbox.View(ctx, i.Account, func(t *mailbox.Tx) error {
		u, err := t.Usage()
		if err != nil {
			return err
		}
		left := func(limit, used int64) int64 {
			if limit == 0 {
				return math.MaxInt64
			}
			return limit - used
		}
		i.room = mailbox.Usage{Octets: left(i.Quota.Octets, u.Octets+size), Messages: left(i.Quota.Messages, u.Messages+1)}
		return i.Quota.Room(u, mailbox.Usage{Octets: size, Messages: 1})
	})
}

// receive writes a message's content.
func (i *importer) receive(ctx context.Context, it Item) (incoming, error) {
	w, err := i.Mailbox.Blob(ctx)
	if err != nil {
		return incoming{}, err
	}
	defer w.Abort()
	if _, err := io.Copy(w, it.Content); err != nil {
		return incoming{}, err
	}
	h, err := w.Commit()
	if err != nil {
		return incoming{}, err
	}
	m := incoming{where: it.Where, size: it.Size}
	m.NewMessage = mailbox.NewMessage{Content: h, Received: it.Received, Flags: it.Flags, Keywords: i.keywords(it)}
	if m.Index, err = i.Mailbox.Index(ctx, nil, h); err != nil {
		return m, err
	}
	m.Arrival = i.arrival(it.Mailbox, h.ID())
	m.UIDL = i.uidl(it, m.Index)
	if m.Received.IsZero() {
		m.Received = time.Now()
		if t, ok := message.ParseDate(m.Index.Envelope().Date); ok && t.Before(m.Received) && t.Year() > 1970 {
			m.Received = t
		}
	}
	return m, nil
}

// uidl is the unique-id by which POP3 clients know a message: the one that was
// kept beside it, or that other servers put into its header. No two messages of a
// mailbox may have the same.
func (i *importer) uidl(it Item, ix *message.Index) string {
	id := it.UIDL
	if id == "" {
		id = strings.TrimSpace(ix.Header.Get("X-UIDL"))
	}
	key := it.Mailbox + "\x00" + id
	if id == "" || i.ids[key] {
		return ""
	}
	i.ids[key] = true
	return id
}

// arrival is a message's identity: the mailbox, the content, and the how manieth
// of the kind it is. So two that are alike both come in, and once.
func (i *importer) arrival(box string, id mail.BlobID) (a mail.ArrivalID) {
	h := sha256.New()
	fmt.Fprintf(h, "ekiden import %d %q %s %x", i.Account, box, i.salt, id)
	var key [8]byte
	copy(key[:], h.Sum(nil))
	i.seen[key]++
	h.Write(binary.BigEndian.AppendUint32(nil, i.seen[key]))
	copy(a[:], h.Sum(nil))
	return a
}

// keywords leaves out what can be no keyword, and lists it.
func (i *importer) keywords(it Item) []string {
	good := slices.DeleteFunc(slices.Clone(it.Keywords), func(w string) bool { return !isKeyword(w) })
	if len(good) > mailbox.MaxKeywords {
		good = good[:mailbox.MaxKeywords]
	}
	if n := len(it.Keywords) - len(good); n > 0 {
		i.Add(it.Where, fmt.Sprintf("came in without %d of its keywords, which cannot be kept", n))
	}
	return good
}

// isKeyword says whether a word is an IMAP keyword (RFC 9051 §9 flag-keyword).
func isKeyword(w string) bool {
	return w != "" && len(w) <= mailbox.MaxKeyword && !strings.ContainsFunc(w, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\]`, r)
	})
}

// flush makes what was received true, all in one transaction. Where that fails
// for a reason that may lie in one of the messages, each gets one of its own.
func (i *importer) flush(ctx context.Context) error {
	batch := i.batch
	i.batch, i.octets = nil, 0
	if len(batch) == 0 {
		return nil
	}
	err := i.add(ctx, batch)
	if err == nil || !passable(err) {
		return err
	}
	for _, m := range batch {
		err := i.add(ctx, []incoming{m})
		if fault.Is(err, fault.TooMany) && len(m.Keywords) > 0 {
			m.Keywords = nil
			if err = i.add(ctx, []incoming{m}); err == nil {
				i.Add(m.where, "came in without its keywords: the account has too many")
			}
		}
		if err != nil && !passable(err) {
			return err
		} else if err != nil {
			i.fail(m.where, err)
		}
	}
	return nil
}

// add is one transaction.
func (i *importer) add(ctx context.Context, batch []incoming) error {
	var made int
	var fresh, octets int64
	err := i.Mailbox.Update(ctx, i.Account, i.Account, func(t *mailbox.Tx) error {
		made, fresh, octets = 0, 0, 0
		for _, m := range batch {
			box, n, err := boxOf(t, m.box)
			if err != nil {
				return err
			}
			made += n
			p, err := t.Add(box.ID, m.NewMessage)
			if err != nil {
				return err
			}
			if p.UID >= box.UIDNext {
				fresh++
				octets += m.size
			}
		}
		return nil
	})
	if err == nil {
		i.Mailboxes += made
		i.Messages += fresh
		i.Octets += octets
		i.Repeated += int64(len(batch)) - fresh
	}
	return err
}

func (i *importer) makeBox(ctx context.Context, name string) error {
	var made int
	err := i.Mailbox.Update(ctx, i.Account, i.Account, func(t *mailbox.Tx) (err error) {
		_, made, err = boxOf(t, name)
		return err
	})
	if err == nil {
		i.Mailboxes += made
	}
	return err
}

// boxOf finds a mailbox, or makes it and the parents it lacks, subscribed.
func boxOf(t *mailbox.Tx, name string) (b mailbox.Box, made int, err error) {
	if b, err = t.BoxByName(name); !fault.Is(err, fault.NotFound) {
		return b, 0, err
	}
	if err := t.Provision(); err != nil {
		return b, 0, err
	}
	levels := strings.Split(name, mailbox.Separator)
	for i := range levels {
		name := strings.Join(levels[:i+1], mailbox.Separator)
		b, err = t.BoxByName(name)
		if fault.Is(err, fault.NotFound) {
			if b, err = t.CreateBox(name, mailbox.RoleNone); err == nil {
				err = t.Subscribe(name, true)
			}
			made++
		}
		if err != nil {
			return b, 0, err
		}
	}
	return b, made, nil
}

// name gives the name a mailbox can have here. Where it is another one that is
// listed, once.
func (i *importer) name(it Item) string {
	if name, ok := i.names[it.Mailbox]; ok {
		return name
	}
	name, err := mailbox.CanonicalName(it.Mailbox)
	if err != nil {
		name = mend(it.Mailbox)
		i.Add(it.Where, fmt.Sprintf("the mailbox is called %q here", name))
	}
	i.names[it.Mailbox] = name
	return name
}

// mend makes a mailbox name of what cannot be one.
func mend(s string) string {
	var levels []string
	for _, l := range strings.Split(strings.ToValidUTF8(s, "?"), mailbox.Separator) {
		l = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
				return '_'
			}
			return r
		}, l)
		if len(l) > mailbox.MaxLevel/2 { // NFC may make it longer
			sum := sha256.Sum256([]byte(l))
			cut := mailbox.MaxLevel / 3
			for !utf8.RuneStart(l[cut]) {
				cut--
			}
			l = fmt.Sprintf("%s-%x", l[:cut], sum[:4])
		}
		if l != "" {
			levels = append(levels, l)
		}
	}
	if len(levels) > mailbox.MaxDepth {
		sum := sha256.Sum256([]byte(s))
		levels = append(levels[:mailbox.MaxDepth-1], fmt.Sprintf("%x", sum[:4]))
	}
	name, err := mailbox.CanonicalName(strings.Join(levels, mailbox.Separator))
	if err != nil {
		sum := sha256.Sum256([]byte(s))
		return fmt.Sprintf("Imported %x", sum[:4])
	}
	return name
}
