package imapd_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// TestDovecotSortsAlike gives the same mailbox to Dovecot and to us, and asks both
// to search, sort and thread it.
func TestDovecotSortsAlike(t *testing.T) {
	const nobody = 65534
	doveadm, err := exec.LookPath("doveadm")
	if os.Getenv("CI") == "" && (err != nil || os.Getuid() != 0) {
		t.Skip("doveadm and root are needed to run Dovecot")
	}
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "ekiden-dovecot") // another user has to get there
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	w := newWorld(t, nil)
	defer w.close()
	box := filepath.Join(dir, "mail")
	for _, d := range []string{box, filepath.Join(box, "cur"), filepath.Join(box, "new"), filepath.Join(box, "tmp")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	rnd := rand.New(rand.NewPCG(7, 7))
	for i := range 300 {
		raw, at := sortLetter(rnd, i), time.Unix(int64(1_700_000_000+rnd.IntN(1000)*60), 0)
		w.put("INBOX", raw, at)
		file := filepath.Join(box, "cur", fmt.Sprintf("%d.M%06d.x:2,", 1_600_000_000+i, i))
		if err := os.WriteFile(file, []byte(raw), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	conf := dovecotConf(t, dir, box, nobody)
	cmd := exec.Command(doveadm, "-c", conf, "exec", "imap")
	cmd.Env = []string{"USER=nobody", "HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs := &talk{t: t, w: in, r: bufio.NewReader(out)}
	conn := w.ln.dial()
	ours := &talk{t: t, w: conn, r: bufio.NewReader(conn)}
	ours.ask("LOGIN alice@example.test secret")
	theirs.ask("SELECT INBOX")
	ours.ask("SELECT INBOX")
	for _, command := range sortCommands() {
		if a, b := ours.ask(command), theirs.ask(command); a != b {
			t.Errorf("%s:\nwe say   %s\nthey say %s", command, a, b)
		}
	}
	theirs.ask("LOGOUT")
	ours.ask("LOGOUT")
	_, _ = in.Close(), conn.Close()
	if err := cmd.Wait(); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		t.Errorf("%v: %s", err, log)
	}
}

// dovecotConf writes a configuration for a Dovecot that serves one Maildir, and gives
// all below dir to the user it runs as.
func dovecotConf(t *testing.T, dir, box string, uid int) (conf string) {
	conf = filepath.Join(dir, "dovecot.conf")
	text := fmt.Sprintf("mail_location = maildir:%s\nmail_uid = %d\nmail_gid = %d\nfirst_valid_uid = 0\nbase_dir = %s/run\nstate_dir = %s/run\nlog_path = %s/log\nssl = no\n",
		box, uid, uid, dir, dir, dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	err := filepath.Walk(dir, func(p string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(p, uid, uid)
	})
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

func sortCommands() (all []string) {
	for _, by := range []string{"ARRIVAL", "DATE", "SUBJECT", "FROM", "TO", "CC", "SIZE", "DISPLAYFROM", "DISPLAYTO"} {
		all = append(all, "SORT ("+by+") UTF-8 ALL", "UID SORT (REVERSE "+by+") UTF-8 SUBJECT e", "SORT (SUBJECT REVERSE "+by+") UTF-8 NOT FROM a")
	}
	for _, by := range []string{"ORDEREDSUBJECT", "REFERENCES", "REFS"} {
		all = append(all, "THREAD "+by+" UTF-8 ALL", "UID THREAD "+by+" UTF-8 100:250")
	}
	return append(all, "SORT RETURN (MIN MAX COUNT) (REVERSE DATE) UTF-8 FROM b", "SORT RETURN (ALL) (FROM DATE) UTF-8 1:50",
		"SEARCH RETURN (PARTIAL 3:7) TEXT e", "UID SEARCH RETURN (MIN MAX ALL) OR FROM b SUBJECT re", "SEARCH HEADER Subject re",
		// Without a Date, Dovecot takes the date of arrival for it.
		"SEARCH SENTBEFORE 5-Jan-2026 HEADER Date \"\"", "SEARCH SENTON 4-Jan-2026", "SEARCH SENTSINCE 8-Jan-2026", "SEARCH BEFORE 15-Nov-2023", "SEARCH LARGER 400",
		"SEARCH TO b CC c", "SEARCH NOT HEADER Message-ID \"\"", "SEARCH UID 7:9,300:*")
}

// talk is a conversation with a server.
type talk struct {
	t    *testing.T
	w    io.Writer
	r    *bufio.Reader
	tags int
}

// ask sends a command and gives the untagged SEARCH, SORT, THREAD and ESEARCH
// responses.
func (k *talk) ask(command string) (heard string) {
	k.tags++
	tag := "a" + strconv.Itoa(k.tags)
	if _, err := io.WriteString(k.w, tag+" "+command+"\r\n"); err != nil {
		k.t.Fatal(command, err)
	}
	for {
		l, err := k.r.ReadString('\n')
		if err != nil {
			k.t.Fatal(command, err)
		}
		l = strings.TrimSpace(l)
		switch word, _, _ := strings.Cut(strings.TrimPrefix(l, "* "), " "); {
		case strings.HasPrefix(l, tag+" OK"):
			return heard
		case strings.HasPrefix(l, tag+" "):
			k.t.Fatal(command, l)
		case word == "ESEARCH":
			_, l, _ = strings.Cut(l, ") ")
			fallthrough
		case word == "SEARCH" || word == "SORT" || word == "THREAD":
			heard += l
		}
	}
}

// put is deliver, of a message that came at some time.
func (w *world) put(box, content string, at time.Time) {
	h, err := w.blobs.Put(w.t.Context(), []byte(content))
	if err != nil {
		w.t.Fatal(err)
	}
	ix, err := message.Parse(strings.NewReader(content), int64(len(content)))
	if err != nil {
		w.t.Fatal(err)
	}
	err = w.boxes.Update(w.t.Context(), 0, w.alice, func(tx *mailbox.Tx) error {
		b, err := tx.BoxByName(box)
		if err == nil {
			_, err = tx.Add(b.ID, mailbox.NewMessage{Content: h, Index: ix, Received: at})
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// sortLetter is a letter as threads are made of.
func sortLetter(rnd *rand.Rand, i int) string {
	var b strings.Builder
	pick := func(from ...string) string { return from[rnd.IntN(len(from))] }
	id := func(n int) string { return fmt.Sprintf("<%d@example.test>", n) }
	address := func() string {
		return pick("alice@example.test", "Bob <bob@example.test>", `"Zoe" <b.zoe@example.test>`, "=?utf-8?Q?=C3=84mil?= <amil@example.test>", "carol@Example.test (Carol C.)",
			"<Dan@example.test>, eve@example.test", "ALICE <alice@example.org>")
	}
	fmt.Fprintf(&b, "From: %s\r\n", address())
	if rnd.IntN(5) > 0 {
		fmt.Fprintf(&b, "To: %s\r\n", address())
	}
	if rnd.IntN(3) == 0 {
		fmt.Fprintf(&b, "Cc: %s\r\n", address())
	}
	// Every date is another, as who comes first on a tie of threads is not said.
	if rnd.IntN(10) > 0 {
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rnd.IntN(15*24*60))*time.Minute + time.Duration(i)*time.Second)
		fmt.Fprintf(&b, "Date: %s\r\n", at.In(time.FixedZone("", 3600*(rnd.IntN(20)-10))).Format("Mon, 2 Jan 2006 15:04:05 -0700"))
	}
	subject := pick("hello", "Meeting", "invoice", "meeting", "köln", "x", "[list] hello", "")
	for range rnd.IntN(3) {
		subject = pick("Re: ", "re:", "Fwd: ", "FW: ", "[a] Re: ", "Re[2]: ", "") + subject + pick("", "", " (fwd)")
	}
	if strings.Contains(subject, "ö") {
		subject = "=?utf-8?Q?" + strings.NewReplacer("ö", "=C3=B6", " ", "_", "[", "=5B", "]", "=5D").Replace(subject) + "?="
	}
	if subject != "" {
		fmt.Fprintf(&b, "Subject: %s\r\n", subject)
	}
	if rnd.IntN(15) > 0 {
		fmt.Fprintf(&b, "Message-ID: %s\r\n", id(i))
	}
	if rnd.IntN(2) == 0 && i > 0 {
		var refs []string
		for range 1 + rnd.IntN(3) {
			refs = append(refs, id(max(0, i-1-rnd.IntN(40))))
		}
		if rnd.IntN(4) == 0 {
			refs[0] = id(1000 + rnd.IntN(20)) // that is nowhere
		}
		fmt.Fprintf(&b, "References: %s\r\n", strings.Join(refs, " "))
	} else if rnd.IntN(4) == 0 {
		fmt.Fprintf(&b, "In-Reply-To: %s\r\n", id(i/2))
	}
	fmt.Fprintf(&b, "\r\n%s\r\n", strings.Repeat("body ", 1+rnd.IntN(60)))
	return b.String()
}
