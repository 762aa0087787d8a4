package crash

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

var (
	idLine   = regexp.MustCompile(`Subject: (id-\S+-end)`)
	uidOf    = regexp.MustCompile(`UID (\d+)`)
	sizeOf   = regexp.MustCompile(`RFC822\.SIZE (\d+)`)
	exists   = regexp.MustCompile(`^\* (\d+) EXISTS`)
	uidNext  = regexp.MustCompile(`UIDNEXT (\d+)`)
	headings = "BODY.PEEK[HEADER.FIELDS (SUBJECT)]"
)

// letter is a message as bob sees it.
type letter struct {
	id, uid string
	size    int
	flagged bool
}

// fetch lists messages of the open mailbox.
func fetch(c *blackbox.IMAP, set string) ([]letter, error) {
	all, err := c.Do(fmt.Sprintf("FETCH %s (UID FLAGS RFC822.SIZE %s)", set, headings))
	var found []letter
	for _, r := range all {
		if len(r.Literals) != 1 {
			continue
		}
		l := letter{flagged: strings.Contains(r.Text, `\Flagged`)}
		if m := idLine.FindSubmatch(r.Literals[0]); m != nil {
			l.id = string(m[1])
		}
		if m := uidOf.FindStringSubmatch(r.Text); m != nil {
			l.uid = m[1]
		}
		if m := sizeOf.FindStringSubmatch(r.Text); m != nil {
			l.size, _ = strconv.Atoi(m[1])
		}
		found = append(found, l)
	}
	return found, err
}

// use is bob at his mail: he flags what is new and moves some of it, until the
// line breaks.
func use(t *testing.T, s *blackbox.Server, p *mails) {
	c, err := blackbox.DialIMAP(s.Addr("imaps"), s.TLS(), s.Address("bob"), blackbox.Password)
	for err == nil {
		var n int
		if n, err = c.Select("INBOX"); err != nil || n == 0 {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		var seen []letter
		seen, err = fetch(c, fmt.Sprintf("%d:*", max(1, n-3)))
		for i, l := range seen {
			if err == nil {
				err = p.ask(c, l, i%2 == 1)
			}
		}
	}
	if !broken(err) {
		t.Errorf("bob: %v", err)
	}
	if c != nil {
		_ = c.Close()
	}
}

// ask flags or moves one message.
func (p *mails) ask(c *blackbox.IMAP, l letter, move bool) error {
	what, command := "flag", fmt.Sprintf(`UID STORE %s +FLAGS (\Flagged)`, l.uid)
	if move {
		what, command = "move", fmt.Sprintf("UID MOVE %s Archive", l.uid)
	}
	p.note(func() { p.asked[l.id] = what })
	if _, err := c.Do(command); err != nil {
		return err
	}
	p.note(func() {
		delete(p.asked, l.id)
		p.flag[l.id] = p.flag[l.id] || !move
		p.moved[l.id] = p.moved[l.id] || move
	})
	return nil
}

// check looks for each promise in the mailboxes.
func check(t *testing.T, s *blackbox.Server, p *mails) {
	t.Helper()
	c, err := blackbox.DialIMAP(s.Addr("imaps"), s.TLS(), s.Address("bob"), blackbox.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Logout()
	where, times := map[string]string{}, map[string]int{}
	for _, box := range []string{"INBOX", "Archive"} {
		n := p.open(t, c, box)
		if n == 0 {
			continue
		}
		all, err := fetch(c, "1:*")
		if err != nil || len(all) != n {
			t.Fatalf("%s gave %d of %d messages: %v", box, len(all), n, err)
		}
		for _, l := range all {
			where[l.id] = box
			times[l.id]++
			if p.flag[l.id] && !l.flagged {
				t.Errorf("%s was answered to be flagged and is not", l.id)
			}
			if l.flagged && !p.flag[l.id] && p.asked[l.id] == "" {
				t.Errorf("%s was flagged by nobody", l.id)
			}
			if want, ok := p.size[l.id]; ok && l.size <= want {
				t.Errorf("%s has %d octets, its content alone %d", l.id, l.size, want)
			}
			if p.buried[l.id] {
				t.Errorf("%s was expunged and is there again", l.id)
			}
		}
		checkBodies(t, c, p, n)
	}
	for id := range p.size {
		if times[id] != 1 {
			t.Errorf("%s was answered with 250 and is there %d times", id, times[id])
		}
		if p.moved[id] != (where[id] == "Archive") && p.asked[id] != "move" {
			t.Errorf("%s is in %s; its move was answered: %v", id, where[id], p.moved[id])
		}
	}
}

// open selects a mailbox; its UIDNEXT never falls.
func (p *mails) open(t *testing.T, c *blackbox.IMAP, box string) int {
	t.Helper()
	all, err := c.Do(fmt.Sprintf("SELECT %q", box))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, r := range all {
		if m := uidNext.FindStringSubmatch(r.Text); m != nil {
			next, _ := strconv.Atoi(m[1])
			if next < p.next[box] {
				t.Errorf("UIDNEXT of %s was %d and is %d", box, p.next[box], next)
			}
			p.next[box] = next
		}
		if m := exists.FindStringSubmatch(r.Text); m != nil {
			n, _ = strconv.Atoi(m[1])
		}
	}
	return n
}

// checkBodies reads the last messages whole.
func checkBodies(t *testing.T, c *blackbox.IMAP, p *mails, n int) {
	t.Helper()
	all, err := c.Do(fmt.Sprintf("FETCH %d:* BODY.PEEK[]", max(1, n-150)))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if len(r.Literals) != 1 {
			continue
		}
		b := r.Literals[0]
		m := idLine.FindSubmatch(b)
		if m == nil {
			t.Errorf("a message of nobody: %.200q", b)
			continue
		}
		// The content stands behind our header fields, unchanged.
		if want := p.size[string(m[1])]; want > len(b) || want > 0 && !strings.HasSuffix(string(b), ".\r\n") {
			t.Errorf("%s has %d octets of %d", m[1], len(b), want)
		}
	}
}

// bury expunges all, so that the next round begins with empty mailboxes, and
// what is gone must stay so.
func bury(t *testing.T, s *blackbox.Server, p *mails) {
	t.Helper()
	c, err := blackbox.DialIMAP(s.Addr("imaps"), s.TLS(), s.Address("bob"), blackbox.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Logout()
	for _, box := range []string{"INBOX", "Archive"} {
		n := p.open(t, c, box)
		if n == 0 {
			continue
		}
		for _, command := range []string{`STORE 1:* +FLAGS.SILENT (\Deleted)`, "EXPUNGE"} {
			if _, err := c.Do(command); err != nil {
				t.Fatal(err)
			}
		}
	}
	for id := range p.size {
		p.buried[id] = true
	}
	p.reset()
}

// checkSink waits until all that was promised to go elsewhere has, and looks
// that no more came twice than were under way when the server was killed.
func checkSink(t *testing.T, sink *blackbox.Sink, p *mails, most int) {
	t.Helper()
	came := map[string]int{}
	blackbox.Eventually(t, 20*time.Second, "all that was answered with 250 at the sink", func() bool {
		clear(came)
		for _, m := range sink.Taken() {
			for _, to := range m.To {
				came[to]++
			}
		}
		for _, to := range p.remote {
			if came[to] == 0 {
				return false
			}
		}
		return true
	})
	twice := 0
	for _, n := range came {
		twice += n - 1
	}
	if twice > most {
		t.Errorf("%d deliveries came again; at most %d were under way", twice, most)
	}
}
