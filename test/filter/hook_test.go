package filter

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// TestHook has a hook that decides by the subject, and holds a message until it
// is released.
func TestHook(t *testing.T) {
	t.Parallel()
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		stamp, sum, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Ekiden-Signature"), "t="), ",v1=")
		mac := hmac.New(sha256.New, []byte("a shared secret"))
		_, _ = io.WriteString(mac, stamp+"."+string(body))
		var in struct {
			Direction, User string
			Message         []byte
			Envelope        struct{ From string }
		}
		if err := json.Unmarshal(body, &in); err != nil || hex.EncodeToString(mac.Sum(nil)) != sum {
			t.Errorf("a request: %v, signed %s", err, r.Header.Get("Ekiden-Signature"))
		}
		_, subject, _ := strings.Cut(string(in.Message), "\r\nSubject: ")
		switch subject, _, _ = strings.Cut(subject, "\r\n"); subject {
		case "hold":
			_, _ = io.WriteString(w, `{"action":"quarantine","reason":"looks odd","headers":[{"op":"add","name":"X-Hook","value":"held"}]}`)
		case "drop":
			_, _ = io.WriteString(w, `{"action":"discard"}`)
		case "later":
			_, _ = io.WriteString(w, `{"action":"defer","reply":{"code":450,"enhanced":"4.7.1","text":"the moon is not right"}}`)
		default:
			fmt.Fprintf(w, `{"action":"accept","headers":[{"op":"replace","name":"Subject","value":"%s of %s"}]}`, in.Direction, in.User+in.Envelope.From)
		}
	}))
	t.Cleanup(hook.Close)
	secret := blackbox.WriteFile(t, t.TempDir(), "secret", "a shared secret\n")
	s := serve(t, fmt.Sprintf("[[filter]]\nname = \"hook\"\nkind = \"hook\"\naddress = %q\ndirections = [\"inbound\", \"submission\"]\nsecret_file = %q\n", hook.URL+"/mail", secret))

	if code, reply := send(t, s, "smtp", "x@elsewhere.test", letter("later", "hello")); code != 450 || !strings.Contains(reply, "the moon is not right") {
		t.Errorf("later: %s", reply)
	}
	for _, subject := range []string{"drop", "hold", "plain"} {
		if code, reply := send(t, s, "smtp", subject+"@elsewhere.test", letter(subject, "hello")); code != 250 {
			t.Errorf("%s: %s", subject, reply)
		}
	}
	if code, reply := send(t, s, "submissions", "alice@example.test", letter("mine", "hello")); code != 250 {
		t.Errorf("mine: %s", reply)
	}
	s.WaitFor("bob", "INBOX", "Subject: inbound of plain@elsewhere.test", blackbox.Soon)
	s.WaitFor("bob", "INBOX", "Subject: submission of alice@example.testalice@example.test", blackbox.Soon)
	traced(t, s, "drop@elsewhere.test", "judged", "discarded")
	traced(t, s, "hold@elsewhere.test", "held", "hook: looks odd", "hook: hold (looks odd) [add field X-Hook]")
	if got := len(s.Messages("bob", "INBOX")); got != 2 {
		t.Errorf("%d messages came", got)
	}
	if out := s.Command("queue", "list"); !strings.Contains(out, "held") {
		t.Errorf("the queue: %s", out)
	}
	s.Command("queue", "release")
	if b := s.WaitFor("bob", "INBOX", "Subject: hold", blackbox.Soon); !strings.Contains(string(b), "X-Hook: held\r\n") {
		t.Errorf("released: %s", b)
	}
}
