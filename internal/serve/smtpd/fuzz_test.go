package smtpd

import (
	"io"
	"strings"
	"testing"
)

// FuzzSession: whatever a peer sends, nothing breaks, each transaction ends, and
// every line that comes back is a reply. What is sent in one piece and what is
// sent in several is answered alike.
func FuzzSession(f *testing.F) {
	f.Add(uint8(0), uint16(7), begun+"DATA\r\n..x\r\n.\r\nQUIT\r\n")
	f.Add(uint8(0), uint16(50), begun+"BDAT 3\r\na\r\nNOOP\r\nBDAT 3 LAST\r\nb\r\nMAIL FROM:<early@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 4\r\nNOOPRSET\r\n")
	f.Add(uint8(1), uint16(1), "EHLO x\r\nAUTH PLAIN\r\n*\r\nAUTH LOGIN\r\nYQ==\r\nYQ==\r\nMAIL FROM:<a@b.c>\r\n")
	f.Add(uint8(2), uint16(30), "LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<late@b.c>\r\nRCPT TO:<x@b.c>\r\nDATA\r\nbare\rcr\r\n.\r\nBDAT 9999\r\n")
	f.Add(uint8(0), uint16(9), "HELO x\r\nMAIL FROM:<a@b.c> SIZE=1\r\n\n.\n\x00\r\nSTARTTLS\r\nVRFY x\r\nEXPN y\r\nHELP\r\nGET / HTTP/1.1\r\n")
	f.Add(uint8(1), uint16(99), "EHLO x\r\nAUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==\r\nMAIL FROM:<a@b.c> AUTH=<>\r\nRCPT TO:<x@b.c>\r\nDATA\r\n.\r\n")
	f.Add(uint8(0), uint16(3), "EHLO x\r\nMAIL FROM:<a@b.c> BODY=BINARYMIME BY=120;RT MT-PRIORITY=-3 SOLICIT=a:b RET=FULL ENVID=x\r\nRCPT TO:<x@b.c> NOTIFY=SUCCESS ORCPT=rfc822;x@b.c\r\nDATA\r\nMAIL FROM:<a@b.c> BODY=BINARYMIME\r\nRCPT TO:<x@b.c>\r\nBDAT 7 LAST\r\nA:\r\n\r\n\x00MAIL FROM:<a@b.c>\r\nRCPT TO:<x@b.c>\r\nBDAT 3\r\n\n.\nBDAT 0 LAST\r\n")
	f.Add(uint8(1), uint16(40), "EHLO x\r\nAUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==\r\nMAIL FROM:<a@b.c> HOLDFOR=60 BY=30;N\r\nMAIL FROM:<a@b.c> HOLDUNTIL=2030-01-01T00:00:00Z\r\nRCPT TO:<x@b.c>\r\nDATA\r\n\r\n.\n\r\n.\r\n")
	f.Add(uint8(2), uint16(5), "LHLO x\r\nMAIL FROM:<> BODY=BINARYMIME REQUIRETLS\r\nMAIL FROM:<> BODY=BINARYMIME\r\nRCPT TO:<late@b.c>\r\nRCPT TO:<x@b.c>\r\nBDAT 2\r\n\r\nBDAT 2 LAST\r\n\n\nQUIT\r\n")
	login := newLogin(f)
	f.Fuzz(func(t *testing.T, mode uint8, step uint16, in string) {
		whole := converse(t, Options{Mode: Mode(mode % 3), Auth: login}, in, len(in)+1)
		pieces := converse(t, Options{Mode: Mode(mode % 3), Auth: login}, in, int(step)+1)
		if whole != pieces {
			t.Fatalf("%q in one piece: %q\nin pieces of %d: %q", in, whole, step+1, pieces)
		}
		for l := range strings.Lines(whole) {
			text, ok := strings.CutSuffix(l, "\r\n")
			if !ok || len(text) < 4 || text[0] < '2' || text[0] > '5' || text[3] != ' ' && text[3] != '-' {
				t.Fatalf("%q: not a reply: %q", in, l)
			}
		}
	})
}

// converse sends in, in pieces of n octets, and gives all that is answered.
func converse(t *testing.T, o Options, in string, n int) string {
	return converseWith(t, &recorder{}, o, in, n)
}

// converseWith lets a handler of the caller's write down what it is asked.
func converseWith(t *testing.T, h *recorder, o Options, in string, n int) string {
	t.Helper()
	j := &journal{}
	o.Hostname, o.Handler, o.Sink, o.PlaintextAuth = "mx", h, j, true
	o.Limits = Limits{GreetDelay: -1, TarpitDelay: -1, MessageSize: 2000, Drain: 5000, Errors: 100}
	run := start(New(o))
	c := run.connect()
	for rest := in; rest != ""; {
		k := min(n, len(rest))
		if _, err := io.WriteString(c.pipe, rest[:k]); err != nil {
			break
		}
		rest = rest[k:]
		if k < len(in) {
			c.pipe.quiet()
		}
	}
	c.pipe.quiet()
	_ = c.pipe.CloseWrite()
	got, err := io.ReadAll(c.pipe)
	if err != nil {
		t.Fatal(err)
	}
	c.pipe.leave()
	if err := run.stop(); err != nil {
		t.Fatal(err)
	}
	if h.open != 0 {
		t.Fatalf("%q: %d transactions never ended", in, h.open)
	}
	if told := j.take(); strings.Contains(told, "internal.failed") && !strings.Contains(told, "cannot be") && !strings.Contains(told, "the handler broke") &&
		!strings.Contains(told, "replies for") {
		t.Fatalf("%q: %s", in, told)
	}
	return string(got)
}
