package certs

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// Rows keeps what ACME needs as small files with paths ("a/b/c"), in the store,
// so that certificates, their keys and the accounts at authorities are in the
// data directory and its backups, and seen by all nodes of a cluster.
//
// The rows lie in kv.CertShard, behind its prefix:
//
//	f PART PART…   a file: the time of its change in nanoseconds, and the bytes
//	l NAME         a lock: who has it, and until when, in JSON
//	k              keys of session tickets (see Tickets)
type Rows struct {
	db   kv.DB
	node string

	mu   sync.Mutex
	held map[string]string // by lock: the token of this process
}

// NewRows is for the node of that name in a cluster. A lock that this node held
// before it was started anew is no lock any more.
func NewRows(db kv.DB, node string) *Rows {
	return &Rows{db: db, node: node, held: map[string]string{}}
}

// lease is how long a lock lasts if its holder does not give it back.
const lease = 10 * time.Minute

// lockPause is how long a taken lock is left alone.
const lockPause = time.Second

func fileKey(path string) kv.Key {
	k := kv.NewKey(kv.CertShard()).Uint8('f')
	if path == "" {
		return k
	}
	for part := range strings.SplitSeq(path, "/") {
		k = k.Text(part)
	}
	return k
}

// readPath takes a path out of a key.
func readPath(key []byte) (string, error) {
	r := kv.ReadKey(key, fileKey(""))
	var parts []string
	for r.Err() != nil {
		if part := r.Text(); part != "" {
			parts = append(parts, part)
			continue
		}
		return "", kv.ErrKey
	}
	return strings.Join(parts, "/"), nil
}

// Store writes a file of at most 90,000 octets.
func (r *Rows) Store(ctx context.Context, path string, b []byte) error {
	value := append(binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano())), b...)
	return fault.Wrap("certs.Store", r.update(ctx, func(tx kv.Tx) error {
		tx.Set(fileKey(path), value)
		return nil
	}))
}

// Load reads a file, and says when it was changed. fault.NotFound: it is not
// there.
func (r *Rows) Load(ctx context.Context, path string) (b []byte, changed time.Time, err error) {
	err = r.db.View(ctx, kv.CertShard(), func(rd kv.Reader) error {
		v, ok, err := rd.Get(fileKey(path))
		switch {
		case err != nil:
			return err
		case !ok:
			return fault.Newf(fault.NotFound, "", "there is no %s", path)
		case len(v) < 8:
			return fault.Newf(fault.Corrupt, "", "%s is damaged", path)
		}
		b, changed = v[8:], time.Unix(0, int64(binary.BigEndian.Uint64(v)))
		return nil
	})
	return b, changed, fault.Wrap("certs.Load", err)
}

// List gives the paths of all files below path, in order.
func (r *Rows) List(ctx context.Context, path string) (paths []string, err error) {
	err = r.db.View(ctx, kv.CertShard(), func(rd kv.Reader) error {
		paths = nil
		below := fileKey(path)
		for p, err := range rd.Scan(kv.Prefix(below)) {
			if err != nil {
				return err
			}
			if len(p.Key) == len(below) {
				continue
			}
			found, err := readPath(p.Key)
			if err != nil {
				return fault.As(fault.Corrupt, "", err)
			}
			paths = append(paths, found)
		}
		return nil
	})
	return paths, fault.Wrap("certs.List", err)
}

// Delete removes a file and all files below it.
func (r *Rows) Delete(ctx context.Context, path string) error {
	return fault.Wrap("certs.Delete", r.update(ctx, func(tx kv.Tx) error {
		tx.Clear(kv.Prefix(fileKey(path)))
		return nil
	}))
}

func (r *Rows) update(ctx context.Context, fn func(kv.Tx) error) error {
	return r.db.Update(ctx, []kv.Shard{kv.CertShard()}, fn)
}

// lock is a row.
type lock struct {
	Node  string
	Token string
	Until time.Time
}

func lockKey(name string) kv.Key { return kv.NewKey(kv.CertShard()).Uint8('l').Text(name) }

// Lock waits until it has the lock of that name, or ctx ends. Who has it for
// longer than ten minutes has it no more.
func (r *Rows) Lock(ctx context.Context, name string) error {
	for {
		got, err := r.tryLock(ctx, name, time.Now())
		if err != nil || got {
			return fault.Wrap("certs.Lock", err)
		}
		select {
		case <-ctx.Done():
			return fault.Wrap("certs.Lock", ctx.Err())
		case <-time.After(lockPause):
		}
	}
}

func (r *Rows) tryLock(ctx context.Context, name string, now time.Time) (got bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	token := rand.Text()
	err = r.update(ctx, func(tx kv.Tx) error {
		got = false
		v, ok, err := tx.Get(lockKey(name))
		if err != nil {
			return err
		}
		var l lock
		if ok && json.Unmarshal(v, &l) == nil && now.Before(l.Until) && (l.Node != r.node || l.Token == r.held[name]) {
			return nil
		}
		if v, err = json.Marshal(lock{Node: r.node, Token: token, Until: now.Add(lease)}); err != nil {
			return err
		}
		tx.Set(lockKey(name), v)
		got = true
		return nil
	})
	if err != nil || !got {
		return false, err
	}
	r.held[name] = token
	return true, nil
}

// Unlock gives a lock back. One that was lost meanwhile is left to who has it.
func (r *Rows) Unlock(ctx context.Context, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	token := r.held[name]
	delete(r.held, name)
	return fault.Wrap("certs.Unlock", r.update(ctx, func(tx kv.Tx) error {
		var l lock
		v, ok, err := tx.Get(lockKey(name))
		if err == nil && ok && json.Unmarshal(v, &l) == nil && l.Token == token {
			tx.Delete(lockKey(name))
		}
		return err
	}))
}
