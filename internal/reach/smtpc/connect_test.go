package smtpc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// greeter listens at an address and speaks as a server does.
func greeter(t *testing.T, addr string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go speak(c)
		}
	}()
	return ln
}

func speak(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 1000)
	_, err := c.Write([]byte("220 ready\r\n"))
	for err == nil {
		if _, err = c.Read(buf); err == nil {
			_, err = c.Write([]byte("250 ok\r\n"))
		}
	}
}

// shut is an address that refuses connections.
func shut(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// silent is an address at which nobody answers: the queue of connections that
// nobody accepts is full.
func silent(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", at.(*syscall.SockaddrInet4).Port)
	for range 10 {
		c, err := net.DialTimeout("tcp", addr, 50*time.Millisecond)
		if err != nil {
			break
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	return addr
}

// TestRace: a host's other address is used where the first is silent (RFC 8305 §5).
func TestRace(t *testing.T) {
	ln := greeter(t, "127.0.0.1:0")
	o := Options{Hostname: "me.test", TLS: None, Also: []string{ln.Addr().String()}, Timeouts: Timeouts{Connect: 5 * time.Second}}
	mute := silent(t)
	began := time.Now()
	conn, err := Dial(t.Context(), mute, o)
	if err != nil {
		t.Fatal(err)
	}
	if time.Since(began) < headStart {
		t.Error("the first was not waited for")
	}
	if at, ok := conn.Remote(); !ok || at.String() != ln.Addr().String() || time.Since(began) > 3*time.Second {
		t.Errorf("%v after %v", at, time.Since(began))
	}
	_ = conn.Quit()

	// One that refuses is told at once: the caller goes on to the next.
	var un *UnreachedError
	began = time.Now()
	bad := shut(t)
	if _, err = Dial(t.Context(), bad, o); !errors.As(err, &un) || len(un.Addrs) != 1 || un.Addrs[0] != bad || time.Since(began) >= headStart {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// TestLocalOfFamily: each family leaves from its own address.
func TestLocalOfFamily(t *testing.T) {
	four, six := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("::1")
	for _, c := range []struct {
		first, second netip.Addr
		to            string
		want          netip.Addr
	}{
		{four, six, "192.0.2.1:25", four}, {four, six, "[2001:db8::1]:25", six}, {six, four, "192.0.2.1:25", four}, {four, netip.Addr{}, "192.0.2.1:25", four},
	} {
		o := Options{Local: c.first, Local2: c.second}
		if got := o.localFor(c.to); got != c.want {
			t.Errorf("%v, %v to %s: %v", c.first, c.second, c.to, got)
		}
	}
	ln := greeter(t, "127.0.0.1:0")
	conn, err := Dial(t.Context(), ln.Addr().String(), Options{Hostname: "me.test", TLS: None, Local: six, Local2: four})
	if err != nil {
		t.Fatal(err)
	}
	if got := conn.raw.LocalAddr().(*net.TCPAddr).IP.String(); got != "127.0.0.2" {
		t.Errorf("it left from %s", got)
	}
	_ = conn.Quit()
}

// TestSOCKS5: all goes through the proxy (RFC 1928), which makes no password safe.
func TestSOCKS5(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	asked := make(chan string, 2)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				hello, request := make([]byte, 3), make([]byte, 10)
				_, _ = io.ReadFull(c, hello)
				_, _ = c.Write([]byte{5, 0})
				_, _ = io.ReadFull(c, request)
				asked <- netip.AddrPortFrom(netip.AddrFrom4([4]byte(request[4:8])), uint16(request[8])<<8|uint16(request[9])).String()
				_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
				speak(c)
			}()
		}
	}()
	o := Options{Hostname: "me.test", TLS: None, SOCKS5: ln.Addr().String(), Also: []string{"192.0.2.8:25"}}
	conn, err := Dial(t.Context(), "192.0.2.9:25", o)
	if err != nil {
		t.Fatal(err)
	}
	if at, ok := conn.Remote(); ok || <-asked != "192.0.2.9:25" || conn.mayTell() {
		t.Errorf("%v; a password may be told: %v", at, conn.mayTell())
	}
	_ = conn.Quit()
	o.SOCKS5 = shut(t)
	if _, err := Dial(t.Context(), "192.0.2.9:25", o); err == nil {
		t.Error("without a proxy it went all the same")
	}
}
