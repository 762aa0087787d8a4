package screen_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/deliver"
	"github.com/ekiden-mail/ekiden/internal/flow/gather"
	"github.com/ekiden-mail/ekiden/internal/flow/judge"
	"github.com/ekiden-mail/ekiden/internal/flow/receive"
	"github.com/ekiden-mail/ekiden/internal/flow/screen"
	"github.com/ekiden-mail/ekiden/internal/flow/submit"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/reach/filter"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/wire/milter"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// events collects what happened.
type events struct {
	mu  sync.Mutex
	all []event.Event
}

func (e *events) Emit(_ context.Context, ev event.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
}

// names are the events that happened, but for those of each delivery.
func (e *events) names() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []string
	for _, ev := range e.all {
		all = append(all, ev.Name())
	}
	return strings.Join(all, " ")
}

// bed is the rooms around a screener, with alice and bob.
type bed struct {
	t         *testing.T
	db        *memkv.DB
	blobs     *blob.Store
	boxes     *mailbox.Store
	queue     *queue.Store
	directory *directory.Store
	deliver   *deliver.Deliverer
	refusals  *history.Refusals
	events    *events
	accounts  map[string]mail.AccountID
}

func openBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, db: memkv.New(memkv.Options{}), events: &events{}, accounts: map[string]mail.AccountID{}}
	var err error
	b.blobs, err = blob.Open(blob.Options{DB: b.db})
	b.must(err)
	t.Cleanup(func() { _, _ = b.blobs.Close(), b.db.Close() })
	b.directory, b.queue, b.refusals = directory.New(b.db), queue.New(b.db, b.blobs), history.NewRefusals(b.db)
	b.boxes = mailbox.New(mailbox.Options{DB: b.db, Blobs: b.blobs})
	b.must(b.directory.AddDomain(t.Context(), "example.test"))
	for _, local := range []string{"alice", "bob"} {
		a, err := b.directory.AddAccount(t.Context(), address(local), directory.Credentials{}, 0)
		b.must(err)
		b.must(b.boxes.Update(t.Context(), a.ID, a.ID, func(tx *mailbox.Tx) error { return tx.Provision() }))
		b.accounts[local] = a.ID
	}
	b.deliver = deliver.New(deliver.Options{
		DB: b.db, Blobs: b.blobs, Mailbox: b.boxes, Queue: b.queue, Directory: b.directory, Sink: b.events, Hostname: "mx.example.test",
	})
	return b
}

func (b *bed) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func address(local string) mail.Address { return mail.Address{Local: local, Domain: "example.test"} }

// screener asks filters, of which some are required.
func (b *bed) screener(filters []gather.Filter, required ...string) *screen.Screener {
	for i := range filters {
		filters[i].Inbound, filters[i].Submission = true, true
	}
	g := gather.New(gather.Options{Filters: filters, Budget: 5 * time.Second, Blobs: b.blobs, Sink: b.events, Hostname: "mx.example.test"})
	return screen.New(screen.Options{Gather: g, Settings: judge.Settings{Required: required}, Deliver: b.deliver, Refusals: b.refusals, Sink: b.events})
}

const letter = "Subject: hello\r\nX-Old: 1\r\n\r\nthe body\r\n"

// outcome is what a stranger was answered.
type outcome struct {
	mail string
	rcpt []string
	data string // "" where it did not come to that
}

// send sends the letter from a stranger.
func (b *bed) send(s *screen.Screener, to ...string) outcome {
	b.t.Helper()
	r := receive.New(receive.Options{Deliver: b.deliver, Blobs: b.blobs, Screen: s})
	tx, reply := r.Begin(b.t.Context(), &mail.Peer{}, mail.Address{Local: "s", Domain: "sender.test"}, smtp.MailOptions{})
	o := outcome{mail: reply.String()}
	if tx == nil {
		return o
	}
	taken := 0
	for _, local := range to {
		reply := tx.Rcpt(b.t.Context(), address(local), smtp.RcptOptions{})
		o.rcpt = append(o.rcpt, reply.String())
		if reply.OK() {
			taken++
		}
	}
	if taken == 0 {
		tx.Abort()
		return o
	}
	o.data = tx.Data(b.t.Context(), strings.NewReader(letter))[0].String()
	return o
}

// submit sends the letter from alice.
func (b *bed) submit(s *screen.Screener, to mail.Address) string {
	b.t.Helper()
	u := submit.New(submit.Options{Deliver: b.deliver, Blobs: b.blobs, Directory: b.directory, Hostname: "mx.example.test", Screen: s})
	p := &mail.Peer{Account: b.accounts["alice"], User: address("alice")}
	tx, reply := u.Begin(b.t.Context(), p, address("alice"), smtp.MailOptions{})
	if tx == nil {
		return reply.String()
	}
	if reply := tx.Rcpt(b.t.Context(), to, smtp.RcptOptions{}); !reply.OK() {
		return reply.String()
	}
	return tx.Data(b.t.Context(), strings.NewReader(letter))[0].String()
}

// lies gives the messages in a mailbox of somebody's, without our trace fields.
func (b *bed) lies(local string, role mailbox.Role) []string {
	b.t.Helper()
	var found []mailbox.Message
	b.must(b.boxes.View(b.t.Context(), b.accounts[local], func(tx *mailbox.Tx) error {
		found = nil
		box, err := tx.BoxByRole(role)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		for p, err := range tx.Placements(box.ID, 1, 1<<32-1) {
			if err != nil {
				return err
			}
			m, err := tx.Message(p.Message)
			if err != nil {
				return err
			}
			found = append(found, m)
		}
		return nil
	}))
	var texts []string
	for _, m := range found {
		r, err := b.boxes.OpenMessage(b.t.Context(), b.accounts[local], m)
		b.must(err)
		text, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
		b.must(err)
		b.must(r.Close())
		_, own, _ := strings.Cut(string(text), ";\r\n\t") // the end of Received
		_, own, _ = strings.Cut(own, "\r\n")
		texts = append(texts, own)
	}
	return texts
}

// waits gives what waits in the queue.
func (b *bed) waits() string {
	b.t.Helper()
	var all []string
	for e, err := range b.queue.List(b.t.Context(), queue.Filter{}) {
		b.must(err)
		all = append(all, e.Delivery.State.String()+" <"+e.Message.From.String()+"> "+e.Delivery.To.String())
	}
	return strings.Join(all, "; ")
}

// story is the history of the sender's latest message.
func (b *bed) story(of mail.Address) string {
	b.t.Helper()
	b.must(b.refusals.Flush(b.t.Context()))
	h := history.New(b.db)
	found, err := h.ByAddress(b.t.Context(), of, 100)
	b.must(err)
	if len(found) == 0 {
		return ""
	}
	entries, err := h.ByArrival(b.t.Context(), found[0].ID)
	b.must(err)
	var all []string
	for _, e := range entries {
		all = append(all, strings.TrimSpace(e.What+" "+e.Action))
	}
	return strings.Join(all, "; ")
}

// says is a filter that always says the same.
type says filter.Opinion

func (s says) Ask(context.Context, *filter.Message) filter.Opinion { return filter.Opinion(s) }

func asking(name string, o filter.Opinion) gather.Filter {
	return gather.Filter{Name: name, Asker: says(o)}
}

// milterOf runs a milter that answers each command with what say gives for it,
// and "c" where it gives nothing. heard, if given, is told each command.
func milterOf(t *testing.T, name string, say map[byte][]string, heard func(code byte, data string)) gather.Filter {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serveMilter(c, say, heard)
		}
	})
	t.Cleanup(func() { _ = ln.Close(); done.Wait() })
	return gather.Filter{Name: name, Milter: filter.NewMilter(filter.MilterOptions{Network: "unix", Address: path, Timeout: 2 * time.Second})}
}

func serveMilter(c net.Conn, say map[byte][]string, heard func(code byte, data string)) {
	defer func() { _ = c.Close() }()
	for {
		code, data, err := milter.ReadPacket(c, nil)
		if err != nil {
			return
		}
		if heard != nil {
			heard(code, string(data))
		}
		out := say[code]
		switch {
		case out != nil:
		case code == 'D', code == 'A', code == 'Q':
			continue
		case code == 'O':
			all := binary.BigEndian.AppendUint32(nil, milter.Version)
			all = binary.BigEndian.AppendUint32(all, uint32(milter.AllActions))
			out = []string{"O" + string(all) + "\x00\x00\x00\x00"}
		default:
			out = []string{"c"}
		}
		for _, s := range out {
			if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)); err != nil {
				return
			}
		}
	}
}
