package queue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// ErrLost means that the lease of a partition has gone to another node: what this
// one knows of its deliveries counts no more.
var ErrLost = errors.New("another node has the lease of this partition")

// LeaseOptions say who works the queue. Changed and what follows may be zero.
type LeaseOptions struct {
	DB kv.DB
	// Node names this one, and no other. One that starts again takes its leases back
	// at once: its former self must have ended.
	Node string
	// Sole says that nobody else can have the store open: all leases are taken at
	// once, and kept for good.
	Sole  bool
	Lapse time.Duration // for how long a node may be silent before others take what it has; 30 s
}

// Leases are the partitions that this node works. Each is a row that names its
// holder and an epoch. A holder is alive as long as its beat, another row, goes
// on changing; when it has been seen unchanged for the lapse, by the clock of who
// watches, others take over, each time with the next epoch. The epoch lies in the
// partition too, so that what a former holder writes there is refused. The clocks
// of nodes need not agree, but must go at the same speed, a tenth more or less.
//
// A nil Leases holds everything.
type Leases struct {
	o LeaseOptions

	mu      sync.Mutex
	held    [kv.Partitions]lease
	until   time.Time // leases are good; zero: for good, if there are any
	changed chan struct{}

	// The keeper's own.
	seen map[string]beat // of other nodes
	own  uint64          // the beat of this one
}

// lease is one partition of ours.
type lease struct {
	epoch   uint64 // 0: it is not ours
	using   int    // attempts under way
	leaving bool   // nothing new is begun: it is to be given away
}

// beat is a sign of life, and when it was first seen.
type beat struct {
	n  uint64
	at time.Time
}

// NewLeases makes leases of nothing; Run takes some.
func NewLeases(o LeaseOptions) *Leases {
	if o.Lapse <= 0 {
		o.Lapse = 30 * time.Second
	}
	return &Leases{o: o, changed: make(chan struct{}, 1), seen: map[string]beat{}}
}

// Sole says that nobody else works the queue.
func (l *Leases) Sole() bool { return l == nil || l.o.Sole }

// Changed tells, over one channel for one reader, that there are new leases.
func (l *Leases) Changed() <-chan struct{} {
	if l == nil {
		return nil
	}
	return l.changed
}

// Epoch is the epoch of a partition's lease; ok is false if it is not ours, or
// has lapsed.
func (l *Leases) Epoch(part uint8) (epoch uint64, ok bool) {
	if l == nil {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch(part)
}

// epoch is Epoch for who holds the lock.
func (l *Leases) epoch(part uint8) (uint64, bool) {
	h := l.held[part]
	return h.epoch, h.epoch > 0 && !h.leaving && l.good(time.Now())
}

// good says whether leases count at now. The caller holds the lock.
func (l *Leases) good(now time.Time) bool { return l.until.IsZero() || now.Before(l.until) }

// Hold begins an attempt for a message in a partition; ok is false if the partition
// is not ours. Done must be called when the attempt is settled.
func (l *Leases) Hold(part uint8) (h *Hold, ok bool) {
	if l == nil {
		return nil, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	epoch, ok := l.epoch(part)
	if !ok {
		return nil, false
	}
	l.held[part].using++
	return &Hold{l, part, epoch}, true
}

// Hold is the use of a lease by one attempt. A nil Hold is always good.
type Hold struct {
	l     *Leases
	part  uint8
	epoch uint64
}

// Epoch is that of the lease.
func (h *Hold) Epoch() uint64 {
	if h == nil {
		return 0
	}
	return h.epoch
}

// Good says whether the lease still counts. It is asked before each final dot: no
// other node can have begun with the message before it turns false.
func (h *Hold) Good() bool {
	if h == nil {
		return true
	}
	h.l.mu.Lock()
	defer h.l.mu.Unlock()
	return h.l.held[h.part].epoch == h.epoch && h.l.good(time.Now())
}

// Fence makes a transaction on the partition fail with ErrLost if another node
// has taken the lease since.
func (h *Hold) Fence(tx kv.Tx) error {
	if h == nil {
		return nil
	}
	epoch, err := readEpoch(tx, h.part)
	if err == nil && epoch != h.epoch {
		err = fault.As(fault.Conflict, "queue.Fence", ErrLost)
	}
	return err
}

// Done ends the use.
func (h *Hold) Done() {
	if h == nil {
		return
	}
	h.l.mu.Lock()
	defer h.l.mu.Unlock()
	if h.l.held[h.part].epoch == h.epoch {
		h.l.held[h.part].using--
	}
}

// Rows.

func nodesKey() kv.Key           { return kv.NewKey(kv.ClusterShard()).Uint8('n') }
func nodeKey(node string) kv.Key { return nodesKey().Text(node) }
func leasesKey() kv.Key          { return kv.NewKey(kv.ClusterShard()).Uint8('l') }
func leaseKey(part uint8) kv.Key { return leasesKey().Uint8(part) }
func epochKey(part uint8) kv.Key { return kv.NewKey(kv.Partition(part)).Uint8('e') }

// claim is what a lease's row says.
type claim struct {
	node  string
	epoch uint64
}

func (c claim) encode() []byte { return kv.Value{}.Byte(rowVersion).Text(c.node).Uint(c.epoch) }

func readClaim(b []byte) (claim, error) {
	r := kv.ReadValue(b)
	r.Version()
	c := claim{r.Text(), r.Uint()}
	return c, fault.As(fault.Corrupt, "queue", r.Err())
}

func readEpoch(r kv.Reader, part uint8) (uint64, error) {
	b, ok, err := r.Get(epochKey(part))
	if err != nil || !ok {
		return 0, err
	}
	v := kv.ReadValue(b)
	v.Version()
	epoch := v.Uint()
	return epoch, fault.As(fault.Corrupt, "queue", v.Err())
}

// roll is what the cluster's rows say at one moment.
type roll struct {
	beats  map[string]uint64
	claims map[uint8]claim
}

func readRoll(tx kv.Reader) (roll, error) {
	all := roll{map[string]uint64{}, map[uint8]claim{}}
	for p, err := range tx.Scan(kv.Prefix(nodesKey())) {
		if err != nil {
			return all, err
		}
		k := kv.ReadKey(p.Key, nodesKey())
		v := kv.ReadValue(p.Value)
		v.Version()
		node, n := k.Text(), v.Uint()
		if err := errors.Join(k.Err(), v.Err()); err != nil {
			return all, fault.As(fault.Corrupt, "queue", err)
		}
		all.beats[node] = n
	}
	for p, err := range tx.Scan(kv.Prefix(leasesKey())) {
		if err != nil {
			return all, err
		}
		k := kv.ReadKey(p.Key, leasesKey())
		part := k.Uint8()
		c, err := readClaim(p.Value)
		if err := errors.Join(k.Err(), err); err != nil {
			return all, fault.As(fault.Corrupt, "queue", err)
		}
		all.claims[part] = c
	}
	return all, nil
}

func (l *Leases) roll(ctx context.Context) (all roll, err error) {
	err = l.o.DB.View(ctx, kv.ClusterShard(), func(tx kv.Reader) (err error) { all, err = readRoll(tx); return err })
	return all, err
}
