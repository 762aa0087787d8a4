// Package proxy reads the header of the PROXY protocol, versions 1 and 2, by
// which a proxy in front says who connected to it.
//
// It is our own because the header must be read octet for octet as long as it
// is and no further: what follows is left in the socket, so that a connection
// needs no buffer of its own and stays what it was, with TLS or without.
package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// Errors of Read, beside those of the stream.
var (
	ErrNone      = errors.New("no PROXY header")
	ErrMalformed = errors.New("malformed PROXY header")
)

// Longest headers that are read, in octets. The first is the specification's;
// of the second version's 64 KiB nothing that is in use needs more than this.
const (
	maxV1 = 107
	maxV2 = 4096
)

const (
	prefix1    = "PROXY "
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
)

// Header is what the proxy says. Both addresses are zero where it speaks for
// itself (LOCAL, UNKNOWN, a unix socket): then the connection's own count.
type Header struct{ Source, Destination netip.AddrPort }

// Read reads one header and not an octet more. ErrNone if the stream begins
// with something else, ErrMalformed for a header that means nothing.
func Read(r io.Reader) (Header, error) {
	b := make([]byte, len(prefix1), 128)
	if _, err := io.ReadFull(r, b); err != nil {
		return Header{}, err
	}
	switch string(b) {
	case prefix1:
		return readV1(r, b)
	case signature2[:len(prefix1)]:
		return readV2(r, b)
	}
	return Header{}, ErrNone
}

// more fills b from within a header.
func more(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if err == io.EOF && len(b) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// readV1 reads "PROXY TCP4 source destination port port", CRLF.
func readV1(r io.Reader, b []byte) (Header, error) {
	for !bytes.HasSuffix(b, []byte("\r\n")) {
		if len(b) == maxV1 {
			return Header{}, ErrMalformed
		}
		b = b[:len(b)+1]
		if err := more(r, b[len(b)-1:]); err != nil {
			return Header{}, err
		}
	}
	line := string(b[len(prefix1) : len(b)-2])
	if line == "UNKNOWN" || strings.HasPrefix(line, "UNKNOWN ") {
		return Header{}, nil
	}
	f := strings.Split(line, " ")
	if len(f) != 5 || f[0] != "TCP4" && f[0] != "TCP6" {
		return Header{}, ErrMalformed
	}
	source, err1 := addrPort(f[1], f[3], f[0] == "TCP4")
	destination, err2 := addrPort(f[2], f[4], f[0] == "TCP4")
	if err1 != nil || err2 != nil {
		return Header{}, ErrMalformed
	}
	return Header{source, destination}, nil
}

func addrPort(addr, port string, four bool) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(addr)
	if err != nil || a.Is4() != four || a.Zone() != "" {
		return netip.AddrPort{}, ErrMalformed
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || len(port) > 1 && port[0] == '0' {
		return netip.AddrPort{}, ErrMalformed
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), nil
}

// The second byte of version 2 says command, the third family and transport.
const (
	local2, proxy2 = 0x20, 0x21

	unspec, tcp4, tcp6, unixStream = 0x00, 0x11, 0x21, 0x31
)

func readV2(r io.Reader, b []byte) (Header, error) {
	const fixed = len(signature2) + 4
	if err := more(r, b[len(b):fixed]); err != nil {
		return Header{}, err
	}
	b = b[:fixed]
	n := int(binary.BigEndian.Uint16(b[fixed-2:]))
	if string(b[:len(signature2)]) != signature2 || n > maxV2-fixed {
		return Header{}, ErrMalformed
	}
	b = append(b, make([]byte, n)...)
	if err := more(r, b[fixed:]); err != nil {
		return Header{}, err
	}
	command, family := b[fixed-4], b[fixed-3]
	if command == local2 {
		return Header{}, nil
	}
	size, known := map[byte]int{unspec: 0, tcp4: 12, tcp6: 36, unixStream: 216}[family]
	body := b[fixed:]
	if command != proxy2 || !known || len(body) < size {
		return Header{}, ErrMalformed
	}
	if family == unspec { // what follows is to be ignored
		return Header{}, nil
	}
	if !soundExtras(b, fixed+size) {
		return Header{}, ErrMalformed
	}
	if family == unixStream {
		return Header{}, nil
	}
	half := (size - 4) / 2
	source, _ := netip.AddrFromSlice(body[:half])
	destination, _ := netip.AddrFromSlice(body[half : 2*half])
	return Header{
		netip.AddrPortFrom(source.Unmap(), binary.BigEndian.Uint16(body[2*half:])),
		netip.AddrPortFrom(destination.Unmap(), binary.BigEndian.Uint16(body[2*half+2:])),
	}, nil
}

// crcType is the extra that holds a checksum of the whole header, made with
// zeros in its own place.
const crcType = 0x03

// soundExtras looks at the extras (TLVs) of b, which begin at from: that they
// fill it, and that the checksum is right if there is one.
func soundExtras(b []byte, from int) bool {
	for at := from; at < len(b); {
		if at+3 > len(b) {
			return false
		}
		kind, n := b[at], int(binary.BigEndian.Uint16(b[at+1:]))
		if at += 3; at+n > len(b) {
			return false
		}
		if kind == crcType {
			if n != 4 {
				return false
			}
			want := binary.BigEndian.Uint32(b[at:])
			clear(b[at : at+4])
			if crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) != want {
				return false
			}
		}
		at += n
	}
	return true
}
