package filter

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// HookOptions say where a hook is.
type HookOptions struct {
	HTTPOptions
	Secret string // signs each request; "" leaves the signature out
}

// Hook asks a program of the operator's by HTTP: it is sent a HookRequest as
// JSON and answers with a HookResponse.
type Hook struct {
	o   HookOptions
	web *web
}

// NewHook makes a Hook.
func NewHook(o HookOptions) *Hook { return &Hook{o, newWeb(o.HTTPOptions)} }

// HookVersion is the version of what a hook is sent; it grows when something is
// taken away or changes its meaning.
const HookVersion = 1

// HookRequest is what a hook is sent. Message, the last, is the whole message in
// base64, and is written apart since it is not held in memory.
type HookRequest struct {
	Version   int          `json:"version"`
	ID        string       `json:"id"`
	At        time.Time    `json:"at"`
	Direction string       `json:"direction"` // "inbound" or "submission"
	Server    string       `json:"server"`
	Peer      HookPeer     `json:"peer"`
	User      string       `json:"user,omitempty"` // who logged in
	Envelope  HookEnvelope `json:"envelope"`
	Size      int64        `json:"size"` // of the message, in octets
}

// HookPeer is who is at the other end.
type HookPeer struct {
	Address string `json:"address"`
	Port    int    `json:"port"`
	Helo    string `json:"helo"`
	TLS     string `json:"tls,omitempty"` // version and cipher suite
}

// HookEnvelope is the envelope; the null reverse-path is "".
type HookEnvelope struct {
	From string   `json:"from"`
	To   []string `json:"to"`
	UTF8 bool     `json:"utf8,omitempty"` // SMTPUTF8 (RFC 6531)
}

// HookResponse is what a hook answers.
type HookResponse struct {
	Action  string       `json:"action"`            // accept, junk, quarantine, defer, discard or reject
	Reason  string       `json:"reason,omitempty"`  // for the message's trace
	Reply   *HookReply   `json:"reply,omitempty"`   // of defer and reject: what the peer is told
	Headers []HookHeader `json:"headers,omitempty"` // in the order in which they are to be made
}

// HookReply is a reply of SMTP (RFC 5321 §4.2).
type HookReply struct {
	Code     int    `json:"code"`     // 4xx or 5xx, as the action is
	Enhanced string `json:"enhanced"` // such as 5.7.1; may be missing
	Text     string `json:"text"`
}

// HookHeader is a change of the header.
type HookHeader struct {
	Op    string `json:"op"` // add, or remove (all of the name), or replace (the first of the name)
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

// SignatureHeader is the field that holds the time of a request in seconds since
// 1970 and the HMAC-SHA-256, under the shared secret, of that time, a dot and
// the body: "t=1700000000,v1=HEX".
const SignatureHeader = "Ekiden-Signature"

// Ask sends the hook the message.
func (h *Hook) Ask(ctx context.Context, m *Message) Opinion {
	front, err := hookFront(m)
	if err != nil {
		return failed(err)
	}
	header := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"Ekiden"}}
	if h.o.Secret != "" {
		if err := h.sign(header, m, front); err != nil {
			return failed(err)
		}
	}
	body, closer, err := hookBody(m, front)
	if err != nil {
		return failed(err)
	}
	defer func() { _ = closer.Close() }()
	size := int64(len(front)) + int64(base64.StdEncoding.EncodedLen(int(m.Size))) + int64(len(hookBack))
	answer, err := h.web.post(ctx, "", header, body, size)
	if err != nil {
		return failed(err)
	}
	return parseHook(answer)
}

// hookBack ends a request.
const hookBack = `"}`

// hookFront is a request up to its message.
func hookFront(m *Message) ([]byte, error) {
	r := HookRequest{
		Version: HookVersion, ID: m.ID.String(), At: m.At.UTC(), Direction: "inbound", Server: m.Hostname, Size: m.Size,
		Peer: HookPeer{Address: address(m.Peer.Addr), Port: int(m.Peer.Addr.Port()), Helo: m.Peer.Helo, TLS: m.Peer.TLSInfo},
		User: m.Peer.User.String(), Envelope: HookEnvelope{From: m.Envelope.From.String(), UTF8: m.Envelope.UTF8, To: []string{}},
	}
	if m.Submitted {
		r.Direction = "submission"
	}
	for _, to := range m.Envelope.To {
		r.Envelope.To = append(r.Envelope.To, to.Address.String())
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return append(b[:len(b)-1], `,"message":"`...), nil
}

// hookBody reads a request; it is made while it is read.
func hookBody(m *Message, front []byte) (io.Reader, io.Closer, error) {
	content, err := m.Open()
	if err != nil {
		return nil, nil, err
	}
	e := &encodingReader{r: content, in: make([]byte, 48<<10)}
	return io.MultiReader(bytes.NewReader(front), e, bytes.NewReader([]byte(hookBack))), content, nil
}

// encodingReader gives what it reads in base64. Its chunks are of a length that
// three divides, but for the last.
type encodingReader struct {
	r   io.Reader
	in  []byte
	all []byte // the chunk in base64
	out []byte // what of it was not read yet
	err error
}

// Read reads on.
func (e *encodingReader) Read(p []byte) (int, error) {
	if len(e.out) == 0 && e.err == nil {
		var n int
		n, e.err = io.ReadFull(e.r, e.in)
		if e.err == io.ErrUnexpectedEOF {
			e.err = io.EOF
		}
		e.all = base64.StdEncoding.AppendEncode(e.all[:0], e.in[:n])
		e.out = e.all
	}
	n := copy(p, e.out)
	e.out = e.out[n:]
	if n == 0 {
		return 0, e.err
	}
	return n, nil
}

// sign reads the request once for its signature.
func (h *Hook) sign(header http.Header, m *Message, front []byte) error {
	body, closer, err := hookBody(m, front)
	if err != nil {
		return err
	}
	defer func() { _ = closer.Close() }()
	now := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(h.o.Secret))
	_, _ = io.WriteString(mac, now+".")
	if _, err := io.Copy(mac, body); err != nil {
		return err
	}
	header.Set(SignatureHeader, "t="+now+",v1="+hex.EncodeToString(mac.Sum(nil)))
	return nil
}

// parseHook makes an opinion of a hook's answer; an empty one is no objection.
func parseHook(b []byte) Opinion {
	if len(b) == 0 {
		return Opinion{}
	}
	var r HookResponse
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return failed(err)
	}
	o := Opinion{Reason: r.Reason}
	switch r.Action {
	case "accept":
	case "junk":
		o.Says = Junk
	case "quarantine":
		o.Says = Hold
	case "defer":
		o.Says = Defer
	case "discard":
		o.Says = Discard
	case "reject":
		o.Says = Reject
	default:
		return failed(fmt.Errorf("the action %.40q is not known", r.Action))
	}
	if err := r.reply(&o); err != nil {
		return failed(err)
	}
	for _, c := range r.Headers {
		e := Edit{Name: c.Name, Value: " " + Fold(c.Value), Index: 1}
		switch c.Op {
		case "add":
			e.Change = AddField
		case "replace":
			e.Change = ChangeField
		case "remove":
			e.Change, e.Value = RemoveFields, ""
		default:
			return failed(fmt.Errorf("the header change %.40q is not known", c.Op))
		}
		if !isFieldName(c.Name) {
			return failed(fmt.Errorf("%.60q is not a field's name", c.Name))
		}
		o.Edits = append(o.Edits, e)
	}
	return bound(o)
}

// reply reads what the peer is to be told.
func (r *HookResponse) reply(o *Opinion) error {
	if r.Reply == nil {
		return nil
	}
	class := map[Says]int{Defer: 4, Reject: 5}[o.Says]
	e, _, ok := smtp.ParseEnhanced(r.Reply.Enhanced)
	switch {
	case class == 0 || r.Reply.Code/100 != class || r.Reply.Text == "":
		return fmt.Errorf("the reply %d does not go with %q", r.Reply.Code, r.Action)
	case r.Reply.Enhanced != "" && (!ok || int(e[0]) != class):
		return fmt.Errorf("the enhanced code %.40q does not go with %d", r.Reply.Enhanced, r.Reply.Code)
	}
	o.Reply = smtp.Reply{Code: r.Reply.Code, Enhanced: e, Text: []string{short(r.Reply.Text)}}
	return nil
}
