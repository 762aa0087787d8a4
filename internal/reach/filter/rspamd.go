package filter

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Rspamd asks a worker of rspamd over HTTP (POST /checkv2).
type Rspamd struct{ web *web }

// NewRspamd makes an Rspamd. The URL is without a path.
func NewRspamd(o HTTPOptions) *Rspamd { return &Rspamd{newWeb(o)} }

// Ask shows rspamd the message.
func (r *Rspamd) Ask(ctx context.Context, m *Message) Opinion {
	body, err := m.Open()
	if err != nil {
		return failed(err)
	}
	defer func() { _ = body.Close() }()
	answer, err := r.web.post(ctx, "/checkv2", rspamdHeader(m), body, m.Size)
	if err != nil {
		return failed(err)
	}
	return parseRspamd(answer)
}

// rspamdHeader tells rspamd of the envelope.
func rspamdHeader(m *Message) http.Header {
	h := http.Header{}
	set := func(name, value string) {
		if value = headerSafe(value); value != "" {
			h.Add(name, value)
		}
	}
	p := m.Peer
	h.Set("From", headerSafe(m.Envelope.From.String()))
	for _, to := range m.Envelope.To {
		set("Rcpt", to.Address.String())
	}
	set("Ip", address(p.Addr))
	set("Helo", p.Helo)
	set("Hostname", p.Name)
	set("User", p.User.String())
	set("Queue-Id", m.ID.String())
	set("MTA-Name", m.Hostname)
	set("MTA-Tag", "ekiden")
	set("TLS-Version", tlsMacro("tls_version", p))
	set("TLS-Cipher", tlsMacro("cipher", p))
	h.Set("Milter", "Yes") // it then says which header fields it wants changed
	return h
}

// headerSafe leaves out what may not stand in a field of HTTP.
func headerSafe(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// rspamdAnswer is what /checkv2 answers, as far as it matters here.
type rspamdAnswer struct {
	Action   string  `json:"action"`
	Score    float64 `json:"score"`
	Required float64 `json:"required_score"`
	Skipped  bool    `json:"is_skipped"`
	Error    string  `json:"error"`
	Subject  string  `json:"subject"`
	Symbols  map[string]struct {
		Score float64 `json:"score"`
	} `json:"symbols"`
	Messages map[string]json.RawMessage `json:"messages"`
	DKIM     json.RawMessage            `json:"dkim-signature"`
	Milter   struct {
		Add    map[string]json.RawMessage `json:"add_headers"`
		Remove map[string]json.RawMessage `json:"remove_headers"`
	} `json:"milter"`
}

// parseRspamd makes an opinion of an answer.
func parseRspamd(b []byte) Opinion {
	var a rspamdAnswer
	if err := json.Unmarshal(b, &a); err != nil {
		return failed(err)
	}
	o := Opinion{Reason: a.reason()}
	var text string
	_ = json.Unmarshal(a.Messages["smtp_message"], &text)
	switch a.Action {
	case "no action", "greylist": // rspamd says "soft reject" when it means to greylist
	case "add header":
		o.Says = Junk
	case "rewrite subject":
		o.Says = Junk
		if a.Subject != "" {
			o.Edits = append(o.Edits, Edit{Change: ChangeField, Index: 1, Name: "Subject", Value: " " + Fold(a.Subject)})
		}
	case "quarantine":
		o.Says = Hold
	case "soft reject":
		o.Says = Defer
		o.Reply = worded(451, smtp.Enhanced{4, 7, 1}, text)
	case "discard":
		o.Says = Discard
	case "reject":
		o.Says = Reject
		o.Reply = worded(554, smtp.Enhanced{5, 7, 1}, text)
	default:
		if !a.Skipped {
			return failed(fmt.Errorf("the action %.40q is not known (%.100s)", a.Action, a.Error))
		}
	}
	edits, err := a.edits()
	if err != nil {
		return failed(err)
	}
	o.Edits = append(o.Edits, edits...)
	return bound(o)
}

// worded is a reply with words from outside; zero if there are none.
func worded(code int, enhanced smtp.Enhanced, text string) smtp.Reply {
	if text = short(text); text == "" {
		return smtp.Reply{}
	}
	return smtp.Reply{Code: code, Enhanced: enhanced, Text: []string{text}}
}

// reason is the score and the symbols that made it, the weightiest first.
func (a *rspamdAnswer) reason() string {
	if a.Action == "" && a.Skipped {
		return "skipped"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %.2f of %.2f", a.Action, a.Score, a.Required)
	names := slices.SortedFunc(maps.Keys(a.Symbols), func(x, y string) int {
		d := math.Abs(a.Symbols[y].Score) - math.Abs(a.Symbols[x].Score)
		return cmp.Or(cmp.Compare(d, 0), strings.Compare(x, y))
	})
	for i, name := range names {
		sep := " "
		if i == 0 {
			sep = ": "
		}
		fmt.Fprintf(&b, "%s%.60s(%.2f)", sep, name, a.Symbols[name].Score)
		if b.Len() > MaxReason {
			break
		}
	}
	return b.String()
}

// edits are the header changes that rspamd asks for: first what goes, then what
// comes.
func (a *rspamdAnswer) edits() ([]Edit, error) {
	var all []Edit
	for _, name := range slices.Sorted(maps.Keys(a.Milter.Remove)) {
		at, err := numbers(a.Milter.Remove[name])
		if err != nil || !isFieldName(name) {
			return nil, fmt.Errorf("the field %.60q cannot be removed", name)
		}
		for _, i := range at {
			if i == 0 {
				all = append(all, Edit{Change: RemoveFields, Name: name})
			} else {
				all = append(all, Edit{Change: ChangeField, Index: i, Name: name})
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Milter.Add)) {
		values, err := values(a.Milter.Add[name])
		if err != nil || !isFieldName(name) {
			return nil, fmt.Errorf("the field %.60q cannot be added", name)
		}
		for _, v := range values {
			all = append(all, Edit{Change: AddField, Name: name, Value: " " + Fold(v)})
		}
	}
	if len(a.DKIM) > 0 {
		signatures, err := values(a.DKIM)
		if err != nil {
			return nil, fmt.Errorf("dkim-signature: %w", err)
		}
		for _, v := range signatures {
			all = append(all, Edit{Change: InsertField, Index: 1, Name: "DKIM-Signature", Value: " " + Fold(v)})
		}
	}
	return all, nil
}

// numbers reads a number or a list of them: which of a field's occurrences, 0
// for all; those counted from the end come as negative ones.
func numbers(b json.RawMessage) ([]int, error) {
	var one int
	if err := json.Unmarshal(b, &one); err == nil {
		return []int{one}, nil
	}
	var all []int
	err := json.Unmarshal(b, &all)
	return all, err
}

// values reads a text, an object with a value, or a list of these.
func values(b json.RawMessage) ([]string, error) {
	var text string
	if json.Unmarshal(b, &text) == nil {
		return []string{text}, nil
	}
	var object struct {
		Value string `json:"value"`
	}
	if json.Unmarshal(b, &object) == nil {
		return []string{object.Value}, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, err
	}
	var all []string
	for _, item := range list {
		if item = json.RawMessage(strings.TrimSpace(string(item))); len(item) > 0 && item[0] == '[' {
			return nil, fmt.Errorf("a list within a list")
		}
		v, err := values(item)
		if err != nil {
			return nil, err
		}
		all = append(all, v...)
	}
	return all, nil
}

// isFieldName says whether s can name a header field (RFC 5322 §2.2).
func isFieldName(s string) bool {
	return s != "" && len(s) < 200 && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) < 0
}
