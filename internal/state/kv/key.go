package kv

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// Key is a tuple under construction, in an encoding whose byte order is the
// order of the tuples: numbers are big-endian, texts end in 00 01 with a 00
// inside written 00 FF, fixed bytes stand as they are.
type Key []byte

// NewKey begins a key with plain bytes, such as a shard.
func NewKey(prefix []byte) Key { return append(make(Key, 0, len(prefix)+40), prefix...) }

// Uint8 appends one octet.
func (k Key) Uint8(v uint8) Key { return append(k, v) }

// Uint32 appends a number of four octets.
func (k Key) Uint32(v uint32) Key { return binary.BigEndian.AppendUint32(k, v) }

// Uint64 appends a number of eight octets.
func (k Key) Uint64(v uint64) Key { return binary.BigEndian.AppendUint64(k, v) }

// Fixed appends bytes whose length every reader of the key knows.
func (k Key) Fixed(b []byte) Key { return append(k, b...) }

// Text appends bytes of any length.
func (k Key) Text(s string) Key {
	for i := 0; i < len(s); i++ {
		k = append(k, s[i])
		if s[i] == 0 {
			k = append(k, 0xff)
		}
	}
	return append(k, 0, 1)
}

// ErrKey means that a key is not of the form its reader expects.
var ErrKey = errors.New("malformed key")

// KeyReader takes a key apart in the order it was made. After a failure every
// further call gives zero values, and Err says so.
type KeyReader struct {
	rest []byte
	bad  bool
}

// ReadKey reads key behind prefix.
func ReadKey(key, prefix []byte) *KeyReader {
	rest, ok := bytes.CutPrefix(key, prefix)
	return &KeyReader{rest: rest, bad: !ok}
}

// Err is ErrKey if something did not fit or something is left over.
func (r *KeyReader) Err() error {
	if r.bad || len(r.rest) > 0 {
		return ErrKey
	}
	return nil
}

// Fixed takes n octets.
func (r *KeyReader) Fixed(n int) []byte {
	if r.bad || len(r.rest) < n {
		r.bad = true
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// Uint8 takes one octet.
func (r *KeyReader) Uint8() uint8 { return r.Fixed(1)[0] }

// Uint32 takes four octets.
func (r *KeyReader) Uint32() uint32 { return binary.BigEndian.Uint32(r.Fixed(4)) }

// Uint64 takes eight octets.
func (r *KeyReader) Uint64() uint64 { return binary.BigEndian.Uint64(r.Fixed(8)) }

// Text takes what Key.Text appended.
func (r *KeyReader) Text() string {
	var out []byte
	for i := 0; !r.bad && i+1 < len(r.rest); i++ {
		switch c := r.rest[i]; {
		case c != 0:
			out = append(out, c)
		case r.rest[i+1] == 0xff:
			out = append(out, 0)
			i++
		case r.rest[i+1] == 1:
			r.rest = r.rest[i+2:]
			return string(out)
		default:
			r.bad = true
		}
	}
	r.bad = true
	return ""
}

// Prefix is the range of all keys that begin with p.
func Prefix(p []byte) Range { return Range{From: p, To: PrefixEnd(p)} }

// PrefixEnd is the first key behind all that begin with p; nil if there is none.
func PrefixEnd(p []byte) []byte {
	end := bytes.Clone(p)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
