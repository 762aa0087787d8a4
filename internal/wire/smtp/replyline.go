package smtp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/line"
)

// Limits of a reply. RFC 5321 §4.5.3.1.5 promises 512 octets a line; more is
// read, but not without end.
const (
	maxReplyLine  = 512
	MaxReplyInput = 2048 // octets of a line that is read
	MaxReplyLines = 100
)

// ErrReply means that the server does not speak SMTP.
var ErrReply = errors.New("not a reply of SMTP")

// AppendTo writes r as it goes over the wire (RFC 5321 §4.2.1), the enhanced
// code on every line (RFC 2034). Lines that are too long are broken, and
// octets that may not stand in a reply become "?", so that no text from
// elsewhere can pass for a reply of its own.
func (r Reply) AppendTo(dst []byte) []byte {
	prefix := ""
	if r.Enhanced != (Enhanced{}) {
		prefix = r.Enhanced.String() + " "
	}
	room := maxReplyLine - len("250-\r\n") - len(prefix)
	if r.Code == 334 { // base64, whole on one line (RFC 4954 §4)
		room = MaxAuthLine
	}
	text := r.Text
	if len(text) == 0 {
		text = []string{""}
	}
	for i, s := range text {
		for {
			part := s[:min(room, len(s))]
			s = s[len(part):]
			sep := byte('-')
			if s == "" && i == len(text)-1 {
				sep = ' '
			}
			dst = strconv.AppendInt(dst, int64(r.Code), 10)
			dst = append(dst, sep)
			dst = append(dst, prefix...)
			for j := 0; j < len(part); j++ {
				c := part[j]
				if c < ' ' && c != '\t' || c > '~' {
					c = '?'
				}
				dst = append(dst, c)
			}
			dst = append(dst, '\r', '\n')
			if s == "" {
				break
			}
		}
	}
	return dst
}

// ReadReply reads one reply, of at most MaxReplyLines lines. ErrReply means that
// what came is none; then the conversation cannot go on.
func ReadReply(r *line.Reader) (Reply, error) {
	var reply Reply
	for range MaxReplyLines {
		b, err := r.ReadLine(MaxReplyInput)
		switch {
		case errors.Is(err, line.ErrBare), errors.Is(err, line.ErrTooLong):
			return Reply{}, fmt.Errorf("%w: %v", ErrReply, err)
		case err != nil:
			return Reply{}, err
		}
		code, more, text, ok := parseReplyLine(string(b))
		if !ok || reply.Code != 0 && reply.Code != code {
			return Reply{}, fmt.Errorf("%w: %.80q", ErrReply, b)
		}
		reply.Code = code
		reply.Text = append(reply.Text, text)
		if !more {
			reply.cutEnhanced()
			return reply, nil
		}
	}
	return Reply{}, fmt.Errorf("%w: more than %d lines", ErrReply, MaxReplyLines)
}

// parseReplyLine takes a line apart. A code alone is a reply too (RFC 5321 §4.2).
func parseReplyLine(s string) (code int, more bool, text string, ok bool) {
	if len(s) < 3 || s[0] < '2' || s[0] > '5' || !isDigit(s[1]) || !isDigit(s[2]) {
		return 0, false, "", false
	}
	code = int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
	if len(s) == 3 {
		return code, false, "", true
	}
	return code, s[3] == '-', s[4:], s[3] == '-' || s[3] == ' '
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// cutEnhanced takes the enhanced code off the text where every line has the
// same, and it is of the reply's class (RFC 2034).
func (r *Reply) cutEnhanced() {
	e, rest, ok := ParseEnhanced(r.Text[0])
	if !ok || int(e[0]) != r.Code/100 {
		return
	}
	text := []string{rest}
	for _, s := range r.Text[1:] {
		e2, rest, ok := ParseEnhanced(s)
		if !ok || e2 != e {
			return
		}
		text = append(text, rest)
	}
	r.Enhanced, r.Text = e, text
}

// ParseEnhanced takes an enhanced status code (RFC 3463 §2) off the front of s.
func ParseEnhanced(s string) (e Enhanced, rest string, ok bool) {
	word, rest, _ := strings.Cut(s, " ")
	parts := strings.SplitN(word, ".", 4)
	if len(parts) != 3 {
		return Enhanced{}, s, false
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n > 999 || len(p) > 3 {
			return Enhanced{}, s, false
		}
		e[i] = uint16(n)
	}
	if e[0] != 2 && e[0] != 4 && e[0] != 5 {
		return Enhanced{}, s, false
	}
	return e, rest, true
}
