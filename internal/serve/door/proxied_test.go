package door

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ekiden-mail/ekiden/internal/wire/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// front is a listener behind a proxy on loopback.
type front struct {
	net.Listener
	refused chan error
}

func behindProxy(t *testing.T, from string, wait time.Duration) front {
	t.Helper()
	f := front{nil, make(chan error, 10)}
	f.Listener = newProxied(listen(t), []netip.Prefix{netip.MustParsePrefix(from)}, wait, func(_ netip.AddrPort, err error) { f.refused <- err })
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// next is the next connection, with what it reads first.
func (f front) next(t *testing.T) (peer, local netip.AddrPort, first string) {
	t.Helper()
	nc, err := f.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	b := make([]byte, 6)
	if _, err := io.ReadFull(nc, b); err != nil {
		t.Fatal(err)
	}
	if err := nc.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Error(err)
	}
	return PeerOf(nc), AddrPort(nc.LocalAddr()), string(b)
}

// TestProxied: the header's addresses are the connection's, and nothing behind
// the header is lost, though it came in the same packet.
func TestProxied(t *testing.T) {
	f := behindProxy(t, "127.0.0.0/8", time.Minute)
	silent := dial(t, f) // keeps nobody else waiting
	for _, c := range []struct{ header, peer, local string }{
		{"PROXY TCP4 192.0.2.1 198.51.100.2 1234 25\r\n", "192.0.2.1:1234", "198.51.100.2:25"},
		{"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\x04\xd2\x00\x19", "192.0.2.1:1234", "198.51.100.2:25"},
		{"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", "[2001:db8::1]:1", "[2001:db8::2]:2"},
		{"PROXY UNKNOWN\r\n", "", ""},
	} {
		nc := dial(t, f)
		if _, err := io.WriteString(nc, c.header+"EHLO x\r\n"); err != nil {
			t.Fatal(err)
		}
		peer, local, first := f.next(t)
		if c.peer == "" {
			c.peer, c.local = nc.LocalAddr().String(), nc.RemoteAddr().String()
		}
		if peer.String() != c.peer || local.String() != c.local || first != "EHLO x" {
			t.Errorf("%q: %v %v %q", c.header, peer, local, first)
		}
	}
	_ = f.Close()
	if _, err := io.ReadAll(silent); err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Error("a connection without a header outlives the listener")
		}
	}
	if _, err := f.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// TestNoHeader: a connection of a proxy that says nothing, or something else, is
// closed and told of.
func TestNoHeader(t *testing.T) {
	f := behindProxy(t, "127.0.0.1/32", 50*time.Millisecond)
	for say, want := range map[string]error{
		"EHLO x\r\n": proxy.ErrNone, "PROXY TCP4 x\r\n": proxy.ErrMalformed, "": os.ErrDeadlineExceeded, "PROX": os.ErrDeadlineExceeded,
	} {
		nc := dial(t, f)
		if _, err := io.WriteString(nc, say); err != nil {
			t.Fatal(err)
		}
		_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
		if b, err := io.ReadAll(nc); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q: heard %q, %v", say, b, err)
		}
		if err := <-f.refused; !errors.Is(err, want) {
			t.Errorf("%q: %v", say, err)
		}
	}
}

// TestOthers: who is no proxy comes as he is, and a header of his is nothing
// but what he says.
func TestOthers(t *testing.T) {
	f := behindProxy(t, "192.0.2.0/24", time.Minute)
	nc := dial(t, f)
	if _, err := io.WriteString(nc, "PROXY TCP4 192.0.2.1 198.51.100.2 1234 25\r\n"); err != nil {
		t.Fatal(err)
	}
	if peer, _, first := f.next(t); peer.String() != nc.LocalAddr().String() || first != "PROXY " {
		t.Errorf("%v %q", peer, first)
	}
}

// TestManyPending: those whose header is not there yet are bounded.
func TestManyPending(t *testing.T) {
	f := behindProxy(t, "127.0.0.0/8", time.Minute)
	p := f.Listener.(*proxied)
	for range maxPending {
		p.places <- struct{}{}
	}
	nc := dial(t, f)
	if err := <-f.refused; !errors.Is(err, errManyPending) {
		t.Error(err)
	}
	if _, err := io.ReadAll(nc); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	for range maxPending {
		<-p.places
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { _, _ = io.WriteString(dial(t, f), "PROXY TCP4 192.0.2.1 198.51.100.2 1234 25\r\nEHLO x\r\n") })
	}
	for range 50 {
		f.next(t)
	}
	wg.Wait()
}
