package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	proxyproto "github.com/pires/go-proxyproto"
)

const v4 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\x04\xd2\x00\x19"

func TestRead(t *testing.T) {
	ap := netip.MustParseAddrPort
	for _, c := range []struct {
		in   string
		want Header
		err  error
	}{
		{"PROXY TCP4 192.0.2.1 198.51.100.2 1234 25\r\n", Header{ap("192.0.2.1:1234"), ap("198.51.100.2:25")}, nil},
		{"PROXY TCP6 2001:db8::1 2001:db8::2 65535 0\r\n", Header{ap("[2001:db8::1]:65535"), ap("[2001:db8::2]:0")}, nil},
		{"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n", Header{ap("192.0.2.1:1"), ap("192.0.2.2:2")}, nil},
		{"PROXY UNKNOWN\r\n", Header{}, nil},
		{"PROXY UNKNOWN ffff:f...f ffff:f...f 65535 65535\r\n", Header{}, nil},
		{"PROXY UNKNOWNS\r\n", Header{}, ErrMalformed},
		{"PROXY TCP4 192.0.2.1 198.51.100.2 1234 25 \r\n", Header{}, ErrMalformed},
		{"PROXY TCP4  192.0.2.1 198.51.100.2 1234 25\r\n", Header{}, ErrMalformed},
		{"PROXY TCP4 192.0.2.1 198.51.100.2 01234 25\r\n", Header{}, ErrMalformed},
		{"PROXY TCP4 192.0.2.1 198.51.100.2 +1 25\r\n", Header{}, ErrMalformed},
		{"PROXY TCP4 192.0.2.1 198.51.100.2 65536 25\r\n", Header{}, ErrMalformed},
		{"PROXY TCP4 192.0.2.01 198.51.100.2 1 25\r\n", Header{}, ErrMalformed},
		{"PROXY TCP4 2001:db8::1 2001:db8::2 1 25\r\n", Header{}, ErrMalformed},
		{"PROXY TCP6 192.0.2.1 198.51.100.2 1 25\r\n", Header{}, ErrMalformed},
		{"PROXY TCP6 fe80::1%eth0 fe80::2 1 25\r\n", Header{}, ErrMalformed},
		{"PROXY UDP4 192.0.2.1 198.51.100.2 1 25\r\n", Header{}, ErrMalformed},
		{"PROXY TCP4 192.0.2.1 198.51.100.2 1234 25\n" + strings.Repeat("x", 200), Header{}, ErrMalformed},
		{"PROXY " + strings.Repeat("x", 200) + "\r\n", Header{}, ErrMalformed},
		{"PROXY TCP4 192.0.2.1", Header{}, io.ErrUnexpectedEOF},
		{"EHLO x\r\n", Header{}, ErrNone},
		{"proxy TCP4 192.0.2.1 198.51.100.2 1234 25\r\n", Header{}, ErrNone},
		{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Header{}, ErrNone},
		{"", Header{}, io.EOF},
		{v4, Header{ap("192.0.2.1:1234"), ap("198.51.100.2:25")}, nil},
		{"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", Header{}, nil},
		{"\r\n\r\n\x00\r\nQUIT\n\x20\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\x04\xd2\x00\x19", Header{}, nil},
		{"\r\n\r\n\x00\r\nQUIT\n\x21\x00\x00\x03abc", Header{}, nil},
		{"\r\n\r\n\x00\r\nQUIT\n\x21\x12\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\x04\xd2\x00\x19", Header{}, ErrMalformed},
		{"\r\n\r\n\x00\r\nQUIT\n\x22\x00\x00\x00", Header{}, ErrMalformed},
		{"\r\n\r\n\x00\r\nQUIT\n\x11\x00\x00\x00", Header{}, ErrMalformed},
		{"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0b\xc0\x00\x02\x01\xc6\x33\x64\x02\x04\xd2\x00", Header{}, ErrMalformed},
		{"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", Header{}, ErrMalformed},
		{"\r\n\r\n\x00\r\nQUIT\r\x21\x11\x00\x00", Header{}, ErrMalformed},
		{strings.Replace(v4, "\x00\x0c", "\x00\x0e", 1) + "\x04\x00", Header{}, ErrMalformed},
		{strings.Replace(v4, "\x00\x0c", "\x00\x10", 1) + "\x04\x00\x02x", Header{}, ErrMalformed},
		{strings.Replace(v4, "\x00\x0c", "\x00\x13", 1) + "\x03\x00\x04abcd", Header{}, ErrMalformed},
		{strings.Replace(v4, "\x00\x0c", "\x00\x0f", 1) + "\x04\x00\x00", Header{ap("192.0.2.1:1234"), ap("198.51.100.2:25")}, nil},
	} {
		for _, rest := range []string{"", "EHLO x\r\n"} {
			if c.err == io.EOF || c.err == io.ErrUnexpectedEOF {
				rest = ""
			}
			src := strings.NewReader(c.in + rest)
			got, err := Read(iotest.OneByteReader(src))
			if got != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("%q: %v, %v", c.in, got, err)
			}
			if left, _ := io.ReadAll(src); err == nil && string(left) != rest {
				t.Errorf("%q: left %q", c.in, left)
			}
		}
	}
}

// TestCRC: a header with a checksum, as another implementation writes it.
func TestCRC(t *testing.T) {
	h := proxyproto.HeaderProxyFromAddrs(2, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 2})
	b := []byte(strings.Replace(v4, "\x00\x0c", "\x00\x13", 1) + "\x03\x00\x04\x00\x00\x00\x00")
	copy(b[len(b)-4:], castagnoli(b))
	if _, err := Read(bytes.NewReader(b)); err != nil {
		t.Errorf("a right checksum: %v", err)
	}
	b[17] ^= 1
	if _, err := Read(bytes.NewReader(b)); err != ErrMalformed {
		t.Errorf("a wrong checksum: %v", err)
	}
	text, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Read(bytes.NewReader(text)); err != nil || got.Source != netip.MustParseAddrPort("192.0.2.1:1") {
		t.Errorf("%v, %v", got, err)
	}
}

// castagnoli is the slow way to CRC-32C.
func castagnoli(b []byte) []byte {
	crc := ^uint32(0)
	for _, c := range b {
		crc ^= uint32(c)
		for range 8 {
			crc = crc>>1 ^ 0x82f63b78&-(crc&1)
		}
	}
	crc = ^crc
	return []byte{byte(crc >> 24), byte(crc >> 16), byte(crc >> 8), byte(crc)}
}

// FuzzRead: what we take, another implementation takes too and understands
// alike; nothing is read beyond the header.
func FuzzRead(f *testing.F) {
	for _, s := range []string{v4, "PROXY TCP4 192.0.2.1 198.51.100.2 1234 25\r\nEHLO x", "PROXY UNKNOWN\r\n", "PROXY TCP6 ::1 ::2 1 2\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Read(bytes.NewReader(b))
		if err != nil || !got.Source.IsValid() {
			return
		}
		h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			t.Fatalf("%q: only we take it: %v", b, err)
		}
		src, dst, ok := h.TCPAddrs()
		if !ok || unmap(src.AddrPort()) != got.Source || unmap(dst.AddrPort()) != got.Destination {
			t.Fatalf("%q: %v, and the other says %v %v", b, got, src, dst)
		}
	})
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
