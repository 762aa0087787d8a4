package apid_test

import (
	"archive/tar"
	"strings"
	"testing"
	"time"
)

// TestMessages sends a tar as any program writes one, and takes it back.
func TestMessages(t *testing.T) {
	h := open(t)
	var parcel strings.Builder
	w := tar.NewWriter(&parcel)
	for _, m := range []struct {
		name    string
		records map[string]string
	}{{"one.eml", nil}, {"./Work/2021/two.eml", map[string]string{"EKIDEN.flags": `\Seen`, "EKIDEN.keywords": "work"}}, {"../../etc/three.eml", map[string]string{"EKIDEN.mailbox": "../../etc"}}} {
		err := w.WriteHeader(&tar.Header{Name: m.name, Typeflag: tar.TypeReg, Size: 6, ModTime: time.Unix(1609848000, 0), PAXRecords: m.records, Format: tar.FormatPAX})
		if err == nil {
			_, err = w.Write([]byte("A: b\r\n"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	whole := parcel.String() // without its end, which is no harm
	h.play([]step{
		{"POST /domains", `{"name":"example.test"}`, 201, ``},
		{"POST /accounts", `{"address":"alice@example.test","password":"pencil"}`, 201, ``},
		{"POST /accounts", `{"address":"bob@example.test","password":"pencil"}`, 201, ``},
		{"GET /accounts?limit=1", ``, 200, `"more":true`},
		{"GET /accounts?limit=1&after=1", ``, 200, `{"items":[{"id":2,`},
		{"POST /accounts/nobody@example.test/messages", whole, 404, `no account`},
		{"POST /accounts/alice@example.test/messages", strings.Repeat("rubbish ", 100), 400, `not a tar of messages`},
		{"POST /accounts/alice@example.test/messages", whole[:515], 400, `broke off on the way`},
		{"POST /accounts/alice@example.test/messages", whole, 200, `{"messages":3,"repeated":0,"octets":18,"mailboxes":5,"problems":[],"failed":0}`},
		{"POST /accounts/alice@example.test/messages", whole, 200, `"messages":0,"repeated":3,`},
		{"POST /accounts/alice@example.test/messages?anew=true", whole, 200, `"messages":3,"repeated":0,`},
		{"GET /accounts/alice@example.test/messages", ``, 200, "EKIDEN.flags=\\Seen\n"},
		{"GET /accounts/alice@example.test/messages?mailbox=Work", ``, 200, "EKIDEN.mailbox=Work/2021\n"},
		{"GET /accounts/alice@example.test/messages?mailbox=None", ``, 404, `there is no mailbox \"None\"`},
		{"GET /accounts/nobody@example.test/messages", ``, 404, `no account`},
		{"GET /accounts/alice@example.test/deleted", ``, 200, `{"items":[],"more":false}`},
		{"POST /accounts/alice@example.test/deleted/restore", `{}`, 400, `say which messages`},
		{"POST /backup", `{"directory":"/x"}`, 404, ``},
	})
	_, alone := h.call("GET /accounts/alice@example.test/messages?mailbox=Work&alone=true", "")
	if strings.Contains(alone, "Work/2021") {
		t.Error("a mailbox within the one wanted alone came along")
	}
	_, all := h.call("GET /accounts/alice@example.test/messages", "")
	for r := tar.NewReader(strings.NewReader(all)); ; {
		e, err := r.Next()
		if err != nil {
			break
		}
		if strings.HasPrefix(e.Name, "/") || strings.HasPrefix(e.Name, "../") || strings.Contains(e.Name, "/../") {
			t.Errorf("the path %q leads elsewhere", e.Name)
		}
	}
}
