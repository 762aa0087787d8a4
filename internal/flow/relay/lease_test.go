package relay

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// severed is a node's way to the store, which can be cut.
type severed struct {
	kv.DB
	mu  sync.Mutex
	off bool
}

func (s *severed) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off = true
}

func (s *severed) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.off {
		return fault.New(fault.Unavailable, "severed", "cut off")
	}
	return nil
}

func (s *severed) View(ctx context.Context, sh kv.Shard, fn func(kv.Reader) error) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.DB.View(ctx, sh, fn)
}

func (s *severed) Update(ctx context.Context, sh []kv.Shard, fn func(kv.Tx) error) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.DB.Update(ctx, sh, fn)
}

const nodeLapse = 30 * time.Second

// member is a node of a cluster: a relay with leases, and hosts of its own to
// send to.
type member struct {
	*bed
	way  *severed
	host *host
	stop func()
}

func joins(t *testing.T, db kv.DB, name string) *member {
	m := &member{way: &severed{DB: db}, host: &host{}}
	m.bed = newBedOver(t, m.way, newNetwork())
	m.net.add("192.0.2.1:25", m.host)
	m.o.Leases = queue.NewLeases(queue.LeaseOptions{DB: m.way, Node: name, Lapse: nodeLapse})
	ctx, cancel := context.WithCancel(context.Background())
	var keeper sync.WaitGroup
	keeper.Go(func() { _ = m.o.Leases.Run(ctx, func(error) {}) })
	relayed := m.run()
	m.stop = func() { relayed(); cancel(); keeper.Wait() }
	return m
}

// took counts how often the hosts of all nodes have taken each subject.
func took(nodes ...*member) map[string]int {
	count := map[string]int{}
	for _, n := range nodes {
		n.host.set(func(h *host) {
			for _, r := range h.received {
				_, subject, _ := strings.Cut(r, ": ")
				count[subject]++
			}
		})
	}
	return count
}

// TestTwoNodes has nodes work one queue, while they come and go: whoever takes a
// message in, somebody sends it, once.
func TestTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memkv.New(memkv.Options{Rerun: true})
		defer db.Close()
		a := joins(t, db, "a")
		a.must(a.dir.AddDomain(t.Context(), "home.test"))
		nodes := []*member{a}
		const n = 600
		for i := range n {
			switch i {
			case 100:
				nodes = append(nodes, joins(t, db, "b"))
			case 300:
				nodes = append(nodes, joins(t, db, "c"))
			case 450:
				nodes[0].stop()
			}
			live := nodes
			if i >= 450 {
				live = nodes[1:]
			}
			for _, m := range nodes {
				m.host.set(func(h *host) { h.pause = time.Duration(i%7) * time.Second })
			}
			live[i%len(live)].send(i, fmt.Sprint(i), "alice@home.test", "b@y.test")
			time.Sleep(200 * time.Millisecond)
		}
		time.Sleep(10 * time.Minute)
		count := took(nodes...)
		for i := range n {
			if count[fmt.Sprint(i)] != 1 {
				t.Errorf("message %d was taken %d times", i, count[fmt.Sprint(i)])
			}
		}
		for _, m := range nodes {
			if len(took(m)) < n/10 {
				t.Errorf("a node has sent %d of %d messages", len(took(m)), n)
			}
		}
		a = nodes[2]
		a.want("queue", a.waiting(), "")
		for _, m := range nodes[1:] {
			m.stop()
		}
	})
}

// TestCutOff has a node lose the store in the middle of sending: its leases lapse,
// another sends what it had, and when its hosts answer at last it sends nothing any
// more.
func TestCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memkv.New(memkv.Options{Rerun: true})
		defer db.Close()
		a, b := joins(t, db, "a"), joins(t, db, "b")
		a.must(a.dir.AddDomain(t.Context(), "home.test"))
		time.Sleep(2 * nodeLapse)
		a.host.set(func(h *host) { h.hang = 4 * nodeLapse })
		for i := range 64 { // one a partition
			a.send(i, fmt.Sprint(i), "alice@home.test", "b@y.test")
		}
		time.Sleep(time.Second)
		first := len(took(b))
		if first == 0 || first == 64 {
			t.Fatalf("the other node has sent %d at once", first)
		}
		sent := took(a) // over connections that did not hang
		a.way.cut()
		time.Sleep(10 * nodeLapse)
		count := took(a, b)
		for i := range 64 {
			if s := fmt.Sprint(i); count[s] != 1 {
				t.Errorf("message %s was taken %d times", s, count[s])
			}
		}
		if now := took(a); len(now) != len(sent) {
			t.Errorf("cut off, the node has sent %d messages", len(now)-len(sent))
		}
		// The host did answer, and heard no final dot for it.
		a.host.set(func(h *host) {
			if !slices.ContainsFunc(h.command, func(c string) bool { return strings.HasPrefix(c, "EHLO") }) {
				t.Error("the host that hung never answered")
			}
		})
		b.want("queue", b.waiting(), "")
		b.stop()
		a.stop()
	})
}
