// Package inflate undoes DEFLATE (RFC 1951) as a conversation needs it: whatever the
// octets that have come tell is given at once, wherever the other side ended what it
// flushed. Libraries give it at the end of their window or at an empty stored block
// only, and would leave a client waiting that flushes otherwise, such as by zlib's
// partial flush.
package inflate

import (
	"errors"
	"io"
)

// Sizes in octets.
const (
	window  = 32 << 10 // how far back a stream may refer
	atOnce  = 8 << 10  // that are decoded ahead of who reads
	longest = 258      // of one reference
)

// ErrMalformed is that a stream is not DEFLATE.
var ErrMalformed = errors.New("inflate: malformed stream")

// stage is what comes next in a stream.
type stage uint8

const (
	heads  stage = iota // of a block
	length              // of a stored block
	stored              // what a stored block holds
	tables              // how many codes a block has
	meta                // lengths of the codes that lengths are written with
	lens                // lengths of codes
	codes               // what a block holds
	ended
)

// Inflater undoes one stream. The zero Inflater is at its beginning. It holds up to
// three windows of what was decoded, and no more than it has decoded.
type Inflater struct {
	bits  uint64 // that came and are not used, the first lowest
	n     uint   // how many
	stage stage
	final bool // this is the last block
	left  int  // octets of a stored block

	lit, dist huffman
	fixed     bool
	sizes     [320]uint8 // lengths of codes, as they come
	nlit      int
	ndist     int
	nmeta     int
	at        int // in sizes

	done  []byte // what was decoded
	given int    // of done
}

// Inflate decodes src into dst, and says how much it wrote and took. It stops where dst
// is full or src is used up. io.EOF: the stream has ended; ErrMalformed.
func (f *Inflater) Inflate(dst, src []byte) (wrote, took int, err error) {
	for {
		for err == nil && len(f.done)-f.given < min(len(dst)-wrote, atOnce) {
			took += f.refill(src[took:])
			var more bool
			if more, err = f.step(); !more && (f.n > 56 || took == len(src)) {
				break
			}
		}
		n := copy(dst[wrote:], f.done[f.given:])
		f.given += n
		wrote += n
		f.forget()
		switch {
		case err != nil && f.given == len(f.done):
			return wrote, took, err
		case n == 0 || wrote == len(dst):
			return wrote, took, nil
		}
	}
}

// forget lets go what nothing refers to any more.
func (f *Inflater) forget() {
	if len(f.done) > 3*window && f.given > len(f.done)-window {
		f.given -= len(f.done) - window
		f.done = append(f.done[:0], f.done[len(f.done)-window:]...)
	}
}

// Rest gives memory back while nothing is expected for some time.
func (f *Inflater) Rest() {
	if f.given == len(f.done) && cap(f.done) > window {
		f.done = append([]byte(nil), f.done[max(0, len(f.done)-window):]...)
		f.given = len(f.done)
	}
}

func (f *Inflater) refill(src []byte) (took int) {
	for f.n <= 56 && took < len(src) {
		f.bits |= uint64(src[took]) << f.n
		f.n += 8
		took++
	}
	return took
}

// take takes bits that are there.
func (f *Inflater) take(n uint) int {
	v := int(f.bits & (1<<n - 1))
	f.bits >>= n
	f.n -= n
	return v
}

// step goes on by the least that can be decoded; not at all if more bits are needed.
func (f *Inflater) step() (more bool, err error) {
	switch f.stage {
	case heads:
		return f.head()
	case length:
		if f.n < 32 {
			return false, nil
		}
		n, not := f.take(16), f.take(16)
		if n != ^not&0xFFFF {
			return false, ErrMalformed
		}
		f.left, f.stage = n, stored
	case stored:
		return f.store(), nil
	case tables:
		if f.n < 14 {
			return false, nil
		}
		f.nlit, f.ndist, f.nmeta, f.at = f.take(5)+257, f.take(5)+1, f.take(4)+4, 0
		if f.nlit > 286 || f.ndist > 30 {
			return false, ErrMalformed
		}
		clear(f.sizes[:])
		f.stage = meta
	case meta:
		return f.metaSize()
	case lens:
		return f.codeSize()
	case codes:
		return f.code()
	case ended:
		return false, io.EOF
	}
	return true, nil
}

// head reads the head of a block (RFC 1951 §3.2.3).
func (f *Inflater) head() (bool, error) {
	if f.final {
		f.stage = ended
		return true, nil
	}
	if f.n < 3 {
		return false, nil
	}
	f.final = f.take(1) == 1
	switch f.take(2) {
	case 0:
		f.take(f.n % 8)
		f.stage = length
	case 1:
		f.fixed, f.stage = true, codes
	case 2:
		f.fixed, f.stage = false, tables
	default:
		return false, ErrMalformed
	}
	return true, nil
}

// store takes octets of a stored block.
func (f *Inflater) store() bool {
	if f.left == 0 {
		f.stage = heads
		return true
	}
	if f.n < 8 {
		return false
	}
	for ; f.n >= 8 && f.left > 0; f.left-- {
		f.done = append(f.done, byte(f.take(8)))
	}
	return true
}

// metaOrder is the order in which the lengths of the codes of lengths come (RFC 1951
// §3.2.7).
var metaOrder = [...]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

func (f *Inflater) metaSize() (bool, error) {
	if f.at < f.nmeta {
		if f.n < 3 {
			return false, nil
		}
		f.sizes[metaOrder[f.at]] = uint8(f.take(3))
		f.at++
		return true, nil
	}
	if !f.lit.build(f.sizes[:19]) {
		return false, ErrMalformed
	}
	clear(f.sizes[:])
	f.at, f.stage = 0, lens
	return true, nil
}

// codeSize reads the length of a code, or a run of lengths (RFC 1951 §3.2.7).
func (f *Inflater) codeSize() (bool, error) {
	all := f.nlit + f.ndist
	if f.at == all {
		if f.sizes[256] == 0 {
			return false, ErrMalformed // such a block has no end
		}
		dist := f.sizes[f.nlit:all]
		if !f.dist.build(dist) || !f.lit.build(f.sizes[:f.nlit]) {
			return false, ErrMalformed
		}
		f.stage = codes
		return true, nil
	}
	sym, n := f.lit.decode(f.bits, f.n)
	if n == 0 {
		return f.short(sym)
	}
	if sym < 16 {
		f.take(n)
		f.sizes[f.at] = uint8(sym)
		f.at++
		return true, nil
	}
	extra, least, size := [...]uint{2, 3, 7}[sym-16], [...]int{3, 3, 11}[sym-16], uint8(0)
	if f.n < n+extra {
		return false, nil
	}
	if sym == 16 {
		if f.at == 0 {
			return false, ErrMalformed
		}
		size = f.sizes[f.at-1]
	}
	f.take(n)
	run := least + f.take(extra)
	if f.at+run > all {
		return false, ErrMalformed
	}
	for range run {
		f.sizes[f.at] = size
		f.at++
	}
	return true, nil
}

// short is what decode says where no code was found: more bits are needed, or no bits
// would help.
func (f *Inflater) short(sym int) (bool, error) {
	if sym < 0 {
		return false, ErrMalformed
	}
	return false, nil
}

// The lengths and distances that symbols begin at, and their extra bits (RFC 1951
// §3.2.5).
var (
	lengths    = [29]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthBits = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	dists      = [30]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distBits   = [30]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

// code decodes an octet, or a reference as a whole: at most 48 bits.
func (f *Inflater) code() (bool, error) {
	lit, dist := &f.lit, &f.dist
	if f.fixed {
		lit, dist = &fixedLit, &fixedDist
	}
	sym, used := lit.decode(f.bits, f.n)
	switch {
	case used == 0:
		return f.short(sym)
	case sym < 256:
		f.take(used)
		f.done = append(f.done, byte(sym))
		return true, nil
	case sym == 256:
		f.take(used)
		f.stage = heads
		return true, nil
	case sym > 285:
		return false, ErrMalformed
	}
	extra := uint(lengthBits[sym-257])
	if f.n < used+extra {
		return false, nil
	}
	n := int(lengths[sym-257]) + int(f.bits>>used&(1<<extra-1))
	used += extra
	sym, more := dist.decode(f.bits>>used, f.n-used)
	if more == 0 {
		return f.short(sym)
	}
	if sym > 29 {
		return false, ErrMalformed
	}
	used += more
	extra = uint(distBits[sym])
	if f.n < used+extra {
		return false, nil
	}
	far := int(dists[sym]) + int(f.bits>>used&(1<<extra-1))
	f.take(used + extra)
	if far > len(f.done) {
		return false, ErrMalformed
	}
	for range n {
		f.done = append(f.done, f.done[len(f.done)-far])
	}
	return true, nil
}
