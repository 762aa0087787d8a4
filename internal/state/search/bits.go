package search

import (
	"encoding/binary"
	"math/bits"
)

// bitWriter appends numbers that end at any bit, the highest bit first.
type bitWriter struct {
	b   []byte
	acc uint64 // its highest n bits are not in b yet; the others are 0
	n   uint   // below 64
}

// put appends the lowest n bits of v; the others are 0.
func (w *bitWriter) put(v uint64, n uint) {
	free := 64 - w.n
	if n < free {
		w.acc |= v << (free - n)
		w.n += n
		return
	}
	n -= free
	w.b = binary.BigEndian.AppendUint64(w.b, w.acc|v>>n)
	w.acc, w.n = v<<1<<(63-n), n
}

// number appends v as an exponential Golomb code of order k: few bits for what is
// not much larger than 2^k.
func (w *bitWriter) number(v uint32, k uint) {
	m := uint64(v)>>k + 1
	w.put(m<<k|uint64(v)&(1<<k-1), 2*uint(bits.Len64(m))-1+k)
}

// end fills the last octet up.
func (w *bitWriter) end() {
	for n := (w.n + 7) / 8; n > 0; n-- {
		w.b = append(w.b, byte(w.acc>>56))
		w.acc <<= 8
	}
	w.acc, w.n = 0, 0
}

// bitReader reads what a bitWriter wrote. Behind the end it reads zeros, which no
// number begins with for long.
type bitReader struct {
	b   []byte
	at  uint // bits read
	bad bool
}

// maxZeros bounds a number: it is below 2^24 times 2^k.
const maxZeros = 24

// number reads an exponential Golomb code of order k, which is 8 at most.
func (r *bitReader) number(k uint) uint32 {
	w := r.peek()
	z := uint(bits.LeadingZeros64(w))
	if z > maxZeros {
		r.bad = true
		return 0
	}
	r.at += 2*z + 1 + k
	m := w << z >> (63 - z)
	low := w << (2*z + 1) >> 1 >> (63 - k)
	return uint32((m-1)<<k | low)
}

// peek gives the next bits, 57 at least.
func (r *bitReader) peek() uint64 {
	i := r.at / 8
	if i+8 <= uint(len(r.b)) {
		return binary.BigEndian.Uint64(r.b[i:]) << (r.at % 8)
	}
	var w uint64
	for j := range uint(8) {
		w <<= 8
		if i+j < uint(len(r.b)) {
			w |= uint64(r.b[i+j])
		}
	}
	return w << (r.at % 8)
}

// failed says that what was read was not there.
func (r *bitReader) failed() bool { return r.bad || r.at > uint(len(r.b))*8 }
