package transfer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// A parcel is a tar (POSIX.1-2001, pax). A directory is a mailbox, a file a
// message in the mailbox of the directory it is in, its time the received date.
// Records of pax say the rest.
const (
	recMailbox  = "EKIDEN.mailbox"  // the mailbox's name, where a path cannot be it
	recFlags    = "EKIDEN.flags"    // \Seen \Answered …, with spaces between
	recKeywords = "EKIDEN.keywords" // with spaces between
	recUID      = "EKIDEN.uid"
	recUIDL     = "EKIDEN.uidl"
	recValidity = "EKIDEN.uidvalidity" // of a mailbox
	recNext     = "EKIDEN.uidnext"
	recWhere    = "EKIDEN.where" // where it was read, for complaints
	recLost     = "EKIDEN.lost"  // why the content of this message is not here
)

// packer writes a parcel.
type packer struct{ t *tar.Writer }

func newPacker(w io.Writer) *packer { return &packer{tar.NewWriter(w)} }

// put writes one item.
func (p *packer) put(it Item) error {
	records := map[string]string{recMailbox: it.Mailbox}
	set := func(key, value string) {
		if value != "" && !strings.ContainsRune(value, 0) {
			records[key] = value
		}
	}
	number := func(key string, n uint32) {
		if n > 0 {
			set(key, strconv.FormatUint(uint64(n), 10))
		}
	}
	h := &tar.Header{Format: tar.FormatPAX, PAXRecords: records, ModTime: it.Received}
	set(recWhere, it.Where)
	if it.Box {
		number(recValidity, it.UIDValidity)
		number(recNext, it.UIDNext)
		h.Typeflag, h.Name, h.Mode = tar.TypeDir, safePath(it.Mailbox)+"/", 0o700
		return p.t.WriteHeader(h)
	}
	number(recUID, it.UID)
	set(recUIDL, it.UIDL)
	set(recFlags, strings.Join(it.Flags.Names(), " "))
	set(recKeywords, strings.Join(it.Keywords, " "))
	set(recLost, it.Lost)
	h.Typeflag, h.Mode, h.Size = tar.TypeReg, 0o600, it.Size
	h.Name = safePath(it.Mailbox) + "/" + strconv.FormatUint(uint64(it.UID), 10) + ".eml"
	if err := p.t.WriteHeader(h); err != nil {
		return err
	}
	if it.Size == 0 {
		return nil
	}
	n, err := io.Copy(p.t, it.Content)
	if err == nil && n != it.Size {
		err = fmt.Errorf("%d octets where %d were foreseen", n, it.Size)
	}
	return err
}

// close ends the parcel.
func (p *packer) close() error { return p.t.Close() }

// safePath makes a path of a mailbox's name that leads nowhere else, whatever
// unpacks it.
func safePath(name string) string {
	levels := strings.Split(name, "/")
	for i, l := range levels {
		if l == "" || l == "." || l == ".." {
			levels[i] = "_" + strings.ReplaceAll(l, ".", "_")
		}
	}
	return strings.ReplaceAll(strings.Join(levels, "/"), "\\", "_")
}

// unpacker reads a parcel.
type unpacker struct{ t *tar.Reader }

func newUnpacker(r io.Reader) *unpacker { return &unpacker{tar.NewReader(r)} }

// next gives the next item; its content is to be read before the one after it
// is asked for. io.EOF at the end.
func (u *unpacker) next() (Item, error) {
	const op = "transfer.next"
	for {
		h, err := u.t.Next()
		switch {
		case errors.Is(err, tar.ErrHeader):
			return Item{}, fault.New(fault.Invalid, op, "that is not a tar of messages")
		case errors.Is(err, io.EOF):
			return Item{}, io.EOF
		case err != nil:
			return Item{}, brokenOff(err)
		}
		if it, ok := itemOf(h); ok {
			it.Content = content{u.t}
			return it, nil
		}
	}
}

// brokenOff is an end that came too early: that of a command, mostly.
func brokenOff(err error) error {
	return &fault.Error{Kind: fault.Invalid, Op: "transfer", Public: "the messages broke off on the way", Err: err}
}

// content is a message's in a parcel.
type content struct{ r io.Reader }

// Read gives it.
func (c content) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = brokenOff(err)
	}
	return n, err
}

// itemOf reads a header; ok is false for what is neither mailbox nor message.
func itemOf(h *tar.Header) (it Item, ok bool) {
	name := path.Clean("/" + h.Name)[1:]
	it = Item{Box: h.Typeflag == tar.TypeDir, Received: h.ModTime, Size: h.Size, Where: h.PAXRecords[recWhere]}
	it.Mailbox = h.PAXRecords[recMailbox]
	switch {
	case it.Box && name == "":
		return it, false
	case !it.Box && h.Typeflag != tar.TypeReg:
		return it, false
	case it.Mailbox == "" && it.Box:
		it.Mailbox = name
	case it.Mailbox == "":
		if it.Mailbox = path.Dir(name); it.Mailbox == "." {
			it.Mailbox = "INBOX"
		}
	}
	if it.Where == "" {
		it.Where = name
	}
	number := func(key string) uint32 {
		n, _ := strconv.ParseUint(h.PAXRecords[key], 10, 32)
		return uint32(n)
	}
	it.UID, it.UIDValidity, it.UIDNext = number(recUID), number(recValidity), number(recNext)
	it.Flags, it.Keywords = parseFlags(h.PAXRecords[recFlags]), strings.Fields(h.PAXRecords[recKeywords])
	it.Lost, it.UIDL = h.PAXRecords[recLost], h.PAXRecords[recUIDL]
	if it.Received.Equal(time.Unix(0, 0)) || it.Received.Year() < 1970 {
		it.Received = time.Time{}
	}
	return it, true
}

func parseFlags(s string) (f mail.Flags) {
	words := strings.Fields(strings.ToLower(s))
	for bit := mail.FlagSeen; bit <= mail.FlagDraft; bit <<= 1 {
		if slices.Contains(words, strings.ToLower(bit.Names()[0])) {
			f |= bit
		}
	}
	return f
}
