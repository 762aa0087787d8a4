package mailbox

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// Every row's value begins with an octet that names its format, so that a later
// release can read what this one wrote.
const format1 = 1

// errRow means that a row's value is not of a form we know.
var errRow = errors.New("malformed row")

func putUint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

func putBytes(b, v []byte) []byte { return append(putUint(b, uint64(len(v))), v...) }

func putText(b []byte, v string) []byte { return append(putUint(b, uint64(len(v))), v...) }

func putTime(b []byte, t time.Time) []byte { return binary.AppendVarint(b, t.Unix()) }

// reader takes a value apart. After a failure every further call gives zero
// values, and done says so. It never allocates more than the value's length.
type reader struct {
	b   []byte
	bad bool
}

// open reads the format octet.
func open(b []byte) *reader {
	d := &reader{b: b}
	if d.octet() != format1 {
		d.bad = true
	}
	return d
}

func (d *reader) fail() { d.b, d.bad = nil, true }

func (d *reader) octet() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *reader) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *reader) uint32() uint32 {
	v := d.uint()
	if v > math.MaxUint32 {
		d.fail()
		return 0
	}
	return uint32(v)
}

// size is an octet count.
func (d *reader) size() int64 {
	v := d.uint()
	if v > math.MaxInt64 {
		d.fail()
		return 0
	}
	return int64(v)
}

// count is a number of things of at least one octet each.
func (d *reader) count() int {
	v := d.uint()
	if v > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(v)
}

func (d *reader) time() time.Time {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return time.Time{}
	}
	d.b = d.b[n:]
	return time.Unix(v, 0).UTC()
}

// fixed fills to.
func (d *reader) fixed(to []byte) {
	if len(d.b) < len(to) {
		d.fail()
		return
	}
	copy(to, d.b)
	d.b = d.b[len(to):]
}

// bytes is what putBytes wrote; it shares the row's memory.
func (d *reader) bytes() []byte {
	n := d.count()
	if n == 0 {
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *reader) text() string { return string(d.bytes()) }

// done is errRow if something did not fit or something is left over.
func (d *reader) done() error {
	if d.bad || len(d.b) > 0 {
		return errRow
	}
	return nil
}
