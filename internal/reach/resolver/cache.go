package resolver

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"time"
)

// cache remembers answers until they expire; beyond its size it forgets the
// one that was longest not asked for.
type cache struct {
	mu    sync.Mutex
	size  int
	byQ   map[question]*list.Element
	order *list.List // of entry, latest used first
}

type entry struct {
	q question
	o outcome
}

func newCache(size int) *cache {
	return &cache{size: size, byQ: map[question]*list.Element{}, order: list.New()}
}

func (c *cache) get(q question, now time.Time) (outcome, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.byQ[q]
	if el == nil {
		return outcome{}, false
	}
	e := el.Value.(entry)
	if !now.Before(e.o.Expires) {
		c.remove(el)
		return outcome{}, false
	}
	c.order.MoveToFront(el)
	return e.o, true
}

// put remembers o. Its records are shared with those who asked, who do not
// change them.
func (c *cache) put(q question, o outcome, now time.Time) {
	if !now.Before(o.Expires) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.byQ[q]; el != nil {
		c.remove(el)
	}
	c.byQ[q] = c.order.PushFront(entry{q, o})
	if c.order.Len() > c.size {
		c.remove(c.order.Back())
	}
}

func (c *cache) remove(el *list.Element) {
	delete(c.byQ, el.Value.(entry).q)
	c.order.Remove(el)
}

// addr is a library's address; an IPv4 address may come in 16 octets.
func addr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}
