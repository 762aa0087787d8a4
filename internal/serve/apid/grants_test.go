package apid_test

import (
	"context"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// TestRelease: what a held account had sent goes out, what others hold stays.
func TestRelease(t *testing.T) {
	h := open(t)
	h.call("POST /domains", `{"name":"example.test"}`)
	h.call("POST /accounts", `{"address":"alice@example.test","password":"pencil"}`)
	content, err := h.blobs.Put(context.Background(), []byte("Subject: x\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	for i, account := range []mail.AccountID{1, 2} {
		id := mail.ArrivalID{byte(i + 1)}
		err := h.db.Update(context.Background(), []kv.Shard{kv.PartitionShard(id)}, func(tx kv.Tx) error {
			m := queue.Message{ID: id, At: time.Now(), Account: account}
			return h.o.Queue.Add(tx, m, content, []queue.Delivery{{To: mail.Address{Local: "x", Domain: "far.test"}, State: queue.Held}})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if code, body := h.call("POST /accounts/alice@example.test/hold", `{}`); code != 200 {
		t.Error(code, body)
	}
	if code, body := h.call("POST /accounts/alice@example.test/release", ""); code != 200 || body != `{"address":"alice@example.test","deliveries":1}`+"\n" {
		t.Error(code, body)
	}
	for e, err := range h.o.Queue.List(context.Background(), queue.Filter{}) {
		if want := map[mail.AccountID]queue.State{1: queue.Waiting, 2: queue.Held}[e.Message.Account]; err != nil || e.Delivery.State != want {
			t.Errorf("%+v, %v", e.Delivery, err)
		}
	}
	if code, _ := h.call("POST /accounts/bob@example.test/release", ""); code != 404 {
		t.Error(code)
	}
}
