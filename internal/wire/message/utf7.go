package message

import (
	"bufio"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// utf7Reader decodes UTF-7 (RFC 2152). What is wrong in it becomes U+FFFD.
type utf7Reader struct {
	r       *bufio.Reader
	out     []byte // decoded, not yet read
	shifted bool
	fresh   bool // directly behind the +
	bits    uint32
	nbits   uint
	high    rune // a high surrogate that waits for its low one
	err     error
}

func newUTF7(r io.Reader) io.Reader { return &utf7Reader{r: bufio.NewReader(r)} }

// Read implements io.Reader.
func (u *utf7Reader) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		u.decode()
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

// decode takes octets until there is something to give.
func (u *utf7Reader) decode() {
	u.out = make([]byte, 0, 512)
	for len(u.out) < 500 {
		c, err := u.r.ReadByte()
		if err != nil {
			u.unshift()
			u.err = err
			return
		}
		if !u.shifted {
			switch {
			case c == '+':
				u.shifted, u.fresh = true, true
			case c >= utf8.RuneSelf:
				u.put(utf8.RuneError)
			default:
				u.out = append(u.out, c)
			}
			continue
		}
		if v := base64Value[c]; v < 64 {
			u.fresh = false
			u.sextet(v)
			continue
		}
		if c == '-' {
			if u.fresh {
				u.out = append(u.out, '+')
			}
			u.unshift()
			continue
		}
		u.unshift()
		if c >= utf8.RuneSelf {
			u.put(utf8.RuneError)
		} else {
			u.out = append(u.out, c)
		}
	}
}

// sextet adds six bits; sixteen make a unit of UTF-16.
func (u *utf7Reader) sextet(v byte) {
	u.bits = u.bits<<6 | uint32(v)
	u.nbits += 6
	if u.nbits < 16 {
		return
	}
	u.nbits -= 16
	unit := rune(u.bits >> u.nbits & 0xffff)
	switch {
	case u.high != 0 && unit >= 0xdc00 && unit < 0xe000:
		u.put(utf16.DecodeRune(u.high, unit))
		u.high = 0
	case unit >= 0xd800 && unit < 0xdc00:
		u.lone()
		u.high = unit
	default:
		u.lone()
		u.put(unit)
	}
}

// lone gives up on a surrogate without its other half.
func (u *utf7Reader) lone() {
	if u.high != 0 {
		u.put(utf8.RuneError)
		u.high = 0
	}
}

func (u *utf7Reader) unshift() {
	u.lone()
	u.shifted, u.fresh, u.bits, u.nbits = false, false, 0, 0
}

func (u *utf7Reader) put(r rune) { u.out = utf8.AppendRune(u.out, r) }
