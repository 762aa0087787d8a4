package imap

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/line"
)

// goodCommands are read, printed and read again with the same meaning. They
// are the seeds of the fuzzer too.
var goodCommands = []string{
	"a CAPABILITY", "a noop", "A.1 LOGOUT", "a STARTTLS", "a NAMESPACE", "a CHECK", "a CLOSE", "a UNSELECT", "a IDLE", "a EXPUNGE",
	`a LOGIN alice "pass\"word\\"`, "a LOGIN {5}\r\nalice {3+}\r\na c", `a LOGIN "" ""`,
	"a AUTHENTICATE PLAIN", "a AUTHENTICATE plain AGFsaWNlAHB3", "a AUTHENTICATE EXTERNAL =",
	"a ENABLE CONDSTORE x-good", "a ID NIL", `a ID ("name" "mutt" "version" NIL)`, "a ID ()",
	"a SELECT INBOX", "a SELECT inbox", `a EXAMINE "~peter/mail/&U,BTFw-/&ZeVnLIqe-"`, "a SELECT A&-B", "a SELECT {5}\r\nblurb",
	"a CREATE owatagusiam/", `a CREATE MySent (USE (\Sent))`, "a DELETE x", "a SUBSCRIBE x", "a UNSUBSCRIBE #news.x", "a RENAME INBOX old",
	`a LIST "" *`, `a LIST "" "%"`, `a LIST ~/Mail/ %`, `a LSUB "#news." "comp.mail.*"`,
	`a LIST (SPECIAL-USE) "" * RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)`, `a LIST () "" *`,
	"a STATUS blurdybloop (UIDNEXT MESSAGES)", "a STATUS x (messages recent uidvalidity unseen)",
	"a FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])", "a FETCH 1 ALL", "a FETCH 1:* fast", "a FETCH *:4,2 FULL",
	"a UID FETCH 1:* (UID FLAGS RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY INTERNALDATE)",
	"a UID FETCH 1:* (FLAGS) (PARTIAL -1:-3 CHANGEDSINCE 7)", "a UID FETCH 1:* UID (PARTIAL 5:1)", "a FETCH 1 BODY.PEEK[1.2.MIME]<0.100>", "a FETCH 1 BODY[]", "a FETCH 1 BODY[TEXT]", "a FETCH 1 BODY[4.2.HEADER]",
	"a FETCH 1 (RFC822 RFC822.HEADER RFC822.TEXT BODY[3] BODY.PEEK[HEADER.FIELDS.NOT (Received \"X\")])",
	`a STORE 2:4 +FLAGS (\Deleted)`, `a STORE 1 FLAGS \Seen \Answered $Forwarded`, "a UID STORE 1,3,* -FLAGS.SILENT (a A b)", "a STORE 1 FLAGS ()",
	"a COPY 2:4 MEETING", "a UID COPY 1 {3+}\r\na b", "a MOVE 1 x", "a UID MOVE 1:* Trash", "a UID EXPUNGE 3000:3002",
	"a SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"", "a SEARCH TEXT \"string not in mailbox\"",
	"a SEARCH CHARSET UTF-8 TEXT {6}\r\nabc de", "a UID SEARCH UNSEEN SUBJECT x", "a SEARCH OR (1:4 SEEN) UID 7 (NOT (NOT 2))",
	"a SEARCH ALL ANSWERED BCC a BEFORE 01-Jan-2020 BODY b CC c DELETED DRAFT HEADER List-Id \"\" KEYWORD k LARGER 5 NEW OLD ON \"1-Jan-2020\"",
	"a SEARCH RECENT SEEN SENTBEFORE 1-Jan-1990 SENTON 2-Jan-1990 SENTSINCE 3-Jan-1990 SMALLER 4294967295 TO x UNANSWERED UNDELETED UNDRAFT UNFLAGGED UNKEYWORD z UNSEEN",
	"a SELECT x (CONDSTORE)", "a SELECT x (QRESYNC (67890007 20050715194045000 41,43:211,214:541))", "a EXAMINE x (QRESYNC (1 2))",
	"a SELECT x (CONDSTORE QRESYNC (1 2 (1,3:4 1,5:6)))", "a SELECT x (QRESYNC (67890007 90060115194045000 1:29997 (5000,7500 15000,22500)))",
	"a UID FETCH 1:* (FLAGS MODSEQ) (CHANGEDSINCE 12345 VANISHED)", "a FETCH 1 FLAGS (CHANGEDSINCE 0)", "a FETCH 1 ALL (CHANGEDSINCE 9223372036854775807)",
	`a STORE 1 (UNCHANGEDSINCE 0) +FLAGS.SILENT (\Seen)`, "a UID STORE 1 (UNCHANGEDSINCE 12) FLAGS ()",
	"a SEARCH MODSEQ 620162338", `a SEARCH MODSEQ "/flags/\\draft" all 620162338 SEEN`,
	`a LIST (RECURSIVEMATCH SUBSCRIBED) "" ("INBOX" "Sent/%") RETURN (STATUS (MESSAGES SIZE) MYRIGHTS METADATA ("/private/comment" /shared/x))`,
	`a LIST "" (INBOX)`, `a LIST (REMOTE) "" * RETURN ()`, "a STATUS x (HIGHESTMODSEQ SIZE DELETED APPENDLIMIT)",
	"a COMPRESS deflate", "a LANGUAGE", "a LANGUAGE de en-GB default i-default", "a UNAUTHENTICATE", "a GETJMAPACCESS",
	"a NOTIFY NONE", "a notify set status (selected (MessageNew (uid body.peek[header.fields (from to subject)]) MessageExpunge)) (subtree Lists (MessageNew MessageExpunge))",
	"a NOTIFY SET (MAILBOXES (a b) (MessageNew)) (personal NONE) (inboxes (FlagChange Frobnication)) (subscribed (MailboxName)) (selected-delayed (MessageNew))",
	"a SEARCH CHARSET KOI8-R TEXT {1}\r\n\xc1", "a SEARCH SUBJECT \"日本\"",
	"a SEARCH $", "a SEARCH UID $ SMALLER 4096", "a FETCH $ FLAGS", "a STORE $ +FLAGS (a)", "a COPY $ x", "a UID EXPUNGE $", "a SEARCH OR $ 1,3000:3021 TEXT x",
	"a SEARCH RETURN () ALL", "a SEARCH RETURN (MIN MAX COUNT ALL SAVE) CHARSET UTF-8 ALL", "a UID SEARCH RETURN (PARTIAL -1:-100) UNDELETED",
	"a SEARCH RETURN (partial 4:2) ALL", "a SEARCH RETURN (UPDATE CONTEXT COUNT) ALL", "a SEARCH RETURN (RELEVANCY ALL) FUZZY TEXT Helo",
	"a SEARCH YOUNGER 3600 OLDER 1 UIDAFTER 3 UIDBEFORE 4 EMAILID M-1_x THREADID T1 SAVEDBEFORE 1-Jan-2020 SAVEDON 1-Jan-2020 SAVEDSINCE 1-Jan-2020 SAVEDATESUPPORTED",
	"a SEARCH X-GM-MSGID 9223372036854775807 X-GM-THRID 1 X-GM-LABELS \\Inbox X-GM-LABELS \"a b\" X-GM-RAW \"is:unread\"",
	"a SORT (SUBJECT) UTF-8 SINCE 1-Feb-1994", "a UID SORT (REVERSE DATE ARRIVAL) us-ascii ALL", "a SORT RETURN (PARTIAL 1:10) (RELEVANCY) UTF-8 FUZZY TEXT World",
	"a SORT (DISPLAYFROM DISPLAYTO CC FROM TO SIZE) \"UTF-8\" RETURN (COUNT) ALL", "a THREAD REFERENCES UTF-8 SINCE 5-MAR-2000", "a UID THREAD refs UTF-8 ALL",
	`a CANCELUPDATE "B01" "B02"`, "a UIDBATCHES 2000", "a UIDBATCHES 2000 10:20", "a ESEARCH ALL", "a UID ESEARCH FROM x 1:100", "a ESEARCH RETURN (COUNT) UNSEEN",
	`a ESEARCH IN (mailboxes "folder1" subtree (a b) subtree-one c selected inboxes personal subscribed) RETURN (MIN) CHARSET UTF-8 UNSEEN`,
	"a APPEND x (\\Seen) {1+}\r\na \" 7-Feb-1994 21:52:25 -0800\" ~{1+}\r\n\x00 ($x) {0}\r\n",
	"a APPEND x CATENATE (URL /x;UID=1 TEXT {1+}\r\na TEXT ~{1+}\r\nb URL {1+}\r\n/) (\\Seen) CATENATE (TEXT {1+}\r\na) UTF8 (~{1+}\r\na) {1+}\r\nb",
	"a REPLACE 4 x (\\Seen) {1+}\r\na", "a UID REPLACE * Drafts UTF8 (~{1+}\r\na)", "a UID REPLACE 4294967295 x CATENATE (URL a)",
	"a FETCH 1 (BINARY[1.2]<0.5> BINARY.PEEK[] BINARY.SIZE[3] EMAILID THREADID SAVEDATE PREVIEW (LAZY) UID X-GM-MSGID X-GM-THRID X-GM-LABELS)",
	"a FETCH 1 PREVIEW", "a FETCH 1 preview (lazy) (CHANGEDSINCE 3)", "a FETCH 1 (PREVIEW) (CHANGEDSINCE 3)",
	`a STORE 1 +X-GM-LABELS (\Inbox "a b" c)`, "a UID STORE 1 (UNCHANGEDSINCE 3) -X-GM-LABELS.SILENT (x)", "a STORE 1 X-GM-LABELS ()",
	"a APPEND saved-messages (\\Seen $x) \" 7-Feb-1994 21:52:25 -0800\" {3}\r\nabc", "a APPEND x {0+}\r\n",
}

var badCommands = []string{
	"", " ", "a", "a ", "+a NOOP", "a NOOP ", "a  NOOP", "a NOOP x", "a FROB", "a UID", "a UID NOOP", "a UID EXPUNGE", "(a) NOOP",
	"a LOGIN alice", "a LOGIN a b c", `a LOGIN "a b`, "a LOGIN {5}\r\nali", "a LOGIN {2}\r\na\x00 b", "a LOGIN \"\xff\" b", `a LOGIN "\a" b`,
	"a LOGIN {-1}\r\n b", "a LOGIN {99999999999999999999}\r\n b", "a AUTHENTICATE PLAIN *", "a AUTHENTICATE PLAIN abc",
	"a SELECT", "a SELECT &", "a SELECT &AAA", "a SELECT &AGE-", "a SELECT &AOkA-", "a SELECT é", "a SELECT \"é\"", "a SELECT *", "a SELECT &2AA-",
	"a CREATE x (FOO)", "a STATUS x ()", "a STATUS x (FOO)", "a STATUS x", "a LIST \"\"", "a LSUB () \"\" *", "a LIST (FOO) \"\" *",
	"a FETCH 0 FLAGS", "a FETCH 1 ()", "a FETCH 1 FROB", "a FETCH 4294967296 FLAGS", "a FETCH 1, FLAGS", "a FETCH 1:2:3 FLAGS", "a FETCH 1 (FLAGS ALL)",
	"a FETCH 1 BODY[MIME]", "a FETCH 1 BODY[0]", "a FETCH 1 BODY[1.]", "a FETCH 1 BODY[HEADER.FIELDS]", "a FETCH 1 BODY[HEADER.FIELDS ()]",
	"a FETCH 1 BODY[]<0.0>", "a FETCH 1 BODY[]<0>", "a FETCH 1 BODY[x]", "a FETCH 1 BODY[HEADER.FIELDS (a:b)]", "a FETCH 1 BODY.PEEK",
	`a STORE 1 FLAG (\Seen)`, `a STORE 1 FLAGS`, `a STORE 1 *FLAGS (\Seen)`, `a STORE 1 FLAGS (\Seen`, "a STORE 1 FLAGS (%)",
	"a SEARCH", "a SEARCH ", "a SEARCH FROB", "a SEARCH OR 1", "a SEARCH NOT", "a SEARCH ()", "a SEARCH ON 32-Jan-2020", "a SEARCH BODY {1}\r\n\xff",
	"a SELECT x (QRESYNC (0 1))", "a SELECT x (QRESYNC (1 0))", "a SELECT x (QRESYNC (1 1 *))", "a SELECT x ()", "a SELECT x (FROB)",
	"a FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)", "a UID FETCH 1 FLAGS (VANISHED)", "a FETCH 1 FLAGS (CHANGEDSINCE 9223372036854775808)", "a FETCH 1 FLAGS ()",
	`a STORE 1 (UNCHANGEDSINCE) FLAGS (\Seen)`, `a STORE 1 () FLAGS (\Seen)`, `a SEARCH MODSEQ "/flags/x" some 1`, `a LIST (RECURSIVEMATCH) "" *`, `a LIST "" ()`,
	`a LIST "" * RETURN (STATUS)`, "a COMPRESS", "a NOTIFY", "a NOTIFY SET", "a NOTIFY SET STATUS", "a NOTIFY SET (selected MessageNew)", "a NOTIFY SET (mailboxes (MessageNew))",
	"a NOTIFY SET (personal (MessageNew (UID)))", "a LANGUAGE" + strings.Repeat(" a", maxLanguages+1), "a APPEND x", "a APPEND x (\\Seen)", "a APPEND x \"1-Jan-2020\" {1}\r\na", "a ID", "a ID x", "a ID (\"a\")",
	"a FETCH 1 UID (PARTIAL 1:2)", "a UID FETCH 1 UID (PARTIAL 1)", "a SEARCH RETURN (ALL)", "a SEARCH RETURN ALL 1", "a SEARCH RETURN (FOO) 1", "a SEARCH RETURN (PARTIAL 1) ALL", "a SEARCH RETURN (PARTIAL 1:*) ALL",
	"a SEARCH RETURN (PARTIAL *:1) ALL", "a SEARCH RETURN (PARTIAL 1:-1) ALL", "a SEARCH RETURN (PARTIAL -1:1) ALL", "a SEARCH RETURN (PARTIAL 0:1) ALL",
	"a SEARCH RETURN (PARTIAL 1:2 ALL) ALL", "a SEARCH RETURN (PARTIAL 1:2 PARTIAL 1:3) ALL", "a SEARCH RETURN (RELEVANCY) TEXT x", "a SEARCH $,1", "a SEARCH YOUNGER 0",
	"a SEARCH MODSEQ 9223372036854775808", "a SEARCH EMAILID a.b", "a SEARCH FUZZY", "a SEARCH UIDAFTER *",
	"a SORT () UTF-8 ALL", "a SORT (FROB) UTF-8 ALL", "a SORT (SUBJECT) ALL", "a SORT (REVERSE) UTF-8 ALL", "a SORT (RELEVANCY) UTF-8 TEXT x", "a SORT SUBJECT UTF-8 ALL",
	"a THREAD FROB UTF-8 ALL", "a THREAD REFERENCES ALL", "a CANCELUPDATE", "a UIDBATCHES", "a UIDBATCHES 0", "a UIDBATCHES x", "a UIDBATCHES 2000 10", "a UIDBATCHES 2000 0:1",
	"a ESEARCH", "a ESEARCH IN () ALL", "a ESEARCH IN (selected-delayed) ALL", "a ESEARCH IN (mailboxes) ALL", "a ESEARCH IN (personal (x)) ALL",
	"a APPEND x {1+}\r\na{1+}\r\nb", "a APPEND x CATENATE ()", "a APPEND x CATENATE (TEXT {1+}\r\na", "a APPEND x CATENATE (FROB {1+}\r\na)", "a APPEND x UTF8 ({1+}\r\na",
	"a APPEND x CATENATE (URL x)x", "a APPEND x CATENATE(URL x)", "a UID APPEND x {1+}\r\na", "a REPLACE 0 x {1+}\r\na", "a REPLACE 1:2 x {1+}\r\na",
	"a REPLACE 1 x {1+}\r\na {1+}\r\nb", "a REPLACE 1 {1+}\r\na",
	"a FETCH 1 BINARY", "a FETCH 1 BINARY[TEXT]", "a FETCH 1 BINARY[1.MIME]", "a FETCH 1 BINARY.SIZE[1]<0.1>", "a FETCH 1 PREVIEW (FAST)", `a STORE 1 X-GM-LABELS (%)`,
	"a SEARCH " + strings.Repeat("(", 60) + "ALL" + strings.Repeat(")", 60),
	"a SEARCH " + strings.Repeat("NOT ", 60) + "ALL", "a FETCH " + strings.Repeat("1,", MaxSet) + "1 FLAGS",
	"a SEARCH " + strings.Repeat("ALL ", MaxList) + "ALL", strings.Repeat("a", MaxTag+1) + " NOOP",
}

// reprint prints a request so that it can be read again.
func reprint(r Request) []byte { return bytes.TrimSuffix(Print(r), []byte("\r\n")) }

func TestCommandsRoundTrip(t *testing.T) {
	for _, s := range goodCommands {
		r, err := Parse([]byte(s))
		if err != nil {
			t.Errorf("%q: %v", s, err)
			continue
		}
		printed := reprint(r)
		again, err := Parse(printed)
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Errorf("%q printed as %q: %v\n%+v\n%+v", s, printed, err, r.Command, again.Command)
		}
	}
}

func TestBadCommands(t *testing.T) {
	for _, s := range badCommands {
		r, err := Parse([]byte(s))
		var bad *BadError
		if !errors.As(err, &bad) {
			t.Errorf("%.60q: read as %+v, %v", s, r.Command, err)
		}
	}
}

func TestTagOfBadCommand(t *testing.T) {
	for s, want := range map[string]string{"x1 FROB": "x1", "x1 SELECT": "x1", "x1": "", "(": "", "+ NOOP": ""} {
		_, err := Parse([]byte(s))
		if got := err.(*BadError).Tag; got != want {
			t.Errorf("%q: tag %q, want %q", s, got, want)
		}
	}
}

func TestMailboxNames(t *testing.T) {
	for name, coded := range map[string]string{
		"": "", "INBOX": "INBOX", "A&B": "A&-B", "~peter/mail/台北/日本語": "~peter/mail/&U,BTFw-/&ZeVnLIqe-",
		"Entwürfe": "Entw&APw-rfe", "😀": "&2D3eAA-", "a\tb": "a&AAk-b", "&&": "&-&-", "é&é": "&AOk-&-&AOk-",
	} {
		if got := EncodeMailbox(name); got != coded {
			t.Errorf("%q encoded as %q, want %q", name, got, coded)
		}
		if got, err := DecodeMailbox(coded); err != nil || got != name {
			t.Errorf("%q decoded as %q, %v", coded, got, err)
		}
	}
	for _, s := range []string{"&", "&x", "&AGE-", "&AOk", "&AOkA-", "&AO-", "&AOl-", "&AOk-&AOk-", "\x80", "\x1f", "&2D0-", "&3gA-", "&2D3YPQ-", "&A/k-", "&AOk=-"} {
		if got, err := DecodeMailbox(s); err == nil {
			t.Errorf("%q decoded as %q", s, got)
		}
	}
}

func TestSets(t *testing.T) {
	for _, c := range []struct {
		set, spans string
		top        uint32
	}{
		{"1:*", "1:7", 7}, {"*:1", "1:7", 7}, {"*", "7", 7}, {"5,3,4,1", "1,3:5", 7}, {"9:*", "7:9", 7}, {"1:4294967295,2:3", "1:4294967295", 7}, {"2:3,3:5,7", "2:5,7", 9},
	} {
		p := &parser{b: []byte(c.set)}
		if got := Set(p.set().Spans(c.top)).String(); got != c.spans || p.err != nil {
			t.Errorf("%s with * = %d: %s, %v; want %s", c.set, c.top, got, p.err, c.spans)
		}
	}
	if got := SetOf([]uint32{1, 2, 3, 7, 9, 8}).String(); got != "1:3,7,9,8" {
		t.Error(got)
	}
}

// dialogue reads all commands of what a client sends and notes what happens.
func dialogue(d *Decoder, in string) string {
	var out strings.Builder
	d.Lines = line.NewReader(strings.NewReader(in))
	d.Continue = func() error { out.WriteString("+ "); return nil }
	for {
		r, err := d.Read()
		var bad *BadError
		switch {
		case errors.As(err, &bad):
			out.WriteString("BAD(" + bad.Tag + ") ")
			continue
		case err != nil:
			out.WriteString(err.Error())
			return out.String()
		}
		out.WriteString(r.Tag + "=" + r.Command.Name() + " ")
		if c, ok := r.Command.(*AppendCommand); ok && !d.Closed {
			if !texts(d, c, &out) {
				return out.String()
			}
		}
	}
}

// texts reads what follows of an APPEND.
func texts(d *Decoder, c *AppendCommand, out *strings.Builder) bool {
	for {
		for _, a := range c.Pieces {
			if a.Begins != nil {
				out.WriteString("message ")
			}
			if a.IsURL {
				out.WriteString("url(" + a.URL + ") ")
			}
		}
		a := c.Text()
		if a == nil {
			return true
		}
		m, err := d.Message(a)
		if err != nil {
			out.WriteString(err.Error())
			return false
		}
		b, _ := io.ReadAll(m)
		out.WriteString("<" + string(b) + "> ")
		var bad *BadError
		switch err := d.Next(c); {
		case errors.As(err, &bad):
			out.WriteString("BAD ")
			return true
		case err != nil:
			out.WriteString(err.Error())
			return false
		}
	}
}

func TestDecoder(t *testing.T) {
	big := strings.Repeat("x", 200)
	for _, c := range []struct{ in, want string }{
		{"a NOOP\r\nb NOOP\r\n", "a=NOOP b=NOOP EOF"},
		{"a LOGIN {1}\r\nx {1+}\r\ny\r\nb NOOP\r\n", "+ a=LOGIN b=NOOP EOF"},
		{"a FROB {1}\r\nb NOOP\r\n", "BAD(a) b=NOOP EOF"},
		{"a FROB {6+}\r\nc NOOP\r\nb NOOP\r\n", "BAD(a) b=NOOP EOF"},
		{"a LOGIN {200}\r\nb NOOP\r\n", "BAD(a) b=NOOP EOF"},
		{"a LOGIN {200+}\r\n" + big + " {3+}\r\nabc\r\nb NOOP\r\n", "BAD(a) b=NOOP EOF"},
		{"a LOGIN {60+}\r\n" + big[:60] + " {60}\r\nb NOOP\r\n", "BAD(a) b=NOOP EOF"},
		{"a LOGIN {2000000+}\r\n", "imap: literal too large"},
		{"a LOGIN {99999999999999999999+}\r\nb NOOP\r\n", "BAD(a) b=NOOP EOF"},
		{"a NOOP\nb NOOP\r\n", "BAD() b=NOOP EOF"},
		{"a LOGIN {1+}\r\nx y\nb NOOP\r\n", "imap: a line must end in CRLF and hold no other CR, LF or NUL"},
		{strings.Repeat("x", MaxLine+1) + "\r\nb NOOP\r\n", "imap: line too long"},
		{strings.Repeat("x", 1001) + "\r\nb NOOP\r\n", "imap: line too long"},
		{"a X " + strings.Repeat("{0+}\r\n", 200) + "\r\nb NOOP\r\n", "imap: line too long"},
		{"a X " + strings.Repeat("x", 920) + "{70+}\r\n" + big[:70] + "\r\nb NOOP\r\n", "BAD(a) b=NOOP EOF"},
		{"a LOGIN {10}\r\nx", "+ unexpected EOF"},
		{"a APPEND x {500+}\r\n" + big + big + big[:100] + "\r\nb NOOP\r\n", "a=APPEND message <" + big + big + big[:100] + "> b=NOOP EOF"},
		{"a APPEND {1}\r\nx (\\Seen) {3}\r\nabc\r\nb NOOP\r\n", "+ a=APPEND message + <abc> b=NOOP EOF"},
		{"a APPEND x {3}\r\nabc {3}\r\ndef\r\nb NOOP\r\n", "a=APPEND message + <abc> message + <def> b=NOOP EOF"},
		{"a APPEND x {3}\r\nabc (\\Seen) \" 1-Jan-2020 00:00:00 +0000\" ~{1+}\r\n\x00\r\nb NOOP\r\n", "a=APPEND message + <abc> message <\x00> b=NOOP EOF"},
		{"a APPEND x {3}\r\nabc def {3+}\r\nghi {1+}\r\nx {1}\r\nb NOOP\r\n", "a=APPEND message + <abc> BAD b=NOOP EOF"},
		{"a APPEND x {3}\r\nabc def\r\nb NOOP\r\n", "a=APPEND message + <abc> BAD b=NOOP EOF"},
		{"a APPEND x CATENATE (URL \"/a\" URL /b TEXT {3}\r\nabc URL {2}\r\n/c TEXT {1+}\r\nx) {1}\r\ny\r\nb NOOP\r\n",
			"a=APPEND message url(/a) url(/b) + <abc> + url(/c) <x> message + <y> b=NOOP EOF"},
		{"a APPEND x CATENATE (URL /a)\r\nb NOOP\r\n", "a=APPEND message url(/a) b=NOOP EOF"},
		{"a APPEND x CATENATE (TEXT {1}\r\nx URL {200}\r\nb NOOP\r\n", "a=APPEND message + <x> BAD b=NOOP EOF"},
		{"a APPEND x UTF8 (~{1}\r\nx)\r\nb NOOP\r\n", "a=APPEND message + <x> b=NOOP EOF"},
		{"a APPEND x UTF8 (~{1}\r\nx\r\nb NOOP\r\n", "a=APPEND message + <x> BAD b=NOOP EOF"},
		{"a REPLACE 4 x {1}\r\ny\r\nb UID REPLACE * x {1+}\r\ny {1}\r\nc NOOP\r\n", "a=REPLACE message + <y> b=REPLACE message <y> BAD c=NOOP EOF"},
		{"a APPEND x y {3}\r\nb NOOP\r\n", "+ BAD(a) EOF"},
	} {
		if got := dialogue(&Decoder{MaxLiterals: 100, MaxCommand: 1000}, c.in); got != c.want {
			t.Errorf("%.80q:\n got %s\nwant %s", c.in, got, c.want)
		}
	}
	if got := dialogue(&Decoder{MaxLiterals: 100, Closed: true}, "a APPEND x {3+}\r\nabc\r\nb NOOP\r\n"); got != "a=APPEND b=NOOP EOF" {
		t.Error(got)
	}
}

func TestEncoderLiteral(t *testing.T) {
	text := strings.Repeat("0123456789", 10_000)
	var out strings.Builder
	for _, e := range []*Encoder{{W: &out}, {}} {
		out.Reset()
		if err := e.Raw("* ").Literal(int64(len(text)), iotest.OneByteReader(strings.NewReader(text))); err != nil {
			t.Fatal(err)
		}
		_ = e.Raw(".").Flush()
		if got := out.String() + string(e.Bytes()); got != "* {100000}\r\n"+text+"." {
			t.Errorf("%d octets", len(got))
		}
	}
	// A text that ends too early must not be taken for the whole.
	out.Reset()
	e := &Encoder{W: &out}
	if err := e.Literal(20, strings.NewReader("0123456789")); err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
	if e.Raw(")\r\n").Flush() != io.ErrUnexpectedEOF || strings.Contains(out.String(), ")") {
		t.Errorf("%q", out.String())
	}
}

func TestEncoder(t *testing.T) {
	e := &Encoder{}
	e.Status("", "NO", "", "").Status("a", "OK", "X 1", "gr\u00fc\u00dfe\r\n")
	e.NString("").SP().String("a\"b\\").SP().String("a\x00\n").SP().AString("nil").SP().AString("x]").SP().Mailbox("\u65e5").SP()
	e.Flags(Flags{System: mail.FlagSeen | mail.FlagDraft, Keywords: []string{"k"}}).SP()
	e.DateTime(time.Date(1994, 2, 7, 21, 52, 25, 0, time.FixedZone("", -8*3600)))
	want := "* NO .\r\na OK [X 1] gr????e??\r\n" + `NIL "a\"b\\" {3}` + "\r\na?\n" + ` "nil" x] &ZeU- (\Seen \Draft k) " 7-Feb-1994 21:52:25 -0800"`
	if got := string(e.Bytes()); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// UID EXPUNGE of the saved result is not EXPUNGE of all.
func TestUIDExpungeSaved(t *testing.T) {
	r, err := Parse([]byte("a UID EXPUNGE $"))
	if c, ok := r.Command.(*ExpungeCommand); err != nil || !ok || !ByUID(c) || !c.Set.Saved() {
		t.Errorf("%+v, %v", r.Command, err)
	}
}
