package filter

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/milter"
)

// letter is what the filters of these tests are shown.
const letter = "Received: from a\r\n\tby b\r\nSubject: hello\r\n\r\nthe body\r\n"

// shown makes a message of text, from a stranger.
func shown(text string) *Message {
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	m := &Message{
		ID: mail.ArrivalID{1, 2}, At: time.Unix(1700000000, 0), Hostname: "mx.example.test", Size: int64(len(text)),
		Peer: &mail.Peer{
			Addr: netip.MustParseAddrPort("192.0.2.7:4711"), Local: netip.MustParseAddrPort("192.0.2.1:25"), Helo: "peer.test", Login: "PLAIN",
			TLS: true, TLSInfo: "TLS1.3 TLS_AES_128_GCM_SHA256", User: mail.Address{Local: "alice", Domain: "example.test"},
		},
		Envelope: &mail.Envelope{
			From: mail.Address{Local: "s", Domain: "sender.test"}, EightBit: true,
			To: []mail.Recipient{{Address: mail.Address{Local: "a", Domain: "example.test"}}, {Address: mail.Address{Local: "b", Domain: "example.test"}}},
		},
		Open:     func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
		OpenBody: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil },
	}
	for _, f := range strings.Split(strings.ReplaceAll(head, "\r\n\t", "\x00"), "\r\n") {
		name, value, _ := strings.Cut(strings.ReplaceAll(f, "\x00", "\r\n\t"), ":")
		m.Fields = append(m.Fields, Field{name, value})
	}
	return m
}

// fake is a milter that says what a test wants.
type fake struct {
	network, address string
	ln               net.Listener
	done             sync.WaitGroup

	mu    sync.Mutex
	heard []string // one line a packet
}

// answers are what a fake says to a command: packets of code and data. A command
// that is missing is answered by "c". The word "!" closes the connection,
// "?" is silence.
type answers map[byte][]string

// runFake starts a fake that agrees to o.
func runFake(t *testing.T, o milter.Options, say answers) *fake {
	t.Helper()
	f := &fake{network: "unix", address: filepath.Join(t.TempDir(), "milter")}
	var err error
	if f.ln, err = net.Listen(f.network, f.address); err != nil {
		t.Fatal(err)
	}
	f.done.Go(func() {
		for {
			c, err := f.ln.Accept()
			if err != nil {
				return
			}
			f.serve(c, o, say)
		}
	})
	t.Cleanup(func() { _ = f.ln.Close(); f.done.Wait() })
	return f
}

func (f *fake) serve(c net.Conn, o milter.Options, say answers) {
	defer func() { _ = c.Close() }()
	for {
		code, data, err := milter.ReadPacket(c, nil)
		if err != nil {
			return
		}
		f.hear(code, data)
		out, chosen := say[code]
		switch {
		case chosen:
		case code == 'O':
			out = []string{"O" + agreed(o)}
		case code == 'D' || code == 'A' || code == 'Q', o.Protocol&milter.Command(code).Unanswered() != 0:
			continue
		default:
			out = []string{"c"}
		}
		for _, s := range out {
			switch s {
			case "!":
				return
			case "?":
			default:
				if _, err := c.Write(packet(s)); err != nil {
					return
				}
			}
		}
	}
}

// packet is s with its length in front; what begins with = goes as it is.
func packet(s string) []byte {
	if raw, ok := strings.CutPrefix(s, "="); ok {
		return []byte(raw)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

// agreed are options as they go over the wire.
func agreed(o milter.Options) string {
	b := binary.BigEndian.AppendUint32(nil, o.Version)
	b = binary.BigEndian.AppendUint32(b, uint32(o.Actions))
	b = binary.BigEndian.AppendUint32(b, uint32(o.Protocol))
	for at := range milter.AtEndHeader + 1 {
		if names, ok := o.Macros[at]; ok {
			b = binary.BigEndian.AppendUint32(b, uint32(at))
			b = append(b, strings.Join(names, " ")+"\x00"...)
		}
	}
	return string(b)
}

func (f *fake) hear(code byte, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if code == 'O' {
		data = nil
	}
	if len(data) > 400 {
		data = fmt.Appendf(nil, "%d octets", len(data))
	}
	command := string(code)
	if code == 'D' && len(data) > 0 { // and what the macros are for
		command, data = command+string(data[0]), data[1:]
	}
	f.heard = append(f.heard, command+" "+string(bytes.ReplaceAll(data, []byte{0}, []byte{'|'})))
}

// all is what the fake has heard when it has heard the end.
func (f *fake) all(t *testing.T) []string {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		f.mu.Lock()
		heard := append([]string(nil), f.heard...)
		f.mu.Unlock()
		if n := len(heard); n > 0 && heard[n-1] == "Q " {
			return heard
		}
	}
	t.Fatalf("the milter did not hear the end: %q", f.heard)
	return nil
}

func (f *fake) milter(timeout time.Duration) *Milter {
	return NewMilter(MilterOptions{Network: f.network, Address: f.address, Timeout: timeout})
}

// everything is a milter that may all, and hears and answers all.
func everything() milter.Options {
	return milter.Options{Version: 6, Actions: milter.AllActions}
}
