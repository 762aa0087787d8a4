package crashtest

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sector is what a disk writes whole or not at all.
const sector = 512

// disk is a file system in memory under a power switch, for Pebble and the
// segment files together. It remembers every write, every length and every name
// since the last sync that covered it, so that a cut can lose any of them.
//
// Its order is weak: a file's sync saves what is in the file and not its name; a
// name is saved by the sync of its directory; the sectors of a file, its length
// and the names in the directory of the segments are each lost or kept by chance,
// a rename by halves. Only the names in Pebble's directory are lost from the last
// change on, in order, as journals do: its markers build on that.
type disk struct {
	mu    sync.Mutex
	root  *node
	rng   *rand.Rand
	ops   int
	cutAt int  // the power goes at this operation; 0 is never
	names int  // operations on the names of segments
	cutIn int  // the power goes at this one of them; 0 is never
	kill  bool // only the process ends: what is written stays, synced or not
	// killed says that the last run ended so.
	killed bool
	left   *disk       // what there is after the cut
	dead   atomic.Bool // the cut was; whoever still works is in a world that ends
	// lie says of a file's or directory's path that its syncs do nothing.
	lie func(name string) bool
}

// node is a file or a directory.
type node struct {
	names, safe map[string]*node    // of a directory; nil for a file
	past        map[string][]change // names changed since the sync: what each led to, in order
	ordered     bool                // they are lost in order

	data, saved []byte
	writes      []write  // since the sync
	lengths     []length // after each change since the sync
	changed     time.Time

	seq int // of the last change of any kind
}

// What was done since the sync, with its number: a sync covers what was done
// before it began.
type (
	change struct {
		seq int
		to  *node
	}
	write struct {
		seq, off int
		data     []byte
	}
	length struct{ seq, size int }
)

func newDir() *node {
	return &node{names: map[string]*node{}, safe: map[string]*node{}, past: map[string][]change{}}
}

func newDisk(seed uint64) *disk {
	return &disk{root: newDir(), rng: rand.New(rand.NewPCG(seed, 7))}
}

// tell runs fn if the power is on: what it notes was true before the cut.
func (d *disk) tell(fn func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.dead.Load() {
		fn()
	}
}

// op counts an operation, and cuts the power when its time has come. The lock is
// held.
func (d *disk) op(onNames bool) {
	d.ops++
	if onNames {
		d.names++
	}
	if d.ops == d.cutAt || onNames && d.names == d.cutIn {
		d.cut()
	}
}

// cut takes what a loss of power, or the end of the process, leaves.
func (d *disk) cut() {
	if d.dead.Load() {
		return
	}
	c := &copier{rng: d.rng, done: map[*node]*node{}, kill: d.kill}
	switch d.rng.IntN(10) {
	case 0, 1, 2: // nothing more than was synced
	case 3:
		c.keep = 1
	default:
		c.keep = d.rng.Float64()
	}
	d.left = &disk{root: c.copy(d.root), killed: d.kill, rng: rand.New(rand.NewPCG(d.rng.Uint64(), 7)), lie: d.lie}
	d.dead.Store(true)
}

// cutNow cuts if it did not come to it by itself.
func (d *disk) cutNow() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut()
	return d.left
}

// copier makes of nodes what they are after a cut.
type copier struct {
	rng  *rand.Rand
	keep float64 // the chance of what was not synced
	kill bool
	done map[*node]*node
}

// pick chooses one of n states after the synced one, or that: 0.
func (c *copier) pick(n int) int {
	switch {
	case n == 0 || c.keep == 0:
		return 0
	case c.rng.Float64() < c.keep:
		return n
	}
	return c.rng.IntN(n)
}

func (c *copier) copy(n *node) *node {
	if n == nil {
		return nil
	}
	if c.done[n] != nil {
		return c.done[n]
	}
	to := &node{changed: n.changed}
	c.done[n] = to
	switch {
	case n.names != nil:
		c.directory(n, to)
	case c.kill:
		to.data, to.saved = slices.Clone(n.data), slices.Clone(n.saved)
		to.writes, to.lengths, to.seq = slices.Clone(n.writes), slices.Clone(n.lengths), n.seq
	default:
		to.data = c.content(n)
		to.saved = slices.Clone(to.data)
	}
	return to
}

func (c *copier) directory(n, to *node) {
	to.names, to.safe, to.past, to.seq = map[string]*node{}, map[string]*node{}, map[string][]change{}, n.seq
	to.ordered = n.ordered
	if c.kill {
		for name, child := range n.names {
			to.names[name] = c.copy(child)
		}
		for name, child := range n.safe {
			to.safe[name] = c.copy(child)
		}
		for name, states := range n.past {
			for _, s := range states {
				to.past[name] = append(to.past[name], change{s.seq, c.copy(s.to)})
			}
		}
		return
	}
	all := maps.Clone(n.safe)
	upTo := n.upTo(c)
	for _, name := range slices.Sorted(maps.Keys(n.past)) {
		states := n.past[name]
		k := 0
		if !n.ordered {
			k = c.pick(len(states))
		}
		for n.ordered && k < len(states) && states[k].seq <= upTo {
			k++
		}
		if k > 0 {
			all[name] = states[k-1].to
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name] != nil {
			to.names[name] = c.copy(all[name])
			to.safe[name] = to.names[name]
		}
	}
}

// upTo draws the last change of names that is kept, where they are ordered.
func (n *node) upTo(c *copier) int {
	set := map[int]bool{}
	for _, states := range n.past {
		for _, s := range states {
			set[s.seq] = true
		}
	}
	seqs := slices.Sorted(maps.Keys(set))
	if k := c.pick(len(seqs)); k > 0 {
		return seqs[k-1]
	}
	return 0
}

// content is what a loss of power leaves of a file.
func (c *copier) content(n *node) []byte {
	size := len(n.saved)
	if k := c.pick(len(n.lengths)); k > 0 {
		size = n.lengths[k-1].size
	}
	after := make([]byte, size)
	copy(after, n.saved)
	if c.keep == 0 {
		return after
	}
	times := map[int]int{} // a sector was written
	n.sectors(func(s int, _ int, _ []byte) { times[s]++ })
	for _, s := range slices.Sorted(maps.Keys(times)) {
		times[s] = c.pick(times[s])
	}
	n.sectors(func(s, off int, b []byte) {
		if times[s]--; times[s] >= 0 && off < len(after) {
			copy(after[off:], b)
		}
	})
	return after
}

// sectors gives the writes since the sync, cut at the sectors' borders.
func (n *node) sectors(fn func(sector, off int, b []byte)) {
	for _, w := range n.writes {
		for off, b := w.off, w.data; len(b) > 0; {
			m := min(len(b), sector-off%sector)
			fn(off/sector, off, b[:m])
			off, b = off+m, b[m:]
		}
	}
}

// find walks to the directory of a path.
func (d *disk) find(name string) (*node, string, error) {
	name = strings.Trim(path.Clean("/"+name), "/")
	at := d.root
	for {
		first, rest, more := strings.Cut(name, "/")
		if !more {
			return at, first, nil
		}
		if at = at.names[first]; at == nil || at.names == nil {
			return nil, "", fs.ErrNotExist
		}
		name = rest
	}
}

// get finds what is at a path. The lock is held.
func (d *disk) get(name string) (*node, error) {
	dir, base, err := d.find(name)
	if err != nil {
		return nil, err
	}
	if base == "" {
		return d.root, nil
	}
	if n := dir.names[base]; n != nil {
		return n, nil
	}
	return nil, fs.ErrNotExist
}

// set makes a name lead to n, nil for nowhere. The lock is held.
func (d *disk) set(name string, n *node) error {
	dir, base, err := d.find(name)
	if err != nil {
		return err
	}
	d.op(!dir.ordered)
	dir.seq++
	dir.lead(base, n)
	return nil
}

func (dir *node) lead(base string, n *node) {
	dir.past[base] = append(dir.past[base], change{dir.seq, n})
	if n == nil {
		delete(dir.names, base)
	} else {
		dir.names[base] = n
	}
}

func (d *disk) mkdir(name string, ordered bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := ""
	for part := range strings.SplitSeq(strings.Trim(path.Clean("/"+name), "/"), "/") {
		at += "/" + part
		if _, err := d.get(at); err == nil {
			continue
		}
		n := newDir()
		n.ordered = ordered
		if err := d.set(at, n); err != nil {
			return err
		}
	}
	return nil
}

func (d *disk) create(name string, exclusive bool) (*node, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n, err := d.get(name); exclusive && err == nil && n != nil {
		return nil, fs.ErrExist
	}
	n := &node{changed: time.Now()}
	return n, d.set(name, n)
}

func (d *disk) open(name string) (*node, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.get(name)
}

func (d *disk) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.get(name)
	if err != nil {
		return err
	}
	if len(n.names) > 0 {
		return errors.New("the directory is not empty")
	}
	return d.set(name, nil)
}

func (d *disk) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.get(from)
	if err != nil {
		return err
	}
	dir, base, _ := d.find(from)
	toDir, toBase, err := d.find(to)
	if err != nil {
		return err
	}
	if toDir != dir {
		return errors.ErrUnsupported
	}
	d.op(!dir.ordered)
	dir.seq++
	dir.lead(toBase, n)
	dir.lead(base, nil)
	return nil
}

func (d *disk) list(name string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.get(name)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(n.names)), nil
}

// sync makes safe what was done to a file's content, or a directory's names,
// before. It takes its time, so that there is something to see before it has
// ended, and the cut may come before it, or when all but the last of it is done.
func (d *disk) sync(name string, n *node) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.op(n.names != nil && !n.ordered)
	upTo := n.seq
	pause := time.Duration(d.rng.IntN(120)) * time.Microsecond
	d.mu.Unlock()
	time.Sleep(pause)
	d.mu.Lock()
	d.op(n.names != nil && !n.ordered)
	switch {
	case d.lie != nil && d.lie(name):
	case n.names != nil:
		n.saveNames(upTo)
	default:
		n.save(upTo)
	}
}

func (n *node) saveNames(upTo int) {
	for name, states := range n.past {
		k := 0
		for ; k < len(states) && states[k].seq <= upTo; k++ {
			n.safe[name] = states[k].to
		}
		if n.past[name] = states[k:]; len(states) == k {
			delete(n.past, name)
		}
	}
}

func (n *node) save(upTo int) {
	k := 0
	for ; k < len(n.lengths) && n.lengths[k].seq <= upTo; k++ {
		n.saved = resized(n.saved, n.lengths[k].size)
	}
	n.lengths = n.lengths[k:]
	for k = 0; k < len(n.writes) && n.writes[k].seq <= upTo; k++ {
		if w := n.writes[k]; w.off < len(n.saved) {
			copy(n.saved[w.off:], w.data)
		}
	}
	n.writes = n.writes[k:]
}

func (d *disk) readAt(n *node, b []byte, off int64) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if off >= int64(len(n.data)) {
		return 0
	}
	return copy(b, n.data[off:])
}

func (d *disk) writeAt(n *node, b []byte, off int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.op(false)
	n.seq++
	n.writes = append(n.writes, write{n.seq, int(off), slices.Clone(b)})
	n.changed = time.Now()
	if end := int(off) + len(b); end > len(n.data) {
		n.resize(end)
	}
	copy(n.data[off:], b)
}

func (d *disk) truncate(n *node, size int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.op(false)
	n.resize(size)
}

func (n *node) resize(size int) {
	n.seq++
	n.lengths = append(n.lengths, length{n.seq, size})
	n.data = resized(n.data, size)
}

func resized(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	return append(b, make([]byte, size-len(b))...)
}

func (d *disk) size(n *node) (int64, time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return int64(len(n.data)), n.changed
}
