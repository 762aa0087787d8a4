package memkv

import (
	"bytes"
	"hash/fnv"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// A node is a row in a tree that is ordered by key and a heap by weight. Nodes
// never change once they are reachable, so a root is a snapshot that costs
// nothing; a write copies the path to its row.
type node struct {
	key, value  []byte
	weight      uint64
	left, right *node
}

// weigh draws a weight from the key alone: the same rows give the same tree.
func weigh(key []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(key)
	x := h.Sum64()
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	return x ^ x>>33
}

func (n *node) get(key []byte) ([]byte, bool) {
	for n != nil {
		switch c := bytes.Compare(key, n.key); {
		case c == 0:
			return n.value, true
		case c < 0:
			n = n.left
		default:
			n = n.right
		}
	}
	return nil, false
}

// split parts the rows before key from those at and behind it.
func split(n *node, key []byte) (before, behind *node) {
	if n == nil {
		return nil, nil
	}
	c := *n
	if bytes.Compare(n.key, key) < 0 {
		c.right, behind = split(n.right, key)
		return &c, behind
	}
	before, c.left = split(n.left, key)
	return before, &c
}

// join puts together two trees of which a lies before b.
func join(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.weight > b.weight:
		c := *a
		c.right = join(a.right, b)
		return &c
	default:
		c := *b
		c.left = join(a, b.left)
		return &c
	}
}

func (n *node) set(key, value []byte) *node {
	return n.put(&node{key: key, value: value, weight: weigh(key)})
}

func (n *node) put(row *node) *node {
	if n == nil || row.weight > n.weight {
		row.left, row.right = split(n, row.key)
		return row
	}
	c := *n
	switch d := bytes.Compare(row.key, n.key); {
	case d == 0:
		c.value = row.value
	case d < 0:
		c.left = n.left.put(row)
	default:
		c.right = n.right.put(row)
	}
	return &c
}

func (n *node) delete(key []byte) *node {
	if _, ok := n.get(key); !ok {
		return n
	}
	return n.deletePresent(key)
}

func (n *node) deletePresent(key []byte) *node {
	d := bytes.Compare(key, n.key)
	if d == 0 {
		return join(n.left, n.right)
	}
	c := *n
	if d < 0 {
		c.left = n.left.deletePresent(key)
	} else {
		c.right = n.right.deletePresent(key)
	}
	return &c
}

func (n *node) clear(r kv.Range) *node {
	if bytes.Compare(r.From, r.To) >= 0 {
		return n
	}
	before, rest := split(n, r.From)
	_, behind := split(rest, r.To)
	return join(before, behind)
}

// each gives the rows from from (included) to to (not included; nil is the end)
// until yield has enough.
func (n *node) each(from, to []byte, reverse bool, yield func(*node) bool) bool {
	if n == nil {
		return true
	}
	low := bytes.Compare(n.key, from) >= 0            // n itself and what is before it may lie inside
	high := to == nil || bytes.Compare(n.key, to) < 0 // n itself and what is behind it may lie inside
	first, firstIn, last, lastIn := n.left, low, n.right, high
	if reverse {
		first, firstIn, last, lastIn = n.right, high, n.left, low
	}
	if firstIn && !first.each(from, to, reverse, yield) {
		return false
	}
	if low && high && !yield(n) {
		return false
	}
	return !lastIn || last.each(from, to, reverse, yield)
}
