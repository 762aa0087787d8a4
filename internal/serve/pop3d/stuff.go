package pop3d

import (
	"bytes"
	"io"
)

// chunk is how much of a message is in memory at a time, in octets.
const chunk = 32 << 10

// stuffer writes a message as the body of a multi-line response (RFC 1939 §3): a
// line that begins with a full stop gets another, and a last line without its
// end gets one. It does not write the final full stop.
//
// A line is taken to begin after any LF. In what came by SMTP each has its CR;
// should an appended message hold a bare one, a client that reads by LF must
// not take ".CRLF" behind it for the end of the response.
type stuffer struct {
	w      io.Writer
	begins bool    // the next octet begins a line
	tail   [2]byte // the last octets; CR and LF at first
}

func newStuffer(w io.Writer) *stuffer {
	return &stuffer{w: w, begins: true, tail: [2]byte{'\r', '\n'}}
}

// Write takes the next part of the message.
func (s *stuffer) Write(p []byte) (int, error) {
	n := len(p)
	if n == 1 {
		s.tail = [2]byte{s.tail[1], p[0]}
	} else if n > 1 {
		s.tail = [2]byte{p[n-2], p[n-1]}
	}
	for len(p) > 0 {
		if s.begins && p[0] == '.' {
			if _, err := io.WriteString(s.w, "."); err != nil {
				return 0, err
			}
		}
		cut := bytes.Index(p, []byte("\n."))
		if cut < 0 {
			s.begins = p[len(p)-1] == '\n'
			cut = len(p)
		} else {
			s.begins = true
			cut++
		}
		if _, err := s.w.Write(p[:cut]); err != nil {
			return 0, err
		}
		p = p[cut:]
	}
	return n, nil
}

// end closes the last line.
func (s *stuffer) end() error {
	if s.tail == [2]byte{'\r', '\n'} {
		return nil
	}
	_, err := io.WriteString(s.w, "\r\n")
	return err
}

// top gives the octets of a message that are its header, the empty line and
// the first n lines of its body (RFC 1939 §7, TOP).
func top(r io.Reader, n int, buf []byte) (int64, error) {
	var done int64
	inHeader, lineLength, first := true, 0, byte(0)
	for {
		read, err := r.Read(buf)
		p := buf[:read]
		for len(p) > 0 {
			if lineLength == 0 {
				first = p[0]
			}
			i := bytes.IndexByte(p, '\n')
			if i < 0 {
				lineLength += len(p)
				done += int64(len(p))
				break
			}
			length := lineLength + i
			empty := length == 0 || length == 1 && first == '\r'
			p, lineLength, done = p[i+1:], 0, done+int64(i)+1
			switch {
			case inHeader && empty:
				inHeader = false
			case !inHeader:
				n--
			}
			if !inHeader && n == 0 {
				return done, nil
			}
		}
		if err == io.EOF {
			return done, nil
		}
		if err != nil {
			return 0, err
		}
	}
}
