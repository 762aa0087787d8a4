package smtpc

import (
	"net"
	"testing"
	"time"
)

// TestAlive sees what can be seen of a connection that nobody used for a while.
func TestAlive(t *testing.T) {
	for _, c := range []struct {
		name  string
		does  func(net.Conn)
		alive bool
	}{
		{"nothing", func(net.Conn) {}, true},
		{"closes", func(c net.Conn) { _ = c.Close() }, false},
		{"takes leave", func(c net.Conn) { _, _ = c.Write([]byte("421 4.3.2 bye\r\n")) }, false},
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			s, err := ln.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 1000)
			_, _ = s.Write([]byte("220 ready\r\n"))
			_, _ = s.Read(buf)
			_, _ = s.Write([]byte("250 ok\r\n"))
			c.does(s)
			for {
				if n, err := s.Read(buf); err != nil || string(buf[:n]) == "QUIT\r\n" {
					_ = s.Close()
					return
				} else if string(buf[:n]) == "NOOP\r\n" {
					_, _ = s.Write([]byte("250 ok\r\n"))
				}
			}
		}()
		conn, err := Dial(t.Context(), ln.Addr().String(), Options{Hostname: "me.test", TLS: None})
		if err != nil {
			t.Fatal(err)
		}
		alive := conn.Alive()
		for end := time.Now().Add(5 * time.Second); alive != c.alive && time.Now().Before(end); alive = conn.Alive() {
			time.Sleep(time.Millisecond)
		}
		if alive != c.alive {
			t.Errorf("%s: alive %v", c.name, alive)
		}
		if err := conn.Noop(t.Context(), time.Second); (err == nil) != c.alive {
			t.Errorf("%s: NOOP: %v", c.name, err)
		}
		_ = conn.Close()
		_ = ln.Close()
	}
}
