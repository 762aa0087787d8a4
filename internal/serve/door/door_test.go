package door

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func dial(t *testing.T, ln net.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestAccept lets one in, turns the second away, and lets the third in when the
// first has gone.
func TestAccept(t *testing.T) {
	ln := listen(t)
	ctx, end := context.WithCancel(t.Context())
	gate := NewGate("test", Limits{PerAddress: 1, Total: 10}, Guards{}, nil)
	in, away := make(chan func(), 3), make(chan net.Conn, 3)
	done := make(chan error, 1)
	go func() {
		done <- Accept(ctx, ln, gate, func(nc net.Conn, _ Refusal) { _ = nc.Close(); away <- nc },
			func(nc net.Conn, peer netip.AddrPort, release func()) {
				if !peer.Addr().Is4() || peer != PeerOf(nc) {
					t.Errorf("peer %v", peer)
				}
				in <- func() { _ = nc.Close(); release() }
			})
	}()
	dial(t, ln)
	leave := <-in
	dial(t, ln)
	<-away
	leave()
	dial(t, ln)
	(<-in)()
	end()
	if err := <-done; err != nil {
		t.Errorf("at the end: %v", err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("the listener is open after the end")
	}
}

func TestAcceptListenerFails(t *testing.T) {
	ln := listen(t)
	_ = ln.Close()
	err := Accept(t.Context(), ln, NewGate("test", Limits{}, Guards{}, nil), nil, nil)
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
}

// flaky fails a few times, as when descriptors run out.
type flaky struct {
	net.Listener
	left atomic.Int32
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.left.Add(-1) >= 0 {
		return nil, errors.New("accept: too many open files")
	}
	return f.Listener.Accept()
}

func TestAcceptTriesAgain(t *testing.T) {
	ln := &flaky{Listener: listen(t)}
	ln.left.Store(3)
	ctx, end := context.WithTimeout(t.Context(), 10*time.Second)
	defer end()
	dial(t, ln)
	err := Accept(ctx, ln, NewGate("test", Limits{}, Guards{}, nil), nil, func(nc net.Conn, _ netip.AddrPort, _ func()) {
		_ = nc.Close()
		end()
	})
	if err != nil || ctx.Err() != context.Canceled {
		t.Errorf("got %v, %v", err, ctx.Err())
	}
}

func TestSet(t *testing.T) {
	var s Set[int]
	s.Add(1)
	s.Add(2)
	s.Remove(1)
	sum := 0
	s.Each(func(x int) { sum += x })
	if sum != 2 {
		t.Errorf("got %d", sum)
	}
}

func TestAddrPort(t *testing.T) {
	if got := AddrPort(&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 25}); got != netip.MustParseAddrPort("192.0.2.1:25") {
		t.Errorf("got %v", got)
	}
	if got := AddrPort(&net.UnixAddr{}); got.IsValid() {
		t.Errorf("got %v", got)
	}
}
