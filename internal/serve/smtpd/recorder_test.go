package smtpd

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// recorder is a handler that writes down what it is asked, and does what the
// local parts of addresses bid it do.
type recorder struct {
	mu     sync.Mutex
	lines  []string
	open   int                       // transactions that have not ended
	within func(ctx context.Context) // called in Data, if set
}

func (h *recorder) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, fmt.Sprintf(format, args...))
}

// take gives what was written down since the last time.
func (h *recorder) take() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := strings.Join(h.lines, "\n")
	h.lines = nil
	return s
}

func (h *recorder) Begin(_ context.Context, p *mail.Peer, from mail.Address, o smtp.MailOptions) (Transaction, smtp.Reply) {
	switch from.Local {
	case "refused":
		return nil, smtp.Answer(550, smtp.Enhanced{5, 7, 1}, "Not from you")
	case "goaway":
		return nil, smtp.Answer(421, smtp.Enhanced{4, 7, 0}, "Go away")
	case "nothing":
		return nil, smtp.Reply{}
	}
	h.mu.Lock()
	h.open++
	h.mu.Unlock()
	h.note("begin <%s>%s helo=%s esmtp=%t lmtp=%t tls=%t user=%s", from, o, p.Helo, p.ESMTP, p.LMTP, p.TLS, p.User)
	return &recording{h: h, from: from}, smtp.Answer(250, smtp.Enhanced{2, 1, 0}, "Ok")
}

type recording struct {
	h    *recorder
	from mail.Address
	to   []string
}

func (t *recording) Rcpt(_ context.Context, to mail.Address, o smtp.RcptOptions) smtp.Reply {
	switch to.Local {
	case "unknown":
		return smtp.Answer(550, smtp.Enhanced{5, 1, 1}, "No such recipient here")
	case "full":
		return smtp.Answer(452, smtp.Enhanced{4, 2, 2}, "The mailbox is full")
	}
	t.to = append(t.to, to.Local)
	t.h.note("rcpt <%s>", to)
	return smtp.Answer(250, smtp.Enhanced{2, 1, 5}, "Ok")
}

func (t *recording) end() {
	t.h.mu.Lock()
	t.h.open--
	t.h.mu.Unlock()
}

func (t *recording) Data(ctx context.Context, content io.Reader) []smtp.Reply {
	defer t.end()
	ok := smtp.Answer(250, smtp.Enhanced{2, 0, 0}, "Accepted")
	switch t.from.Local {
	case "early":
		return []smtp.Reply{smtp.Answer(554, smtp.Enhanced{5, 7, 1}, "No need to read that")}
	case "liar":
		return []smtp.Reply{ok}
	case "panic":
		panic("the handler broke")
	case "few":
		_, _ = io.Copy(io.Discard, content)
		return nil
	}
	if t.h.within != nil {
		t.h.within(ctx)
	}
	b, err := io.ReadAll(content)
	if err != nil {
		t.h.note("broken off: %v", err)
		return []smtp.Reply{smtp.Answer(451, smtp.Enhanced{4, 3, 0}, "this must not be sent")}
	}
	if len(b) > 200 {
		t.h.note("content of %d octets", len(b))
	} else {
		t.h.note("content %q", b)
	}
	var replies []smtp.Reply
	for _, to := range t.to {
		if to == "late" {
			replies = append(replies, smtp.Answer(452, smtp.Enhanced{4, 2, 2}, "Full after all"))
		} else {
			replies = append(replies, ok)
		}
	}
	return replies
}

func (t *recording) Abort() {
	t.end()
	t.h.note("abort")
}

// journal keeps events as text.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Emit(_ context.Context, e event.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch e := e.(type) {
	case event.SessionEnded:
		j.lines = append(j.lines, fmt.Sprintf("%s door=%s user=%s commands=%d reason=%s", e.Name(), e.Door, e.User, e.Commands, e.Reason))
	case event.Failed:
		first, _, _ := strings.Cut(e.Err.Error(), "\n")
		j.lines = append(j.lines, fmt.Sprintf("%s %s", e.Name(), first))
	}
}

// take gives them in the order of letters: sessions end in any.
func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	slices.Sort(j.lines)
	s := strings.Join(j.lines, "\n")
	j.lines = nil
	return s
}

// newLogin knows alice@example.org with the password "secret".
func newLogin(t testing.TB) *login.Login {
	t.Helper()
	db := memkv.New(memkv.Options{})
	t.Cleanup(func() { db.Close() })
	d, ctx := directory.New(db), context.Background()
	small := login.Params{Memory: 64, Time: 1, Threads: 1, Iterations: 4096}
	c, err := login.Hash("secret", small)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.AddDomain(ctx, "example.org"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddAccount(ctx, mail.Address{Local: "alice", Domain: "example.org"}, c, 0); err != nil {
		t.Fatal(err)
	}
	return login.New(login.Options{Directory: d, Params: small, NoLimits: true})
}
