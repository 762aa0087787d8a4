package apid_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/app"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/flow/sign"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/apid"
	"github.com/ekiden-mail/ekiden/internal/state/ban"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/state/suppress"
)

// house is the API over rooms in memory.
type house struct {
	t       *testing.T
	db      kv.DB
	blobs   *blob.Store
	o       apid.Options
	handler http.Handler
}

func open(t *testing.T) *house {
	t.Helper()
	db := memkv.New(memkv.Options{})
	t.Cleanup(func() { db.Close() })
	blobs, err := blob.Open(blob.Options{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { blobs.Close() })
	d := directory.New(db)
	o := apid.Options{
		Directory: d, Mailbox: mailbox.New(mailbox.Options{DB: db, Blobs: blobs}), Queue: queue.New(db, blobs), History: history.New(db),
		Login: login.New(login.Options{Directory: d, Params: login.Params{Memory: 64, Time: 1, Threads: 1, Iterations: 4096}}), Version: "test",
		Bans: app.Bans{Store: ban.New(db, ban.Options{})}, Suppress: suppress.New(db), Zones: zones(db, d), Keys: sign.New(sign.Options{Blobs: blobs, Directory: d}),
	}
	return &house{t, db, blobs, o, apid.New(o)}
}

// call makes one request and gives status and body.
func (h *house) call(line, body string) (int, string) {
	h.t.Helper()
	method, path, _ := strings.Cut(line, " ")
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, "/api/v1"+path, in)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	if w.Code >= 400 && w.Header().Get("Content-Type") != "application/problem+json" {
		h.t.Errorf("%s: %d came as %s", line, w.Code, w.Header().Get("Content-Type"))
	}
	return w.Code, w.Body.String()
}

// step is one request of a story.
type step struct {
	line, body string
	status     int
	want       string // a part of the answer
}

func (h *house) play(steps []step) {
	h.t.Helper()
	for _, s := range steps {
		status, body := h.call(s.line, s.body)
		if status != s.status || !strings.Contains(body, s.want) {
			h.t.Errorf("%s %s: %d %s\nwant %d %s", s.line, s.body, status, body, s.status, s.want)
		}
	}
}

func TestDomains(t *testing.T) {
	open(t).play([]step{
		{"GET /domains", "", 200, `{"items":[]}`},
		{"POST /domains", `{"name":"Example.Test"}`, 201, `"name":"example.test"`},
		{"POST /domains", `{"name":"example.test"}`, 409, `"type":"urn:ekiden:exists"`},
		{"POST /domains", `{"name":"日本.test","postmaster":"a@example.test"}`, 201, `"name":"xn--wgv71a.test","unicode":"日本.test"`},
		{"POST /domains", `{"name":"no domain"}`, 400, `not a domain`},
		{"POST /domains", `{"name":"[127.0.0.1]"}`, 400, `is not a domain`},
		{"POST /domains", `{"nam":"x.test"}`, 422, `unexpected property`},
		{"POST /domains", `{"name":"x.test","postmaster":"nobody"}`, 400, `not an address`},
		{"GET /domains", "", 200, `"name":"example.test"`},
		{"GET /domains/EXAMPLE.test", "", 200, `"postmaster":""`},
		{"GET /domains/日本.test", "", 200, `"postmaster":"a@example.test"`},
		{"GET /domains/other.test", "", 404, `the domain other.test is not one of this server's`},
		{"POST /accounts", `{"address":"alice@example.test","password":"pencil"}`, 201, `"id":1`},
		{"GET /domains/example.test", "", 200, `"postmaster":"alice@example.test"`},
		{"PATCH /domains/example.test", `{"postmaster":"bob@example.test"}`, 200, `"postmaster":"bob@example.test"`},
		{"PATCH /domains/example.test", `{"postmaster":""}`, 200, `"postmaster":"alice@example.test"`},
		{"DELETE /domains/example.test", "", 412, `still has accounts`},
		{"DELETE /accounts/alice@example.test", "", 200, `"address":"alice@example.test"`},
		{"DELETE /domains/example.test", "", 200, `"name":"example.test"`},
		{"DELETE /domains/example.test", "", 404, ``},
		{"GET /domains?frobnicate=1", "", 422, `unknown query parameter`},
		{"GET /elsewhere", "", 404, `there is nothing at GET /api/v1/elsewhere`},
		{"PUT /domains", "{}", 404, `there is nothing at PUT`},
		{"POST /domains", `{"name":"` + strings.Repeat("x", 70_000) + `"}`, 413, ``},
	})
}

func TestAccounts(t *testing.T) {
	h := open(t)
	const hash = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	h.play([]step{
		{"POST /accounts", `{"address":"alice@example.test","password":"pencil"}`, 404, `not one of this server's`},
		{"POST /domains", `{"name":"example.test"}`, 201, ``},
		{"POST /accounts", `{"address":"Alice@example.test","password":"pencil","quota":5000000000}`, 201, `"address":"alice@example.test"`},
		{"POST /accounts", `{"address":"alice@example.test","password":"pencil"}`, 409, `alice@example.test is an account already`},
		{"POST /accounts", `{"address":"bob@example.test"}`, 400, `a password has 1 to 1024 octets`},
		{"POST /accounts", `{"address":"bob@example.test","password":"x","hash":"y"}`, 400, `not both`},
		{"POST /accounts", `{"address":"bob@example.test","hash":"{SSHA}x"}`, 400, `not an argon2id hash`},
		{"POST /accounts", `{"address":"bob@example.test","hash":"` + hash + `"}`, 201, `"id":2`},
		{"POST /accounts", `{"address":"c@example.test","password":"x","quota":-1}`, 422, `quota`},
		{"GET /accounts", "", 200, `"address":"bob@example.test"`},
		{"GET /accounts?domain=other.test", "", 200, `{"items":[]}`},
		{"GET /accounts/alice@example.test", "", 200, `"quota":5000000000,"disabled":false,"usage":{"octets":0,"messages":0}`},
		{"GET /accounts/carol@example.test", "", 404, `there is no account carol@example.test`},
		{"PATCH /accounts/alice@example.test", `{"quota":0,"disabled":true}`, 200, `"quota":0,"disabled":true`},
		{"PATCH /accounts/alice@example.test", `{"disabled":false,"password":"chalk"}`, 200, `"disabled":false`},
		{"PATCH /accounts/alice@example.test", `{"password":""}`, 400, ``},
	})
	ctx := context.Background()
	who, err := h.o.Login.Password(ctx, login.Attempt{Door: "test"}, "alice@example.test", "chalk")
	if err != nil {
		t.Fatal(err)
	}
	boxes := func(n int) {
		t.Helper()
		if err := h.o.Mailbox.View(ctx, who.Account, func(tx *mailbox.Tx) error {
			all, err := tx.Boxes()
			if len(all) != n {
				t.Errorf("%d mailboxes, want %d", len(all), n)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
	boxes(6)
	h.play([]step{{"DELETE /accounts/alice@example.test", "", 200, `"usage"`}, {"DELETE /accounts/alice@example.test", "", 404, ``}})
	boxes(0)
}

func TestPasswordsAreNotRepeated(t *testing.T) {
	h := open(t)
	for _, body := range []string{`{"address":"a@b.test","password":"s3cret","x":1}`, `{"password":"s3cret"}`, `"s3cret"`, `{"address":5,"password":["s3cret"]}`,
		`{"address":"a@b.test","password":"s3cret"`, `{"address":"a@b.test","hash":"s3cret"}`} {
		if status, answer := h.call("POST /accounts", body); status < 400 || strings.Contains(answer, "s3cret") {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
}

func TestAliases(t *testing.T) {
	open(t).play([]step{
		{"POST /domains", `{"name":"example.test"}`, 201, ``},
		{"POST /aliases", `{"address":"sales@example.test","targets":["a@b.test","c@d.test"]}`, 201, `"targets":["a@b.test","c@d.test"]`},
		{"POST /aliases", `{"address":"sales@example.test","targets":["a@b.test"]}`, 409, `sales@example.test is an alias already`},
		{"POST /aliases", `{"address":"@example.test","targets":["a@b.test"]}`, 201, `"address":"@example.test"`},
		{"POST /aliases", `{"address":"x@example.test","targets":[]}`, 422, ``},
		{"POST /aliases", `{"address":"x@example.test","targets":["nobody"]}`, 400, `not an address`},
		{"GET /aliases", "", 200, `{"items":[{"address":"@example.test"`},
		{"GET /aliases?domain=other.test", "", 200, `{"items":[]}`},
		{"PATCH /aliases/sales@example.test", `{"targets":["e@f.test","a@b.test"]}`, 200, `"targets":["e@f.test","a@b.test"]`},
		{"DELETE /aliases/sales@example.test?target=x@y.test", "", 404, `sales@example.test does not lead to x@y.test`},
		{"DELETE /aliases/sales@example.test?target=e@f.test", "", 200, ``},
		{"GET /aliases/sales@example.test", "", 200, `"targets":["a@b.test"]`},
		{"DELETE /aliases/sales@example.test?target=a@b.test", "", 200, ``},
		{"GET /aliases/sales@example.test", "", 404, `there is no alias sales@example.test`},
		{"DELETE /aliases/@example.test", "", 200, `"@example.test"`},
		{"GET /status", "", 200, `{"version":"test","domains":1,"accounts":0,"aliases":0,"waiting":0,"held":0}`},
	})
}

// enqueue lays a message for some recipients into the queue, with its history.
func (h *house) enqueue(id byte, from string, to ...string) string {
	h.t.Helper()
	ctx := context.Background()
	content, err := h.blobs.Put(ctx, []byte("Subject: hello\r\n\r\nworld\r\n"))
	if err != nil {
		h.t.Fatal(err)
	}
	sender, err := mail.ParseAddress(from)
	if err != nil {
		h.t.Fatal(err)
	}
	at := time.Date(2026, 5, 1, 12, int(id), 0, 0, time.UTC)
	m := queue.Message{ID: mail.ArrivalID{id}, At: at, Blob: content.ID(), Size: content.Size(), From: sender}
	entries := []history.Entry{{At: at, What: history.Accepted, From: sender, Peer: "192.0.2.1:5"}}
	var ds []queue.Delivery
	for i, s := range to {
		a, err := mail.ParseAddress(s)
		if err != nil {
			h.t.Fatal(err)
		}
		ds = append(ds, queue.Delivery{Message: m.ID, N: uint32(i), To: a, State: queue.Waiting, Due: at.Add(time.Hour), First: at})
		entries = append(entries, history.Entry{At: at, What: history.Queued, From: sender, To: a})
	}
	err = h.db.Update(ctx, []kv.Shard{kv.PartitionShard(m.ID)}, func(tx kv.Tx) error {
		history.Write(tx, m.ID, entries...)
		return h.o.Queue.Add(tx, m, content, ds)
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return m.ID.String()
}

func TestQueueAndTrace(t *testing.T) {
	h := open(t)
	one := h.enqueue(1, "alice@example.test", "x@far.test", "y@far.test")
	two := h.enqueue(2, "bob@example.test", "x@far.test", "z@other.test")
	h.play([]step{
		{"GET /queue", "", 200, `"id":"` + one + `","from":"alice@example.test","to":"x@far.test"`},
		{"GET /queue?sender=bob@example.test&domain=other.test", "", 200, `{"items":[{"id":"` + two + `"`},
		{"GET /queue?limit=3", "", 200, `"more":true`},
		{"GET /queue?state=held", "", 200, `{"items":[],"more":false}`},
		{"GET /queue?state=lost", "", 422, `state`},
		{"GET /queue?id=zz", "", 400, `not an arrival id`},
		{"GET /queue/" + two, "", 200, `"to":"z@other.test"`},
		{"GET /queue/" + strings.Repeat("f", 32), "", 404, `trace says what became of it`},
		{"POST /queue/retry", `{"id":"` + strings.Repeat("0", 32) + `"}`, 400, `id of zeros`},
		{"POST /queue/hold", `{"recipient":"x@far.test"}`, 200, `{"count":2}`},
		{"GET /queue?state=held", "", 200, `"state":"held"`},
		{"GET /status", "", 200, `"waiting":2,"held":2`},
		{"POST /queue/release", `{"id":"` + one + `"}`, 200, `{"count":1}`},
		{"POST /queue/retry", `{}`, 200, `{"count":3}`},
		{"POST /queue/drop", `{}`, 400, `say which deliveries`},
		{"POST /queue/drop", `{"sender":"bob@example.test"}`, 200, `{"count":2}`},
		{"POST /queue/drop", `{"all":true}`, 200, `{"count":2}`},
		{"POST /queue/drop", `{"domain":"a b"}`, 400, `not a domain`},
		{"GET /trace/" + one, "", 200, `{"at":"2026-05-01T12:01:00Z","what":"accepted","from":"alice@example.test","peer":"192.0.2.1:5"}`},
		{"GET /trace/x@far.test", "", 200, two},
		{"GET /trace/x@far.test?limit=1", "", 200, `{"items":[{"id"`},
		{"GET /trace/nobody@far.test", "", 404, `nothing is known about nobody@far.test`},
		{"GET /trace/" + strings.Repeat("0", 32), "", 404, `nothing is known`},
		{"GET /trace/rubbish", "", 400, `neither a message's id nor an address`},
	})
}

// TestDocument checks that the OpenAPI document names every operation.
func TestDocument(t *testing.T) {
	h := open(t)
	status, body := h.call("GET /openapi.json", "")
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct{ OperationID string }
	}
	if err := json.Unmarshal([]byte(body), &doc); status != 200 || err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Fatal(status, err, doc.OpenAPI)
	}
	got := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			got[fmt.Sprint(method, " ", path)] = op.OperationID != ""
		}
	}
	want := strings.Fields(`get/status get/domains post/domains get/domains/{name} patch/domains/{name} delete/domains/{name}
		get/accounts post/accounts get/accounts/{address} patch/accounts/{address} delete/accounts/{address}
		get/accounts/{address}/messages post/accounts/{address}/messages
		get/accounts/{address}/login patch/accounts/{address}/login
		get/accounts/{address}/app-passwords post/accounts/{address}/app-passwords delete/accounts/{address}/app-passwords/{id}
		post/accounts/{address}/totp post/accounts/{address}/totp/confirm delete/accounts/{address}/totp
		get/accounts/{address}/grants post/accounts/{address}/grants delete/accounts/{address}/grants/{as}
		post/accounts/{address}/hold post/accounts/{address}/release
		get/accounts/{address}/deleted post/accounts/{address}/deleted/restore
		get/aliases post/aliases get/aliases/{address} patch/aliases/{address} delete/aliases/{address}
		get/bans post/bans delete/bans/{net} get/allowed post/allowed delete/allowed/{net}
		get/queue get/queue/{id} post/queue/retry post/queue/hold post/queue/release post/queue/reroute post/queue/drop get/trace/{what} get/trace get/route/{address} get/tls-reports
		get/domains/{name}/keys post/domains/{name}/keys post/domains/{name}/keys/rotate delete/domains/{name}/keys/{selector}
		get/zones post/zones get/zones/{name} patch/zones/{name} delete/zones/{name} get/zones/{name}/records put/zones/{name}/records
		put/zones/{name}/file post/zones/{name}/roll get/domains/{name}/records get/check/domain/{name} post/transfer-keys delete/transfer-keys/{name}
		get/domains/{name}/suppressions post/domains/{name}/suppressions delete/domains/{name}/suppressions/{address}`)
	for _, w := range want {
		method, path, _ := strings.Cut(w, "/")
		if !got[method+" /api/v1/"+path] {
			t.Errorf("%s is not in the document", w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d operations, want %d: %v", len(got), len(want), got)
	}
}
