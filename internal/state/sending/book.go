package sending

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Book is the ledgers of all accounts. Those in use are in memory and written
// once a minute: a crash forgets a minute, and a message costs no write. It may
// be used by many goroutines.
type Book struct {
	db    kv.DB
	every time.Duration

	mu      sync.Mutex
	ledgers map[mail.AccountID]*entry
}

// entry is one ledger in memory.
type entry struct {
	mu      sync.Mutex
	ledger  *ledger // nil until it is read
	changed bool
	used    time.Time
}

// How ledgers are kept.
const (
	writeEvery = time.Minute
	keepIdle   = time.Hour // in memory
)

// New makes a book over db.
func New(db kv.DB) *Book {
	return &Book{db: db, every: writeEvery, ledgers: map[mail.AccountID]*entry{}}
}

// Draft is a message whose recipients are not all known yet.
type Draft struct {
	Recipients, New uint64
}

// Check adds a recipient to a draft, or with the null address none, unless that
// would pass a bound. It changes nothing of the account's.
func (b *Book) Check(ctx context.Context, a mail.AccountID, now time.Time, bounds Bounds, d *Draft, to mail.Address) (Excess, error) {
	var over Excess
	err := b.with(ctx, a, now, func(l *ledger) bool {
		more := *d
		if !to.IsNull() {
			more.Recipients++
			more.New += l.fresh([]uint64{hash(to.String())})
		}
		if over = l.excess(now, bounds, more.Recipients, more.New); over.IsZero() {
			*d = more
		}
		return false
	})
	return over, fault.Wrap("sending.Check", err)
}

// Spend notes one message to recipients, folded as the directory folds them,
// from a peer's address, unless that would pass a bound, and gives what speaks
// for or against the account.
func (b *Book) Spend(ctx context.Context, a mail.AccountID, now time.Time, bounds Bounds, to []mail.Address, from netip.Addr) (Excess, Evidence, error) {
	var over Excess
	var e Evidence
	err := b.with(ctx, a, now, func(l *ledger) bool {
		ids := hashes(to)
		if over = l.excess(now, bounds, uint64(len(ids)), l.fresh(ids)); !over.IsZero() {
			return false
		}
		var net uint64
		if p := Network(from); p.IsValid() {
			net = hash(p.String())
		}
		l.spend(now, ids, net)
		e = l.evidence(now, net)
		return true
	})
	return over, e, fault.Wrap("sending.Spend", err)
}

// Refused notes that recipients of an account's messages were refused for good,
// by their hosts or here.
func (b *Book) Refused(ctx context.Context, a mail.AccountID, now time.Time, n int) (Evidence, error) {
	var e Evidence
	err := b.with(ctx, a, now, func(l *ledger) bool {
		l.at(now).Refused += uint64(max(n, 0))
		e = l.evidence(now, 0)
		return true
	})
	return e, fault.Wrap("sending.Refused", err)
}

// Lately is what an account has sent within 24 hours.
type Lately struct {
	Messages, Recipients, New, Refused uint64
}

// Lately tells it.
func (b *Book) Lately(ctx context.Context, a mail.AccountID, now time.Time) (Lately, error) {
	var sum Lately
	err := b.with(ctx, a, now, func(l *ledger) bool {
		l.at(now)
		sum = Lately(l.day())
		return false
	})
	return sum, fault.Wrap("sending.Lately", err)
}

// Pardon forgets what made an account suspicious. It is written at once: it may
// be said while no server runs.
func (b *Book) Pardon(ctx context.Context, a mail.AccountID, now time.Time) error {
	err := b.with(ctx, a, now, func(l *ledger) bool { l.pardon(); return true })
	if err == nil {
		b.write(ctx, now)
	}
	return fault.Wrap("sending.Pardon", err)
}

// with calls fn with an account's ledger; true means that it changed it.
func (b *Book) with(ctx context.Context, a mail.AccountID, now time.Time, fn func(*ledger) bool) error {
	b.mu.Lock()
	e := b.ledgers[a]
	if e == nil {
		e = &entry{}
		b.ledgers[a] = e
	}
	e.used = now // before mu is let go, so that Run does not take it away
	b.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ledger == nil {
		l, err := b.read(ctx, a)
		if err != nil {
			return err
		}
		e.ledger = l
	}
	if fn(e.ledger) {
		e.changed = true
	}
	return nil
}

// hash names a recipient or a network. An account's own are few, so that 64 bits
// do not meet.
func hash(s string) uint64 {
	sum := sha256.Sum256([]byte(s))
	return max(binary.BigEndian.Uint64(sum[:8]), 1)
}

func hashes(to []mail.Address) []uint64 {
	ids := make([]uint64, 0, len(to))
	for _, a := range to {
		ids = append(ids, hash(a.String()))
	}
	return ids
}

// Run writes what has changed once a minute, and all of it when ctx ends.
func (b *Book) Run(ctx context.Context) error {
	tick := time.NewTicker(b.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			b.write(end, time.Now())
			return nil
		case <-tick.C:
			b.write(ctx, time.Now())
		}
	}
}

// write writes what has changed and lets go of what nobody has used for long.
// What cannot be written is tried again next time: it is no mail.
func (b *Book) write(ctx context.Context, now time.Time) {
	b.mu.Lock()
	all := make(map[mail.AccountID]*entry, len(b.ledgers))
	for a, e := range b.ledgers {
		all[a] = e
	}
	b.mu.Unlock()
	for a, e := range all {
		e.mu.Lock()
		var row []byte
		if e.changed {
			row = e.ledger.encode()
			e.changed = false
		}
		e.mu.Unlock()
		if row == nil {
			b.letGo(a, e, now)
			continue
		}
		err := b.db.Update(kv.Freeing(ctx), []kv.Shard{kv.SessionShard(a)}, func(tx kv.Tx) error {
			tx.Set(key(a), row)
			return nil
		})
		if err != nil {
			e.mu.Lock()
			e.changed = true
			e.mu.Unlock()
		}
	}
}

// letGo forgets a ledger that is written, unless somebody uses it.
func (b *Book) letGo(a mail.AccountID, e *entry, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(e.used) < keepIdle || !e.mu.TryLock() {
		return
	}
	if !e.changed {
		delete(b.ledgers, a)
	}
	e.mu.Unlock()
}

// key is an account's row, in the shard of what is no change of the account.
func key(a mail.AccountID) kv.Key { return kv.NewKey(kv.SessionShard(a)).Uint8('o') }

func (b *Book) read(ctx context.Context, a mail.AccountID) (*ledger, error) {
	l := newLedger()
	err := b.db.View(ctx, kv.SessionShard(a), func(r kv.Reader) error {
		row, ok, err := r.Get(key(a))
		if err != nil || !ok {
			return err
		}
		if l, err = decode(row); err != nil {
			l = newLedger() // it is no mail: what cannot be read is forgotten
		}
		return nil
	})
	return l, err
}

const format1 = 1

// encode writes a ledger: the hours, the recipients, the networks.
func (l *ledger) encode() []byte {
	v := kv.Value{}.Byte(format1).Uint(uint64(l.hour))
	for i := range int64(hours) {
		c := l.counts[(l.hour+1+i)%hours]
		v = v.Uint(c.Messages).Uint(c.Recipients).Uint(c.New).Uint(c.Refused)
	}
	v = v.Uint(uint64(len(l.known)))
	for _, k := range sorted(l.known) {
		v = v.Fixed(binary.BigEndian.AppendUint64(nil, k)).Uint(age(l.hour, l.known[k]))
	}
	v = v.Uint(uint64(len(l.networks)))
	for _, k := range sorted(l.networks) {
		n := l.networks[k]
		v = v.Fixed(binary.BigEndian.AppendUint64(nil, k)).Uint(age(l.hour, n.first)).Uint(age(l.hour, n.last))
	}
	return v
}

// age is how many hours before hour another was.
func age(hour, other int64) uint64 { return uint64(max(hour-other, 0)) }

func sorted[V any](m map[uint64]V) []uint64 {
	keys := make([]uint64, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, cmp.Compare)
	return keys
}

// maxHour is the last hour that is believed.
const maxHour = 1 << 40

func decode(b []byte) (*ledger, error) {
	r := kv.ReadValue(b)
	r.Version()
	l := newLedger()
	l.hour = int64(min(r.Uint(), maxHour))
	for i := range int64(hours) {
		l.counts[(l.hour+1+i)%hours] = counts{r.Uint(), r.Uint(), r.Uint(), r.Uint()}
	}
	back := func() int64 { return l.hour - int64(min(r.Uint(), uint64(l.hour))) }
	for range min(r.Uint(), maxKnown) {
		if id := r.Fixed(8); id != nil {
			l.known[binary.BigEndian.Uint64(id)] = back()
		}
	}
	for range min(r.Uint(), maxNetworks) {
		if id := r.Fixed(8); id != nil {
			l.networks[binary.BigEndian.Uint64(id)] = network{back(), back()}
		}
	}
	return l, fault.As(fault.Corrupt, "sending.decode", r.Err())
}
