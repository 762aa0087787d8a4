package filter

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// asked is the last request to a server.
type asked struct {
	header http.Header
	path   string
	body   string
}

// answering runs a server that gives one answer to all.
func answering(t *testing.T, status int, body string) (url string, last *asked) {
	t.Helper()
	last = &asked{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		*last = asked{r.Header, r.URL.Path, string(b)}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL, last
}

func at(url string) HTTPOptions { return HTTPOptions{URL: url, Timeout: 5 * time.Second} }

func TestRspamd(t *testing.T) {
	url, last := answering(t, 200, `{"is_skipped":false,"score":7.5,"required_score":15,"action":"add header",
		"symbols":{"A":{"name":"A","score":1,"options":["x"]},"B":{"name":"B","score":-8.25},"C":{"score":0}},
		"messages":{"x":["y"]},"message-id":"m","dkim-signature":["v=1; a\n b","v=1; c"],
		"milter":{"add_headers":{"X-Spamd":{"value":"yes\r\n","order":1},"X-Spam":["a",{"value":"b","order":0}]},"remove_headers":{"X-Old":0,"X-Two":[1,-1]}}}`)
	o := NewRspamd(at(url+"/")).Ask(t.Context(), shown(letter))
	want := Opinion{Says: Junk, Reason: "add header, 7.50 of 15.00: B(-8.25) A(1.00) C(0.00)", Edits: []Edit{
		{Change: RemoveFields, Name: "X-Old"}, {Change: ChangeField, Index: 1, Name: "X-Two"}, {Change: ChangeField, Index: -1, Name: "X-Two"},
		{Change: AddField, Name: "X-Spam", Value: " a"}, {Change: AddField, Name: "X-Spam", Value: " b"}, {Change: AddField, Name: "X-Spamd", Value: " yes"},
		{Change: InsertField, Index: 1, Name: "DKIM-Signature", Value: " v=1; a\r\n b"}, {Change: InsertField, Index: 1, Name: "DKIM-Signature", Value: " v=1; c"},
	}}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("%+v\nwant\n%+v", o, want)
	}
	if last.body != letter || last.path != "/checkv2" {
		t.Errorf("it was sent %q %q", last.path, last.body)
	}
	for name, want := range map[string]string{
		"From": "s@sender.test", "Rcpt": "a@example.test|b@example.test", "Ip": "192.0.2.7", "Helo": "peer.test", "User": "alice@example.test",
		"Queue-Id": mail.ArrivalID{1, 2}.String(), "Mta-Name": "mx.example.test", "Tls-Version": "TLSv1.3", "Tls-Cipher": "TLS_AES_128_GCM_SHA256", "Milter": "Yes",
	} {
		if got := strings.Join(last.header[name], "|"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestRspamdActions(t *testing.T) {
	says := func(s Says) Opinion { return Opinion{Says: s} }
	for in, want := range map[string]Opinion{
		`{"action":"no action"}`:                            says(Nothing),
		`{"action":"greylist"}`:                             says(Nothing),
		`{"is_skipped":true}`:                               says(Nothing),
		`{"action":"add header"}`:                           says(Junk),
		`{"action":"quarantine"}`:                           says(Hold),
		`{"action":"discard"}`:                              says(Discard),
		`{"action":"reject"}`:                               says(Reject),
		`{"action":"soft reject"}`:                          says(Defer),
		`{"action":"rewrite subject","subject":"[spam] x"}`: {Says: Junk, Edits: []Edit{{Change: ChangeField, Index: 1, Name: "Subject", Value: " [spam] x"}}},
		`{"action":"reject","messages":{"smtp_message":"Gtube pattern"}}`:     {Says: Reject, Reply: smtp.Answer(554, smtp.Enhanced{5, 7, 1}, "Gtube pattern")},
		`{"action":"soft reject","messages":{"smtp_message":"Try\r\nlater"}}`: {Says: Defer, Reply: smtp.Answer(451, smtp.Enhanced{4, 7, 1}, "Try  later")},
	} {
		o := parseRspamd([]byte(in))
		o.Reason = ""
		if !reflect.DeepEqual(o, want) {
			t.Errorf("%s: %+v, want %+v", in, o, want)
		}
	}
	for _, in := range []string{
		``, `[]`, `{}`, `{"action":"eat"}`, `{"error":"no such thing"}`, `{"action":"reject"`, `{"action":"no action","milter":{"add_headers":{"A B":"c"}}}`,
		`{"action":"no action","milter":{"add_headers":{"A":[["b"]]}}}`, `{"action":"no action","milter":{"add_headers":{"A":5}}}`,
		`{"action":"no action","milter":{"remove_headers":{"A":"all"}}}`, `{"action":"no action","dkim-signature":7}`,
		`{"action":"no action","milter":{"add_headers":{"A":"` + strings.Repeat("x", MaxAdded) + `"}}}`,
	} {
		if o := parseRspamd([]byte(in)); o.Err == nil || o.Says != Nothing || o.Edits != nil {
			t.Errorf("%.80s: %+v", in, o)
		}
	}
}

func TestHook(t *testing.T) {
	url, last := answering(t, 200, `{"action":"reject","reason":"policy 7","reply":{"code":550,"enhanced":"5.7.9","text":"not\r\nhere"},
		"headers":[{"op":"add","name":"X-A","value":"b\nc"},{"op":"replace","name":"Subject","value":"new"},{"op":"remove","name":"X-B"}]}`)
	m := shown(strings.Repeat(letter, 5000))
	m.Submitted = true
	o := NewHook(HookOptions{HTTPOptions: at(url + "/in"), Secret: "s3"}).Ask(t.Context(), m)
	want := Opinion{Says: Reject, Reason: "policy 7", Reply: smtp.Answer(550, smtp.Enhanced{5, 7, 9}, "not  here"), Edits: []Edit{
		{Change: AddField, Index: 1, Name: "X-A", Value: " b\r\n\tc"}, {Change: ChangeField, Index: 1, Name: "Subject", Value: " new"},
		{Change: RemoveFields, Index: 1, Name: "X-B"},
	}}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("%+v\nwant\n%+v", o, want)
	}
	var got struct {
		HookRequest
		Message []byte `json:"message"`
	}
	if err := json.Unmarshal([]byte(last.body), &got); err != nil {
		t.Fatal(err)
	}
	request := HookRequest{
		Version: 1, ID: m.ID.String(), At: m.At.UTC(), Direction: "submission", Server: "mx.example.test", User: "alice@example.test", Size: m.Size,
		Peer:     HookPeer{"192.0.2.7", 4711, "peer.test", "TLS1.3 TLS_AES_128_GCM_SHA256"},
		Envelope: HookEnvelope{From: "s@sender.test", To: []string{"a@example.test", "b@example.test"}},
	}
	if !reflect.DeepEqual(got.HookRequest, request) || string(got.Message) != strings.Repeat(letter, 5000) || last.path != "/in" {
		t.Errorf("it was sent %+v", got.HookRequest)
	}
	stamp, sum, _ := strings.Cut(strings.TrimPrefix(last.header.Get(SignatureHeader), "t="), ",v1=")
	mac := hmac.New(sha256.New, []byte("s3"))
	_, _ = io.WriteString(mac, stamp+"."+last.body)
	if sum != hex.EncodeToString(mac.Sum(nil)) {
		t.Errorf("signature %q", last.header.Get(SignatureHeader))
	}
	if NewHook(HookOptions{HTTPOptions: at(url)}).Ask(t.Context(), m); last.header.Get(SignatureHeader) != "" {
		t.Error("a signature without a secret")
	}
}

func TestHookAnswers(t *testing.T) {
	for in, want := range map[string]Says{
		``: Nothing, `{"action":"accept"}`: Nothing, `{"action":"junk"}`: Junk, `{"action":"quarantine"}`: Hold, `{"action":"defer"}`: Defer,
		`{"action":"discard"}`: Discard, `{"action":"reject"}`: Reject, `{"action":"defer","reply":{"code":421,"text":"x"}}`: Defer,
	} {
		if o := parseHook([]byte(in)); o.Err != nil || o.Says != want {
			t.Errorf("%s: %+v", in, o)
		}
	}
	for _, in := range []string{
		`{}`, `null`, `[]`, `{"action":"eat"}`, `{"action":"accept","reply":{"code":250,"text":"x"}}`, `{"action":"reject","reply":{"code":450,"text":"x"}}`,
		`{"action":"reject","reply":{"code":550,"enhanced":"4.7.1","text":"x"}}`, `{"action":"reject","reply":{"code":550,"enhanced":"x","text":"x"}}`,
		`{"action":"reject","reply":{"code":550,"text":""}}`, `{"acton":"reject"}`, `{"action":"accept","headers":[{"op":"eat","name":"A"}]}`,
		`{"action":"accept","headers":[{"op":"add","name":"A:","value":"b"}]}`, `{"action":"accept","headers":[{"op":"add","name":"","value":"b"}]}`,
	} {
		if o := parseHook([]byte(in)); o.Err == nil || o.Says != Nothing {
			t.Errorf("%s: %+v", in, o)
		}
	}
}

// TestHTTPFails has servers that are none.
func TestHTTPFails(t *testing.T) {
	silent, err := net.Listen("unix", filepath.Join(t.TempDir(), "silent"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	status := func(n int, body string) string { url, _ := answering(t, n, body); return url }
	for name, url := range map[string]string{
		"an error": status(500, "oh"), "a redirection": status(302, ""), "not there": status(404, ""), "too much": status(200, strings.Repeat(" ", maxAnswer+1)),
		"nobody": "http://127.0.0.1:1", "no answer": "unix:" + silent.Addr().String(), "no socket": "unix:/nonexistent/socket",
	} {
		o := HTTPOptions{URL: url, Timeout: 200 * time.Millisecond}
		if name == "too much" {
			o.Timeout = 5 * time.Second
		}
		for _, a := range []Asker{NewRspamd(o), NewHook(HookOptions{HTTPOptions: o})} {
			if o := a.Ask(t.Context(), shown(letter)); o.Err == nil || o.Says != Nothing {
				t.Errorf("%s: %T: %+v", name, a, o)
			}
		}
	}
	url, _ := answering(t, 204, "")
	if o := NewHook(HookOptions{HTTPOptions: at(url)}).Ask(t.Context(), shown(letter)); !reflect.DeepEqual(o, Opinion{}) {
		t.Errorf("no content: %+v", o)
	}
}

func TestPlace(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:8891": "tcp 127.0.0.1:8891", "[::1]:8891": "tcp [::1]:8891", "inet:8891@localhost": "tcp localhost:8891", "inet6:8891@[::1]": "tcp [::1]:8891",
		"unix:/run/x": "unix /run/x", "local:/run/x": "unix /run/x", "/run/x": "unix /run/x", "filter.test:1": "tcp filter.test:1",
		"": "", "localhost": "", ":25": "", "unix:x": "", "inet:25": "", "inet:@host": "",
	} {
		network, address, err := Place(in)
		if got := strings.TrimSpace(network + " " + address); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v, want %q", in, got, err, want)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	for _, s := range []string{`{"action":"reject","symbols":{"A":{"score":1}},"milter":{"add_headers":{"X":["a",{"value":"b"}]}}}`,
		`{"action":"defer","reply":{"code":450,"enhanced":"4.1.1","text":"x"},"headers":[{"op":"add","name":"X","value":"y\nz"}]}`,
		"stream: X FOUND", "INSTREAM size limit exceeded. ERROR"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, o := range []Opinion{parseRspamd(b), parseHook(b), parseClamd(string(b))} {
			if len(o.Reason) > MaxReason || o.Err != nil && (o.Says != Nothing || o.Edits != nil) || strings.ContainsAny(o.Reason, "\r\n\x00") {
				t.Errorf("%+v", o)
			}
			for _, e := range o.Edits {
				if strings.ContainsAny(strings.ReplaceAll(strings.ReplaceAll(e.Value, "\r\n ", ""), "\r\n\t", ""), "\r\n\x00") || strings.ContainsAny(e.Name, "\r\n :") {
					t.Errorf("%+v could end the header", e)
				}
			}
		}
	})
}
