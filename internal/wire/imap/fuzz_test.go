package imap

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// FuzzCommand checks that what is read is printed so that it is read the same.
func FuzzCommand(f *testing.F) {
	for _, s := range append(goodCommands, badCommands...) {
		if len(s) < 4<<10 {
			f.Add([]byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Parse(reprint(r))
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Fatalf("%q printed as %q: %v\n%+v\n%+v", b, reprint(r), err, r.Command, again.Command)
		}
	})
}

// FuzzDecoder checks that a connection's bytes never make it panic or stand
// still, and that it never keeps more than its limits.
func FuzzDecoder(f *testing.F) {
	f.Add("a NOOP\r\nb LOGIN {1}\r\nx {1+}\r\ny\r\n")
	f.Add("a APPEND x {3+}\r\nabc\r\n")
	f.Add("a FETCH 1 {200+}\r\nabc\r\n")
	f.Add("a APPEND x CATENATE (TEXT {3+}\r\nabc URL {1+}\r\n/ TEXT ~{1}\r\nx) (\\Seen) {1}\r\ny UTF8 (~{1+}\r\nx)\r\n")
	f.Add("a UID REPLACE 7 x {1}\r\ny {2+}\r\nab\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		d := &Decoder{MaxLiterals: 100}
		dialogue(d, in)
		if cap(d.buf) > keepBuffer {
			t.Fatal("a buffer was kept")
		}
	})
}

// FuzzMailbox checks both directions of modified UTF-7.
func FuzzMailbox(f *testing.F) {
	for _, s := range []string{"", "INBOX", "A&-B", "&U,BTFw-", "&2D3eAA-", "&", "日本語", "a\x00b", "&AOk-&-x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if name, err := DecodeMailbox(s); err == nil {
			if coded := EncodeMailbox(name); coded != s {
				t.Fatalf("%q is %q, written %q", s, name, coded)
			}
		}
		coded := EncodeMailbox(s)
		name, err := DecodeMailbox(coded)
		if err != nil || name != strings.ToValidUTF8(s, "\uFFFD") && name != string([]rune(s)) {
			t.Fatalf("%q written %q read %q, %v", s, coded, name, err)
		}
	})
}

var responses = []string{
	"+ idling", "+", "+ ", "* OK ready", "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready", "a1 NO [ALREADYEXISTS] no", "* 23 EXISTS", "* 1 EXPUNGE",
	`* LIST (\Noselect) "/" ~/Mail/foo`, "* SEARCH 2 84 882", "* SEARCH", `* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292)`,
	`* FLAGS (\Answered \Deleted)`, `* OK [PERMANENTFLAGS (\Deleted \*)] Limited`, "* BYE bye", "a OK [APPENDUID 38505 3955] done",
	"* 12 FETCH (BODY[HEADER.FIELDS (DATE FROM)]<0> {5}\r\nhello FLAGS (\\Seen) UID 7 ENVELOPE (NIL \"x\" ((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\"))))",
	"* 1 FETCH (BINARY[1]<0> ~{3}\r\na\x00b BINARY.SIZE[1] 3)",
	`* NAMESPACE (("" "/")) NIL NIL`, "* ENABLED",
}

// FuzzResponse checks that what the client reads is printed so that it is read
// the same.
func FuzzResponse(f *testing.F) {
	for _, s := range responses {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseResponse(b)
		if err != nil {
			return
		}
		printed := bytes.TrimSuffix(r.Print(), []byte("\r\n"))
		again, err := ParseResponse(printed)
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Fatalf("%q printed as %q: %v\n%+v\n%+v", b, printed, err, r, again)
		}
	})
}

func TestResponses(t *testing.T) {
	for _, s := range responses {
		if _, err := ParseResponse([]byte(s)); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", "*", "* ", "* OK", "* 1 OK x", "a EXISTS", "* X  y", "* X (", "* X \"", "* SEARCH 1 ", "* X ()(", "* 1 FETCH (UID 1 )", "* X ]"} {
		if r, err := ParseResponse([]byte(s)); err == nil {
			t.Errorf("%q read as %+v", s, r)
		}
	}
}
