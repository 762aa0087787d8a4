package kv

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// ErrValue means that a row's value is not of the form its reader expects.
var ErrValue = errors.New("malformed row")

// Value is a row's value under construction: numbers are varints, texts have
// their length in front.
type Value []byte

// Byte appends one octet, such as the version that every value begins with.
func (v Value) Byte(b byte) Value { return append(v, b) }

// Uint appends a number that is not negative.
func (v Value) Uint(n uint64) Value { return binary.AppendUvarint(v, n) }

// Fixed appends bytes whose length every reader of the value knows.
func (v Value) Fixed(b []byte) Value { return append(v, b...) }

// Text appends bytes of any length.
func (v Value) Text(s string) Value {
	return append(binary.AppendUvarint(v, uint64(len(s))), s...)
}

// Address appends an address.
func (v Value) Address(a mail.Address) Value { return v.Text(a.Local).Text(string(a.Domain)) }

// Time appends a time in nanoseconds since 1970; the zero time is 0.
func (v Value) Time(t time.Time) Value {
	if t.IsZero() {
		return binary.AppendVarint(v, 0)
	}
	return binary.AppendVarint(v, t.UnixNano())
}

// ValueReader takes a value apart in the order it was made. After a failure
// every further call gives zero values, and Err says so. What is left over does
// not count: a later version may have added fields. It allocates no more than
// the value's length.
type ValueReader struct {
	rest []byte
	bad  bool
}

// ReadValue begins to read a value.
func ReadValue(b []byte) *ValueReader { return &ValueReader{rest: b} }

// Err is ErrValue if something did not fit.
func (r *ValueReader) Err() error {
	if r.bad {
		return ErrValue
	}
	return nil
}

// More says whether something is left and nothing has failed.
func (r *ValueReader) More() bool { return !r.bad && len(r.rest) > 0 }

// Version takes the version octet, which is never 0.
func (r *ValueReader) Version() byte {
	v := r.Byte()
	r.bad = r.bad || v == 0
	return v
}

// Fixed takes n octets; they share the value's memory. It is nil after a
// failure.
func (r *ValueReader) Fixed(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// Byte takes one octet.
func (r *ValueReader) Byte() byte {
	if b := r.Fixed(1); b != nil {
		return b[0]
	}
	return 0
}

// Uint takes a number that is not negative.
func (r *ValueReader) Uint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// Time takes what Value.Time appended, in UTC.
func (r *ValueReader) Time() time.Time {
	v, n := binary.Varint(r.rest)
	if r.bad || n <= 0 {
		r.bad = true
		return time.Time{}
	}
	r.rest = r.rest[n:]
	if v == 0 {
		return time.Time{}
	}
	return time.Unix(0, v).UTC()
}

// Text takes what Value.Text appended.
func (r *ValueReader) Text() string {
	n := r.Uint()
	if n > uint64(len(r.rest)) {
		r.bad = true
		return ""
	}
	return string(r.Fixed(int(n)))
}

// Address takes what Value.Address appended.
func (r *ValueReader) Address() mail.Address {
	return mail.Address{Local: r.Text(), Domain: mail.Domain(r.Text())}
}
