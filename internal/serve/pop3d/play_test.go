package pop3d

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"go.uber.org/goleak"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/certs"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "open sesame"

// house is a store with alice@example.test in it, and a door.
type house struct {
	t     testing.TB
	store *mailbox.Store
	blobs *blob.Store
	login *login.Login
	alice directory.Account
	certs *certs.Set
	locks *Locks
	later atomic.Int64 // how much later it is than the clock says
	uidl  string       // of the next message that is added

	mu     sync.Mutex
	events []event.Event
}

// Emit keeps what happened; a panic fails the test.
func (h *house) Emit(_ context.Context, e event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
	if f, ok := e.(event.Failed); ok && strings.Contains(f.Err.Error(), "panic") {
		h.t.Error(f.Err)
	}
}

func newHouse(t testing.TB) *house {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	db := memkv.New(memkv.Options{})
	blobs, err := blob.Open(blob.Options{DB: db})
	must(err)
	h := &house{t: t, blobs: blobs, locks: NewLocks()}
	h.store = mailbox.New(mailbox.Options{DB: db, Blobs: blobs})
	dir := directory.New(db)
	h.login = login.New(login.Options{Directory: dir, NoLimits: true, Params: login.Params{Memory: 64, Time: 1, Threads: 1, Iterations: 4096}})
	must(dir.AddDomain(ctx, "example.test"))
	c, err := h.login.NewCredentials(password)
	must(err)
	h.alice, err = dir.AddAccount(ctx, mail.Address{Local: "alice", Domain: "example.test"}, c, 0)
	must(err)
	must(h.store.Update(ctx, h.alice.ID, h.alice.ID, func(tx *mailbox.Tx) error { return tx.Provision() }))
	h.certs, err = certs.New(certs.Options{Own: t.TempDir(), OwnNames: []string{"mx.example.test"}})
	must(err)
	t.Cleanup(func() {
		must(blobs.Close())
		must(db.Close())
	})
	return h
}

// open runs a door until the test ends and gives its address.
func (h *house) open(change func(*Options)) string {
	h.t.Helper()
	o := Options{Hostname: "mx.example.test", TLS: certs.NewConfigs(h.certs, tls.VersionTLS12).For(certs.Use{}), PlaintextAuth: true, Login: h.login, Mailbox: h.store, Locks: h.locks, Sink: h}
	if change != nil {
		change(&o)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(o).Serve(ctx, ln) }()
	h.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Error(err)
		}
	})
	return ln.Addr().String()
}

// add lays a message into the INBOX.
func (h *house) add(prefix, content string) {
	h.t.Helper()
	ctx := context.Background()
	handle, err := h.blobs.Put(ctx, []byte(content))
	if err != nil {
		h.t.Fatal(err)
	}
	whole := prefix + content
	ix, err := message.Parse(strings.NewReader(whole), int64(len(whole)))
	if err != nil {
		h.t.Fatal(err)
	}
	err = h.store.Update(ctx, h.alice.ID, h.alice.ID, func(tx *mailbox.Tx) error {
		box, err := tx.BoxByName("INBOX")
		if err != nil {
			return err
		}
		_, err = tx.Add(box.ID, mailbox.NewMessage{Content: handle, Prefix: []byte(prefix), Index: ix, Received: time.Unix(1, 0), UIDL: h.uidl})
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// inbox lists UIDs and sizes.
func (h *house) inbox() string {
	var b strings.Builder
	err := h.store.View(context.Background(), h.alice.ID, func(tx *mailbox.Tx) error {
		box, err := tx.BoxByName("INBOX")
		if err != nil {
			return err
		}
		for p, err := range tx.Placements(box.ID, 1, 1<<32-1) {
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "uid %d: %d octets", p.UID, p.Size)
			if p.Flags.Has(mail.FlagSeen) {
				b.WriteString(", seen")
			}
			b.WriteString("\n")
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return b.String()
}

// expunge removes a message behind the sessions' backs, as IMAP may.
func (h *house) expunge(uid mailbox.UID) {
	ctx := context.Background()
	var id mailbox.BoxID
	err := h.store.View(ctx, h.alice.ID, func(tx *mailbox.Tx) error {
		box, err := tx.BoxByName("INBOX")
		id = box.ID
		return err
	})
	if err == nil {
		_, err = h.store.Expunge(ctx, h.alice.ID, h.alice.ID, id, []mailbox.UID{uid}, true)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// client is one connection of a play.
type client struct {
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	return &client{nc, bufio.NewReader(nc)}
}

// answer reads one answer, to its full stop if the command's has one.
func (c *client) answer(command string) string {
	var b strings.Builder
	word, rest, _ := strings.Cut(strings.ToUpper(command), " ")
	multi := word == "RETR" || word == "TOP" || word == "CAPA" || rest == "" && (word == "LIST" || word == "UIDL" || word == "AUTH")
	for {
		l, err := c.r.ReadString('\n')
		if err != nil {
			b.WriteString("(closed)\n")
			return b.String()
		}
		first := b.Len() == 0
		b.WriteString("S: " + strings.TrimSuffix(l, "\r\n") + "\n")
		if !multi || first && !strings.HasPrefix(l, "+OK") || l == ".\r\n" {
			return b.String()
		}
	}
}

func (c *client) startTLS(config *tls.Config) error {
	t := tls.Client(c.Conn, config)
	c.Conn, c.r = t, bufio.NewReader(t)
	return t.Handshake()
}

// stage holds a play's clients.
type stage struct {
	h       *house
	addr    string
	clients map[string]*client
}

// run carries out one directive of a play:
//
//	add [prefix=TEXT] [uidl=TEXT]   a message arrives, perhaps with a unique-id
//	wait DURATION       time passes
//	inbox               what is there
//	expunge uid=N       removed by another protocol
//	talk NAME           the client sends line by line and reads each answer
//	burst NAME          the client sends all lines in one packet, then reads
//	tls NAME            the handshake
//	drop NAME           the connection breaks
//
// In lines \0, \r, \n stand for the octets, $PLAIN for a response of PLAIN.
func (s *stage) run(t *testing.T, d *datadriven.TestData) string {
	name := ""
	if len(d.CmdArgs) > 0 {
		name = d.CmdArgs[0].Key
	}
	switch d.Cmd {
	case "add":
		prefix := ""
		if d.HasArg("prefix") {
			d.ScanArgs(t, "prefix", &prefix)
			prefix = "Received: from x by y with " + prefix + "\r\n"
		}
		if d.HasArg("uidl") {
			d.ScanArgs(t, "uidl", &s.h.uidl)
			defer func() { s.h.uidl = "" }()
		}
		s.h.add(prefix, strings.ReplaceAll(d.Input+"\n", "\n", "\r\n"))
		return ""
	case "wait":
		pause, err := time.ParseDuration(name)
		if err != nil {
			t.Fatal(err)
		}
		s.h.later.Add(int64(pause))
		return ""
	case "inbox":
		return s.h.inbox()
	case "expunge":
		var uid int
		d.ScanArgs(t, "uid", &uid)
		s.h.expunge(mailbox.UID(uid))
		return ""
	case "tls":
		return fmt.Sprintln(s.clients[name].startTLS(&tls.Config{InsecureSkipVerify: true}))
	case "drop":
		_ = s.clients[name].Close()
		delete(s.clients, name)
		for s.h.locks.take(s.h.alice.ID, time.Now(), 0) != nil { // until the server sees it
			time.Sleep(time.Millisecond)
		}
		s.h.locks.release(s.h.alice.ID)
		return ""
	}
	var out strings.Builder
	c := s.clients[name]
	if c == nil {
		c = dial(t, s.addr)
		s.clients[name] = c
		out.WriteString(c.answer(""))
	}
	s.exchange(d, c, &out)
	return validity.ReplaceAllString(out.String(), "$1 VALIDITY.$2")
}

// validity finds the unique-ids, whose first half is another each time.
var validity = regexp.MustCompile(`(\d+) \d{5,10}\.(\d+)`)

// exchange is talk and burst.
func (s *stage) exchange(d *datadriven.TestData, c *client, out *strings.Builder) {
	lines := strings.Split(d.Input, "\n")
	for i := range lines {
		lines[i] = strings.NewReplacer(`\0`, "\x00", `\r`, "\r", `\n`, "\n", "$PLAIN", "AGFsaWNlQGV4YW1wbGUudGVzdABvcGVuIHNlc2FtZQ==").Replace(lines[i])
	}
	if d.Cmd == "burst" {
		_, _ = c.Write([]byte(strings.Join(lines, "\r\n") + "\r\n"))
	}
	for _, l := range lines {
		if d.Cmd == "talk" {
			_, _ = c.Write([]byte(l + "\r\n"))
		}
		answer := c.answer(l)
		out.WriteString(answer)
		if strings.HasSuffix(answer, "(closed)\n") {
			return
		}
	}
}

func TestPlays(t *testing.T) {
	datadriven.Walk(t, "testdata/plays", func(t *testing.T, path string) {
		h := newHouse(t)
		s := &stage{h: h, clients: map[string]*client{}}
		s.addr = h.open(func(o *Options) {
			o.PlaintextAuth = !strings.Contains(path, "tls")
			if strings.Contains(path, "use") {
				o.LoginDelay = time.Minute
				o.Now = func() time.Time { return time.Now().Add(time.Duration(h.later.Load())) }
				o.Use = func(context.Context, mail.AccountID) (Use, error) { return Use{Expire: 30, Seen: true}, nil }
			}
		})
		datadriven.RunTest(t, path, s.run)
		for _, c := range s.clients {
			_ = c.Close()
		}
	})
}
