package clients

import (
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// findScript asks with Python's imaplib, which reads what SORT and THREAD answer.
const findScript = `
import imaplib, ssl, sys
port, ca, user, password = sys.argv[1:]
m = imaplib.IMAP4_SSL('127.0.0.1', int(port), ssl_context=ssl.create_default_context(cafile=ca))
m.login(user, password)
m.select('INBOX')
def show(*a):
    status, data = a
    print(status, *[d.decode() if d else '-' for d in data])
show(*m.search(None, 'SUBJECT', '"lunch 2"'))
m.literal = 'lunch 3'.encode()
show(*m.search('UTF-8', 'BODY', 'Line', 'SUBJECT'))
show(*m.uid('SEARCH', 'UNSEEN', 'NOT', 'SUBJECT', 'lunch'))
show(*m.sort('(REVERSE SUBJECT)', 'UTF-8', 'SUBJECT', 'lunch'))
show(*m.uid('SORT', '(SUBJECT ARRIVAL)', 'UTF-8', 'ALL'))
show(*m.thread('ORDEREDSUBJECT', 'UTF-8', 'ALL'))
show(*m.uid('THREAD', 'REFERENCES', 'UTF-8', 'SUBJECT', '"dinner 1"'))
show(*m.search(None, 'RETURN', '(COUNT)', 'ALL'))
show(*m.response('ESEARCH'))
show(*m.search(None, 'RETURN', '(SAVE)', 'SUBJECT', 'dinner'))
show(*m.fetch('$', '(UID)'))
m.logout()
`

func TestImaplibFinds(t *testing.T) {
	blackbox.Need(t, "python3")
	s, dir := demo(t), t.TempDir()
	fill(t, s, "lunch", 3)
	fill(t, s, "dinner", 2)
	s.WaitFor("bob", "INBOX", "Subject: dinner 2", soon)
	out := blackbox.Run(t, dir, "", "python3", "-c", findScript, s.Port("imaps"), s.CA, s.Address("bob"), blackbox.Password)
	want := []string{
		"OK 2", "OK 3", "OK 4 5", "OK 3 2 1", "OK 4 5 1 2 3", "OK (1)(2)(3)(4)(5)", "OK (4)",
		"OK -", `ESEARCH (TAG "`, "OK -", "OK 4 (UID 4) 5 (UID 5)",
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%s", out)
	}
	for i, l := range lines {
		if !strings.HasPrefix(l, want[i]) || i == 8 && !strings.HasSuffix(l, `COUNT 5`) {
			t.Errorf("line %d: %q, want %q", i+1, l, want[i])
		}
	}
}
