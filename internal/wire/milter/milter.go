// Package milter is the grammar of the milter protocol, version 6, by which a
// mail server asks programs beside it about each message. No RFC has it: it is
// what libmilter of sendmail 8.18 speaks.
package milter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Version is the protocol's. MinVersion is the oldest that is still spoken.
const (
	Version    = 6
	MinVersion = 2
)

// Bounds of a packet, in octets. A milter that says more than MaxPacket at once
// is not heard any further.
const (
	MaxChunk  = 65535   // of a body that is shown (MILTER_CHUNK_SIZE)
	MaxPacket = 1 << 20 // of what a milter says
)

// Command is what the server says.
type Command byte

// The commands.
const (
	Negotiate Command = 'O'
	Macro     Command = 'D'
	Connect   Command = 'C'
	Helo      Command = 'H'
	Mail      Command = 'M'
	Rcpt      Command = 'R'
	Data      Command = 'T'
	Header    Command = 'L'
	EndHeader Command = 'N'
	Body      Command = 'B'
	EndBody   Command = 'E'
	Abort     Command = 'A'
	Quit      Command = 'Q'
)

// Actions are the changes that a milter may ask for.
type Actions uint32

// The actions.
const (
	MayAddHeader     Actions = 1 << iota // and insert
	MayChangeBody                        // replace it
	MayAddRcpt                           // without parameters
	MayRemoveRcpt                        //
	MayChangeHeader                      // and remove
	MayQuarantine                        //
	MayChangeFrom                        //
	MayAddRcptParams                     // with parameters
	MayChooseMacros                      // say which it wants

	AllActions = MayChooseMacros<<1 - 1
)

// Protocol says which commands a milter does not want to hear, and which it does
// not answer.
type Protocol uint32

// The steps. Those that are not spoken of here are never offered.
const (
	NoConnect      Protocol = 1 << 0
	NoHelo         Protocol = 1 << 1
	NoMail         Protocol = 1 << 2
	NoRcpt         Protocol = 1 << 3
	NoBody         Protocol = 1 << 4
	NoHeader       Protocol = 1 << 5
	NoEndHeader    Protocol = 1 << 6
	HeaderNoReply  Protocol = 1 << 7
	NoUnknown      Protocol = 1 << 8
	NoData         Protocol = 1 << 9
	MaySkip        Protocol = 1 << 10 // the rest of the body
	ConnectNoReply Protocol = 1 << 12
	HeloNoReply    Protocol = 1 << 13
	MailNoReply    Protocol = 1 << 14
	RcptNoReply    Protocol = 1 << 15
	DataNoReply    Protocol = 1 << 16
	UnknownNoReply Protocol = 1 << 17
	EndHeadNoReply Protocol = 1 << 18
	BodyNoReply    Protocol = 1 << 19
	LeadingSpace   Protocol = 1 << 20 // header values come and go with the white space in front

	// Offered is all that a milter may choose.
	Offered = NoConnect | NoHelo | NoMail | NoRcpt | NoBody | NoHeader | NoEndHeader | HeaderNoReply | NoUnknown | NoData | MaySkip |
		ConnectNoReply | HeloNoReply | MailNoReply | RcptNoReply | DataNoReply | UnknownNoReply | EndHeadNoReply |
		BodyNoReply | LeadingSpace
)

// Unwanted is the step by which a milter says that it does not want to hear c.
func (c Command) Unwanted() Protocol {
	switch c {
	case Connect:
		return NoConnect
	case Helo:
		return NoHelo
	case Mail:
		return NoMail
	case Rcpt:
		return NoRcpt
	case Data:
		return NoData
	case Header:
		return NoHeader
	case EndHeader:
		return NoEndHeader
	case Body:
		return NoBody
	}
	return 0
}

// Unanswered is the step by which a milter says that it does not answer c.
func (c Command) Unanswered() Protocol {
	switch c {
	case Connect:
		return ConnectNoReply
	case Helo:
		return HeloNoReply
	case Mail:
		return MailNoReply
	case Rcpt:
		return RcptNoReply
	case Data:
		return DataNoReply
	case Header:
		return HeaderNoReply
	case EndHeader:
		return EndHeadNoReply
	case Body:
		return BodyNoReply
	}
	return 0
}

// ErrSyntax means that a milter does not speak the protocol.
var ErrSyntax = errors.New("not the milter protocol")

func syntax(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrSyntax, fmt.Sprintf(format, args...))
}

// AppendPacket writes one packet, whose data is the parts one behind another.
func AppendPacket(dst []byte, c Command, parts ...[]byte) []byte {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	dst = append(dst, byte(c))
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}

// AppendStrings writes strings, each ended by a NUL. What NULs they hold end
// them early.
func AppendStrings(dst []byte, all ...string) []byte {
	for _, s := range all {
		for i := 0; i < len(s) && s[i] != 0; i++ {
			dst = append(dst, s[i])
		}
		dst = append(dst, 0)
	}
	return dst
}

// ReadPacket reads one packet. Its data lies in buf if that is large enough, and
// holds until buf is used again.
func ReadPacket(r io.Reader, buf []byte) (code byte, data []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > MaxPacket {
		return 0, nil, syntax("a packet of %d octets", n)
	}
	if data = buf[:0]; cap(data) < int(n-1) {
		data = make([]byte, n-1)
	}
	data = data[:n-1]
	if _, err := io.ReadFull(r, data); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return head[4], data, nil
}

// cut takes a string and its NUL off the front. What has no NUL is not there.
func cut(b []byte) (s string, rest []byte, ok bool) {
	for i, c := range b {
		if c == 0 {
			return string(b[:i]), b[i+1:], true
		}
	}
	return "", b, false
}
