package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/apid"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/state/suppress"
)

// rooms is what stands behind the socket of a test.
type rooms struct {
	dir   string
	db    kv.DB
	blobs *blob.Store
	o     apid.Options
}

// listen serves the REST API at the socket of a new data directory.
func listen(t *testing.T) *rooms {
	t.Helper()
	r := &rooms{dir: t.TempDir(), db: memkv.New(memkv.Options{})}
	var err error
	if r.blobs, err = blob.Open(blob.Options{DB: r.db}); err != nil {
		t.Fatal(err)
	}
	d := directory.New(r.db)
	r.o = apid.Options{
		Directory: d, Mailbox: mailbox.New(mailbox.Options{DB: r.db, Blobs: r.blobs}), Queue: queue.New(r.db, r.blobs), History: history.New(r.db), Suppress: suppress.New(r.db),
		Login: login.New(login.Options{Directory: d, Params: login.Params{Memory: 64, Time: 1, Threads: 1, Iterations: 4096}}),
	}
	ln, err := net.Listen("unix", filepath.Join(r.dir, "ekiden.sock"))
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: apid.New(r.o), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { _ = h.Serve(ln); close(done) }()
	t.Cleanup(func() {
		h.Close()
		<-done
		r.blobs.Close()
		r.db.Close()
	})
	return r
}

// capture runs one command line with input and gives what it wrote and its exit code.
func capture(t *testing.T, input string, args ...string) (out, complaint string, code int) {
	t.Helper()
	files := make([]*os.File, 3)
	for i := range files {
		f, err := os.Create(filepath.Join(t.TempDir(), "stream"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	if _, err := files[0].WriteString(input); err != nil {
		t.Fatal(err)
	}
	in, stdout, stderr := os.Stdin, os.Stdout, os.Stderr
	os.Stdin, os.Stdout, os.Stderr = files[0], files[1], files[2]
	defer func() { os.Stdin, os.Stdout, os.Stderr = in, stdout, stderr }()
	for _, f := range files {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
	}
	code = run(args)
	read := func(f *os.File) string {
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	return read(files[1]), read(files[2]), code
}

// line is one command and what is expected of it: a pattern of what it prints,
// or of its complaint if the code is not 0.
type line struct {
	args, input string
	code        int
	want        string
}

func play(t *testing.T, dir string, lines []line) {
	t.Helper()
	for _, l := range lines {
		args := append(strings.Fields(l.args), "--data", dir)
		out, complaint, code := capture(t, l.input, args...)
		got := out
		if l.code != 0 {
			got = complaint
		}
		if code != l.code || !regexp.MustCompile(l.want).MatchString(got) {
			t.Errorf("%s: code %d\n%s%swant %d %s", l.args, code, out, complaint, l.code, l.want)
		}
	}
}

func TestDirectoryCommands(t *testing.T) {
	r := listen(t)
	play(t, r.dir, []line{
		{"domain add example.test", "", 0, `^domain example.test added\n$`},
		{"domain add example.test", "", 1, `^ekiden: the domain example.test is there already\n$`},
		{"domain add no_such_[thing", "", 2, `not a domain`},
		{"domain ad example.test", "", 2, `did you mean`},
		{"domain list", "", 0, `^DOMAIN +POSTMASTER +ADDED\nexample.test +\d{4}-`},
		{"account add alice@example.test --password-stdin --quota 5GB", "pencil\n", 0, `^account alice@example.test added\n$`},
		{"account add alice@example.test --password-stdin", "pencil", 1, `is an account already`},
		{"account add alice", "", 2, `not an address`},
		{"account add bob@example.test --quota lots", "", 2, `is not a size`},
		{"account add bob@example.test --password-stdin", "", 1, `holds no password`},
		{"account add bob@example.test --passwort-stdin", "", 2, `did you mean "--password-stdin"`},
		{"account add bob@example.test", "", 0, `^account bob@example.test added\npassword: \w{5}(-\w{5}){3}\n$`},
		{"account add carol@example.test --json", "", 0, `^\{"id":3,"address":"carol@example.test".*"password":"\w{5}-.*"\}\n$`},
		{"account list", "", 0, `\n1 +alice@example.test +5.0 GB +enabled +\d{4}-`},
		{"account list --domain other.test", "", 0, `^ID .*\n$`},
		{"account set alice@example.test --quota none --disable", "", 0, `changed`},
		{"account show alice@example.test", "", 0, `(?s)state +disabled\nquota +none\nused +0 B\nmessages +0\n`},
		{"account set alice@example.test", "", 2, `nothing to set`},
		{"account set alice@example.test --enable --disable", "", 2, `can't be used together`},
		{"account set alice@example.test --max-messages 9", "", 0, `changed`},
		{"account show alice@example.test", "", 0, `messages at most +9\n`},
		{"account set alice@example.test --max-messages=-9", "", 1, `expected number`},
		{"account add dora@example.test --max-messages 5 --json", "", 0, `"max_messages":5`},
		{"account remove dora@example.test", "", 0, `removed`},
		{"account set alice@example.test --enable --password-stdin", "chalk\n", 0, `^account alice@example.test changed\n$`},
		{"domain show example.test", "", 0, `(?s)postmaster +alice@example.test\n.*accounts +3\n`},
		{"domain set example.test --postmaster bob@example.test", "", 0, `postmaster of example.test is bob@example.test`},
		{"alias add sales@example.test alice@example.test far@away.test", "", 0, `^alias sales@example.test leads to alice@example.test, far@away.test\n$`},
		{"alias add @example.test alice@example.test", "", 0, `^alias @example.test leads`},
		{"alias add x@example.test nobody", "", 2, `not an address`},
		{"alias add x@example.test", "", 2, `expected`},
		{"alias list", "", 0, `(?s)^ALIAS +TARGETS +OWNER\n@example.test +alice@example.test +-\nsales@example.test +alice@example.test, far`},
		{"alias add devs@example.test a@away.test b@away.test --owner devs@example.test", "", 1, `cannot be its own owner`},
		{"alias add devs@example.test a@away.test b@away.test --owner bob@example.test", "", 0, `^list devs@example.test of bob@example.test leads to a@away.test, b@away.test\n$`},
		{"alias set devs@example.test", "", 2, `say where it leads, or --owner`},
		{"alias set devs@example.test a@away.test", "", 0, `^list devs@example.test of bob@example.test leads to a@away.test\n$`},
		{"alias set devs@example.test --owner=", "", 0, `^alias devs@example.test leads to a@away.test\n$`},
		{"alias remove devs@example.test", "", 0, `removed`},
		{"alias remove sales@example.test far@away.test", "", 0, `no more`},
		{"alias show sales@example.test", "", 0, `^alice@example.test\n$`},
		{"alias set sales@example.test bob@example.test", "", 0, `leads to bob@example.test`},
		{"alias remove sales@example.test", "", 0, `^alias sales@example.test removed`},
		{"alias remove sales@example.test", "", 1, `there is no alias`},
		{"account remove carol@example.test", "", 0, `removed`},
		{"domain remove example.test", "", 1, `still has accounts`},
		{"domain list --json", "", 0, `^\{"items":\[\{"name":"example.test"`},
	})
	if _, err := r.o.Login.Password(context.Background(), login.Attempt{}, "alice@example.test", "chalk"); err != nil {
		t.Error(err)
	}
}

func TestQueueCommands(t *testing.T) {
	r := listen(t)
	ctx := context.Background()
	content, err := r.blobs.Put(ctx, []byte("Subject: x\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	from := mail.Address{Local: "alice", Domain: "example.test"}
	to := mail.Address{Local: "x", Domain: "far.test"}
	id, at := mail.ArrivalID{7}, time.Now()
	err = r.db.Update(ctx, []kv.Shard{kv.PartitionShard(id)}, func(tx kv.Tx) error {
		history.Write(tx, id, history.Entry{At: at, What: history.Accepted, From: from, Size: 14, Peer: "192.0.2.1:25", Subject: "Größe\x1b[2J"},
			history.Entry{At: at, What: history.Queued, From: from, To: to},
			history.Entry{At: at, What: history.Deferred, From: from, To: to, Host: "mx.far.test", Reply: "451 4.3.0 not\x1b[2J now", Next: at.Add(time.Hour)})
		return r.o.Queue.Add(tx, queue.Message{ID: id, At: at, Blob: content.ID(), Size: 14, From: from}, content,
			[]queue.Delivery{{Message: id, To: to, State: queue.Waiting, Due: at.Add(time.Hour), First: at, Last: at, Attempts: 1, LastReply: "451 4.3.0 not now"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	hex := id.String()
	play(t, r.dir, []line{
		{"queue list", "", 0, `^ID +FROM .*\n` + hex + ` +<alice@example.test> +x@far.test +14 B +waiting +1 +\d{4}-.* 451 4.3.0 not now\n$`},
		{"queue list --from bob@example.test", "", 0, `^nothing waits\n$`},
		{"queue list far.test --json", "", 0, `^\{"items":\[\{"id":"` + hex},
		{"queue list --state lost", "", 2, `neither waiting nor held`},
		{"queue list --older soon", "", 2, `not a time such as 4h30m`},
		{"queue list --older 1h", "", 0, `^nothing waits\n$`},
		{"queue list --newer 1h --error NOT --site far.test --json", "", 0, `^\{"items":\[\{"id":"` + hex},
		{"queue list --error greylist", "", 0, `^nothing waits\n$`},
		{"queue list --hop smart.test:25", "", 0, `^nothing waits\n$`},
		{"queue list --account alice@example.test", "", 1, `no such account|not found|is no account`},
		{"queue list --account 77", "", 0, `^nothing waits\n$`},
		{"queue list --sender rubbish", "", 2, `not an address`},
		{"queue list a.test b.test", "", 2, `cannot both be the domain`},
		{"queue lst", "", 2, `did you mean`},
		{"queue show " + hex, "", 0, `(?s)message +` + hex + `\n.*to +x@far.test\nsite +far.test\nstate +waiting\n`},
		{"queue show rubbish", "", 2, `not an arrival id`},
		{"queue hold --recipient x@far.test", "", 0, `^1 delivery held\n$`},
		{"queue retry", "", 0, `^0 deliveries due now\n$`},
		{"queue release x@far.test", "", 0, `^1 delivery released\n$`},
		{"queue reroute x@far.test --via smart", "", 1, `neither host:port nor direct nor usual`},
		{"queue reroute --via direct", "", 2, `say which deliveries to reroute`},
		{"queue reroute x@far.test", "", 2, `--via`},
		{"queue reroute far.test --via Smart.test:587", "", 0, `^1 delivery rerouted\n$`},
		{"queue show " + hex, "", 0, `site +smart.test:587\nrerouted +smart.test:587\n`},
		{"queue list --site smart.test:587 --json", "", 0, `"via":"smart.test:587"`},
		{"queue reroute --all --via usual", "", 0, `^1 delivery rerouted\n$`},
		{"queue drop", "", 2, `say which deliveries to drop`},
		{"queue drop " + hex + " --json", "", 0, `^\{"count":1\}\n$`},
		{"queue show " + hex, "", 1, `trace says what became of it`},
		{"trace " + hex, "", 0, `(?s)^message ` + hex + `\n  \d{4}-\d\d-\d\d [\d:]{8}  accepted  from <alice@example.test>, 14 B, subject "Größe .2J", peer 192.0.2.1:25\n.* deferred +to x@far.test, host mx.far.test, host-fault, next attempt`},
		{"trace x@far.test --json", "", 0, `^\{"items":\[\{"id":"` + hex},
		{"trace --subject grÖße --json", "", 0, `^\{"items":\[\{"id":"` + hex},
		{"trace --subject other", "", 1, `nothing is known about other`},
		{"trace --subject x --newer soon", "", 2, `not a time such as 24h`},
		{"trace", "", 2, `say a message's id, an address, or --subject`},
		{"trace x@far.test --subject x", "", 2, `say a message's id, an address, or --subject`},
		{"trace nobody@far.test", "", 1, `nothing is known about`},
		{"trace rubbish", "", 2, `neither a message's id nor an address`},
	})
	if out, _, _ := capture(t, "", "trace", hex, "--data", r.dir); strings.Contains(out, "\x1b") {
		t.Error("what a stranger wrote steers the terminal")
	}
}

// TestOffline gives commands over a store that no server has open.
func TestOffline(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	play(t, dir, []line{
		{"domain list", "", 1, `there is no server over`},
		{"domain add example.test", "", 0, `added`},
		{"account add alice@example.test --password-stdin --json", "pencil\n", 0, `"address":"alice@example.test"`},
		{"account show alice@example.test", "", 0, `enabled`},
		{"domain list -c x", "", 2, `can't be used together`},
	})
}

func TestSizes(t *testing.T) {
	for in, want := range map[string]int64{
		"": 0, "none": 0, "0": 0, "500": 500, "5GB": 5e9, "5gb": 5e9, "1.5 GB": 15e8, "2G": 2e9, "1KiB": 1024, "1MiB": 1 << 20, "3TB": 3e12, "7B": 7,
	} {
		if got, err := parseSize(in); got != want || err != nil {
			t.Errorf("%q is %d: %v", in, got, err)
		}
	}
	for _, in := range []string{"GB", "-5GB", "5XB", "five", "5GBGB", "1e30", "5Gi5", "NaN"} {
		if got, err := parseSize(in); err == nil {
			t.Errorf("%q is %d", in, got)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 KB", 5e9: "5.0 GB", 1 << 60: "1152921.5 TB"} {
		if got := size(n); got != want {
			t.Errorf("%d is %q", n, got)
		}
	}
}

func TestComplaint(t *testing.T) {
	body, _ := json.Marshal(map[string]any{"detail": "validation failed", "errors": []map[string]any{{"message": "too small", "location": "body.quota"}}})
	if err := complaint(&http.Response{StatusCode: 422}, body); err.Error() != "validation failed: quota too small" {
		t.Error(err)
	}
	if err := complaint(&http.Response{StatusCode: 502}, []byte("<html>")); err.Error() != "the server answered Bad Gateway" {
		t.Error(err)
	}
}
