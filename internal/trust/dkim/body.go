package dkim

import (
	"crypto/sha256"
	"hash"
)

// Canon is a way to make octets alike that carriers may change (RFC 6376 §3.4).
type Canon uint8

// The canonicalizations.
const (
	Simple Canon = iota
	Relaxed
)

// String is the word for c in a signature.
func (c Canon) String() string { return [...]string{"simple", "relaxed"}[c] }

// Body hashes a body in one pass for all who want its hash. The zero value is
// ready; what is wanted must be said before the first Write.
type Body struct {
	canons [2]*canonicalizer
}

// BodyHash is a SHA-256 hash of a body, or of its first octets.
type BodyHash struct {
	hash  hash.Hash
	limit int64 // -1: all
	canon *canonicalizer
	sum   []byte
}

// Want asks for the hash over the canonical body or, with a limit that is not
// negative, over so many of its octets at most. Equal wishes share one hash.
func (b *Body) Want(c Canon, limit int64) *BodyHash {
	to := b.canons[c]
	if to == nil {
		to = &canonicalizer{relaxed: c == Relaxed}
		b.canons[c] = to
	}
	for _, h := range to.hashes {
		if h.limit == limit {
			return h
		}
	}
	h := &BodyHash{hash: sha256.New(), limit: limit, canon: to}
	to.hashes = append(to.hashes, h)
	return h
}

// Write takes the next octets of the body, whose lines end in CRLF. It never
// fails.
func (b *Body) Write(p []byte) (int, error) {
	for _, c := range b.canons {
		if c != nil {
			c.write(p)
		}
	}
	return len(p), nil
}

// Close ends the body. Until then there are no sums.
func (b *Body) Close() {
	for _, c := range b.canons {
		if c != nil {
			c.close()
		}
	}
}

// Sum is the hash of the body.
func (h *BodyHash) Sum() []byte { return h.sum }

// Size is how many octets the canonical body has.
func (h *BodyHash) Size() int64 { return h.canon.size }

// canonicalizer makes a body canonical while it streams through (RFC 6376 §3.4.3,
// §3.4.4).
type canonicalizer struct {
	relaxed bool
	hashes  []*BodyHash
	size    int64
	out     []byte
	ends    int  // line ends that wait: at the end of the body they do not count
	space   bool // white space that waits: at the end of a line it does not count
	cr      bool // a CR that waits for its LF
	closed  bool
}

// chunk is how many canonical octets are hashed at a time.
const chunk = 8 << 10

func (c *canonicalizer) write(p []byte) {
	for i := 0; i < len(p); {
		if b := p[i]; c.cr {
			c.cr = false
			if b == '\n' {
				c.ends, c.space = c.ends+1, false
				i++
				continue
			}
			c.flush()
			c.out = append(c.out, '\r')
		} else if b == '\r' {
			c.cr = true
			i++
			continue
		} else if c.relaxed && (b == ' ' || b == '\t') {
			c.space = true
			i++
			continue
		}
		if p[i] == '\r' || c.relaxed && (p[i] == ' ' || p[i] == '\t') {
			continue
		}
		n := i + 1
		for n < len(p) && (p[n] > ' ' || !c.relaxed && p[n] != '\r') && n-i < chunk {
			n++
		}
		c.flush()
		c.out = append(c.out, p[i:n]...)
		i = n
	}
	if len(c.out) > 0 {
		c.sum()
	}
}

// flush writes what waited, since more of the body follows.
func (c *canonicalizer) flush() {
	for ; c.ends > 0; c.ends-- {
		c.out = append(c.out, '\r', '\n')
		if len(c.out) >= chunk {
			c.sum()
		}
	}
	if c.space {
		c.out, c.space = append(c.out, ' '), false
	}
	if len(c.out) >= chunk {
		c.sum()
	}
}

// sum hashes what is ready.
func (c *canonicalizer) sum() {
	for _, h := range c.hashes {
		part := c.out
		if h.limit >= 0 {
			part = part[:max(0, min(int64(len(part)), h.limit-c.size))]
		}
		h.hash.Write(part)
	}
	c.size += int64(len(c.out))
	c.out = c.out[:0]
}

func (c *canonicalizer) close() {
	if c.closed {
		return
	}
	c.closed = true
	if c.cr {
		c.flush()
		c.out = append(c.out, '\r')
	}
	// An empty body is one empty line when simple, and nothing when relaxed.
	if c.size > 0 || len(c.out) > 0 || !c.relaxed {
		c.out = append(c.out, '\r', '\n')
	}
	c.sum()
	for _, h := range c.hashes {
		h.sum = h.hash.Sum(nil)
	}
}
