package inflate

// maxCode is the longest code in bits (RFC 1951 §3.2.7).
const maxCode = 15

// huffman is a set of codes: how many there are of each length, and the symbols in the
// order of their codes (RFC 1951 §3.2.2).
type huffman struct {
	count  [maxCode + 1]uint16
	symbol [288]uint16
}

// fixed codes (RFC 1951 §3.2.6).
var fixedLit, fixedDist = fixed()

func fixed() (lit, dist huffman) {
	var sizes [288]uint8
	for i := range sizes {
		switch {
		case i < 144, i >= 280:
			sizes[i] = 8
		case i < 256:
			sizes[i] = 9
		default:
			sizes[i] = 7
		}
	}
	lit.build(sizes[:])
	var flat [32]uint8 // the last two stand for nothing
	for i := range flat {
		flat[i] = 5
	}
	dist.build(flat[:])
	return lit, dist
}

// build makes the codes of symbols by their lengths, and says whether there are such.
// No code is to be left over, but where there is one symbol alone, or none.
func (h *huffman) build(sizes []uint8) bool {
	*h = huffman{}
	for _, n := range sizes {
		h.count[n]++
	}
	left, used := 1, 0
	for n := 1; n <= maxCode; n++ {
		left = left<<1 - int(h.count[n])
		if left < 0 {
			return false
		}
		used += int(h.count[n])
	}
	if left > 0 && used > 0 && (used > 1 || h.count[1] != 1) {
		return false
	}
	var at [maxCode + 1]uint16
	for n := 1; n < maxCode; n++ {
		at[n+1] = at[n] + h.count[n]
	}
	for sym, n := range sizes {
		if n > 0 {
			h.symbol[at[n]] = uint16(sym)
			at[n]++
		}
	}
	h.count[0] = 0
	return true
}

// decode finds the symbol whose code the bits begin with, and how many they are. With
// 0 there is none: -1 is no code of these, 0 is that more bits are needed.
func (h *huffman) decode(bits uint64, n uint) (symbol int, used uint) {
	code, first, index := 0, 0, 0
	for size := uint(1); size <= maxCode; size++ {
		if size > n {
			return 0, 0
		}
		code |= int(bits & 1)
		bits >>= 1
		count := int(h.count[size])
		if code-count < first {
			return int(h.symbol[index+code-first]), size
		}
		index += count
		first = (first + count) << 1
		code <<= 1
	}
	return -1, 0
}
