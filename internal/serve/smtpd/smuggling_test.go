package smtpd

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// falseEnds are all ways to write an end of content that some server somewhere has
// taken for one (CVE-2023-51764, CVE-2023-51765, CVE-2023-51766 and their kin).
var falseEnds = []string{
	"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r", "\r.\n", "\r\r\n.\r\r\n", "\r\n.\r\r\n",
	"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\x00\r\n.\x00\r\n", "\n\r.\n\r", "\n\n.\r\n\r\n", "\r\n\r.\r\n", "\n.\n\n",
}

// TestSmuggling: no such end ends a message, by DATA or by BDAT, whole or cut
// into packets, and what follows it is never carried out (RFC 5321 §4.1.1.4).
func TestSmuggling(t *testing.T) {
	const evil = "MAIL FROM:<evil@bar.example>\r\nRCPT TO:<c@foo.example>\r\nDATA\r\nSubject: hidden\r\n\r\nhidden\r\n.\r\n"
	for _, end := range falseEnds {
		content := "Subject: outer\r\n\r\ntext" + end + strings.ReplaceAll(evil, "\r\n.\r\n", "\r\n..\r\n")
		for how, in := range map[string]string{
			"DATA": begun + "DATA\r\n" + content + "\r\n.\r\nNOOP\r\n",
			"BDAT": begun + fmt.Sprintf("BDAT %d LAST\r\n%sNOOP\r\n", len(content), content),
			"BDAT in two": begun + fmt.Sprintf("BDAT %d\r\n%sBDAT %d LAST\r\n%sNOOP\r\n",
				len("Subject: outer\r\n\r\ntext")+1, content[:len("Subject: outer\r\n\r\ntext")+1],
				len(content)-len("Subject: outer\r\n\r\ntext")-1, content[len("Subject: outer\r\n\r\ntext")+1:]),
		} {
			for _, step := range []int{1, 7, 1 << 20} {
				h := &recorder{}
				got := converseWith(t, h, Options{}, in, step)
				asked := h.take()
				if strings.Contains(asked, "evil") || strings.Contains(asked, "hidden") && strings.Count(asked, "begin") > 1 || strings.Contains(asked, "content ") {
					t.Errorf("%q by %s: %s", end, how, asked)
				}
				if !strings.Contains(got, "550 5.6.0 ") || !strings.HasSuffix(got, "250 2.0.0 Ok\r\n") {
					t.Errorf("%q by %s: %q", end, how, got)
				}
			}
		}
	}
}

// TestBinaryHides: in a binary message all of these are content like any other.
func TestBinaryHides(t *testing.T) {
	for _, end := range append(falseEnds, "\r\n.\r\n") {
		content := "A: b\r\n\r\ntext" + end + "MAIL FROM:<evil@bar.example>\r\n"
		h := &recorder{}
		got := converseWith(t, h, Options{}, strings.Replace(begun, "bar.example>\r\n", "bar.example> BODY=BINARYMIME\r\n", 1)+
			fmt.Sprintf("BDAT %d LAST\r\n%sNOOP\r\n", len(content), content), 5)
		if asked := h.take(); !strings.HasSuffix(asked, fmt.Sprintf("content %q", content)) || strings.Count(asked, "begin") != 1 || !strings.HasSuffix(got, "250 2.0.0 Accepted\r\n250 2.0.0 Ok\r\n") {
			t.Errorf("%q: %s\n%q", end, asked, got)
		}
	}
}

// TestCommandsInCommands: a line ends in CRLF and nothing else, in commands too.
func TestCommandsInCommands(t *testing.T) {
	for _, in := range []string{
		"NOOP\nMAIL FROM:<evil@bar.example>\r\n", "NOOP\rMAIL FROM:<evil@bar.example>\r\n", "NOOP\x00\r\n", "RCPT TO:<a@b.example>\n\r\nMAIL FROM:<evil@bar.example>\n",
		"AUTH PLAIN\nMAIL FROM:<evil@bar.example>\r\n",
	} {
		h := &recorder{}
		got := converseWith(t, h, Options{}, "EHLO bar.example\r\n"+in, 1<<20)
		if asked := h.take(); strings.Contains(asked, "evil") || !strings.Contains(got, "500 5.5.2 A line ends in CRLF") && !strings.Contains(got, "421") && !strings.HasSuffix(in, ">\n") {
			t.Errorf("%q: %s, %q", in, asked, got)
		}
	}
}

// TestGroups: what must be the last command of a group is (RFC 2920 §3.1), where
// a stranger says it; QUIT may be followed by anything.
func TestGroups(t *testing.T) {
	const envelope = "MAIL FROM:<a@bar.example>\r\nRCPT TO:<b@foo.example>\r\n"
	for _, c := range []struct {
		packets string // with | between
		want    string // the last reply
	}{
		{"EHLO x\r\nMAIL FROM:<a@bar.example>\r\n", "554 5.5.1 You did not wait for the reply to EHLO; goodbye"},
		{"HELO x\r\n|" + envelope, "554 5.5.1 You did not wait for the reply to MAIL; goodbye"},
		{"EHLO x\r\n|" + envelope + "RSET\r\n" + envelope + "DATA\r\n|x\r\n.\r\n" + envelope + "DATA\r\n", "354 Send the message; a line with a dot alone ends it"},
		{"EHLO x\r\n|" + envelope + "DATA\r\nSubject: x\r\n", "554 5.5.1 You did not wait for the reply to DATA; goodbye"},
		{"EHLO x\r\n|" + envelope + "BDAT 1\r\nxBDAT 1 LAST\r\nyRSET\r\n", "250 2.0.0 Ok"},
		{"NOOP\r\nNOOP\r\n", "554 5.5.1 You did not wait for the reply to NOOP; goodbye"},
		{"VRFY x\r\nRSET\r\n", "554 5.5.1 You did not wait for the reply to VRFY; goodbye"},
		{"HELP\r\nRSET\r\n", "554 5.5.1 You did not wait for the reply to HELP; goodbye"},
		{"QUIT\r\nQUIT\r\n", "221 2.0.0 mx Goodbye"},
	} {
		synctest.Test(t, func(t *testing.T) {
			run := start(New(Options{Hostname: "mx", Handler: &recorder{}}))
			x := run.connect()
			time.Sleep(time.Second)
			got := x.hear()
			for packet := range strings.SplitSeq(c.packets, "|") {
				got = x.tell(packet)
			}
			if last(got) != c.want {
				t.Errorf("%q: %q, want %q", c.packets, last(got), c.want)
			}
			x.pipe.Close()
			if err := run.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}
