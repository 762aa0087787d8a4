package filter

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/milter"
)

// talk has a milter hear of a message from its beginning to its end. body is
// what it put in place of the old one.
func talk(t *testing.T, m *Milter, msg *Message) (o Opinion, body string) {
	t.Helper()
	var b bytes.Buffer
	msg.NewBody = func() (io.Writer, error) { return &b, nil }
	before := *msg
	before.Fields = nil
	k := m.Begin(t.Context(), &before)
	defer k.Close()
	for _, to := range msg.Envelope.To {
		if o := k.Rcpt(t.Context(), &before, to); o.Says != Nothing {
			return o, ""
		}
	}
	return k.Content(t.Context(), msg), b.String()
}

// TestMilterHears has what a milter is told, word for word.
func TestMilterHears(t *testing.T) {
	id := mail.ArrivalID{1, 2}.String()
	all := []string{
		"O ", "DC j|mx.example.test|_|unknown [192.0.2.7]|{daemon_name}|mx.example.test|{daemon_addr}|192.0.2.1|{daemon_port}|25|v|Ekiden|" +
			"{client_addr}|192.0.2.7|{client_port}|4711|{client_name}|unknown|{client_ptr}|unknown|",
		"C [192.0.2.7]|4\x12g192.0.2.7|",
		"DH {tls_version}|TLSv1.3|{cipher}|TLS_AES_128_GCM_SHA256|{cipher_bits}|128|", "H peer.test|",
		"DM i|" + id + "|{auth_type}|PLAIN|{auth_authen}|alice@example.test|{auth_author}|alice@example.test|{mail_addr}|s@sender.test|{mail_host}|sender.test|{mail_mailer}|smtp|",
		"M <s@sender.test>|BODY=8BITMIME|",
		"DR i|" + id + "|{rcpt_addr}|a@example.test|{rcpt_host}|example.test|{rcpt_mailer}|smtp|", "R <a@example.test>|",
		"DR i|" + id + "|{rcpt_addr}|b@example.test|{rcpt_host}|example.test|{rcpt_mailer}|smtp|", "R <b@example.test>|",
		"DT i|" + id + "|", "T ", "L Received|from a\n\tby b|", "L Subject|hello|", "DN i|" + id + "|", "N ", "B the body\r\n", "DE i|" + id + "|", "E ", "Q ",
	}
	cases := []struct {
		name string
		o    milter.Options
		want func(line string) (string, bool)
	}{
		{"all", everything(), func(l string) (string, bool) { return l, true }},
		{"without answers", milter.Options{Version: 6, Protocol: milter.ConnectNoReply | milter.HeloNoReply | milter.MailNoReply | milter.RcptNoReply |
			milter.DataNoReply | milter.HeaderNoReply | milter.EndHeadNoReply | milter.BodyNoReply}, func(l string) (string, bool) { return l, true }},
		{"only the body", milter.Options{Version: 2, Protocol: milter.NoConnect | milter.NoHelo | milter.NoMail | milter.NoRcpt | milter.NoData |
			milter.NoHeader | milter.NoEndHeader}, func(l string) (string, bool) { return l, strings.Contains("OBEQ", l[:1]) || l[:2] == "DE" }},
		{"only the header, with the space", milter.Options{Version: 6, Protocol: milter.NoBody | milter.LeadingSpace}, func(l string) (string, bool) {
			if l[0] == 'L' {
				l = strings.Replace(l, "|", "| ", 1)
			}
			return l, l[0] != 'B'
		}},
		{"macros of its own choice", milter.Options{Version: 6, Macros: map[milter.Stage][]string{
			milter.AtConnect: {"j"}, milter.AtHelo: {}, milter.AtMail: {"{nothing}"}, milter.AtRcpt: {}, milter.AtData: {}, milter.AtEndHeader: {}, milter.AtEndBody: {"tls_version"},
		}}, func(l string) (string, bool) {
			switch l[:2] {
			case "DC":
				return "DC j|mx.example.test|", true
			case "DE":
				return "DE {tls_version}|TLSv1.3|", true
			}
			return l, l[0] != 'D'
		}},
	}
	for _, c := range cases {
		f := runFake(t, c.o, nil)
		if o, _ := talk(t, f.milter(5*time.Second), shown(letter)); !reflect.DeepEqual(o, Opinion{}) {
			t.Errorf("%s: %+v", c.name, o)
		}
		var want []string
		for _, l := range all {
			if l, ok := c.want(l); ok {
				want = append(want, l)
			}
		}
		heard := f.all(t)
		if !slices.Equal(heard, want) {
			t.Errorf("%s: it heard\n%s\nwant\n%s", c.name, strings.Join(heard, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestMilterSays has each answer at each place.
func TestMilterSays(t *testing.T) {
	for _, c := range []struct {
		name string
		say  answers
		want Opinion
	}{
		{"no connection", answers{'C': {"r"}}, Opinion{Says: Reject}},
		{"not now", answers{'H': {"t"}}, Opinion{Says: Defer}},
		{"a reply of its own", answers{'M': {"y550 5.7.9 100%% spam\x00"}}, Opinion{Says: Reject, Reason: "550 5.7.9 100% spam"}},
		{"the end", answers{'M': {"4"}}, Opinion{Says: Defer}},
		{"a recipient it does not want", answers{'R': {"y450 4.2.0 grey\x00"}}, Opinion{Says: Defer, Reason: "450 4.2.0 grey"}},
		{"enough", answers{'R': {"a"}, 'T': {"r"}}, Opinion{}},
		{"away with it", answers{'T': {"d"}}, Opinion{Says: Discard}},
		{"a field", answers{'L': {"r"}}, Opinion{Says: Reject}},
		{"the header", answers{'N': {"p", "p", "y451-4.3.0 a\r\n451 4.3.0 b\x00"}}, Opinion{Says: Defer, Reason: "451 4.3.0 a b"}},
		{"the body", answers{'B': {"r"}}, Opinion{Says: Reject}},
		{"enough of the body", answers{'B': {"s"}, 'E': {"c"}}, Opinion{}},
		{"after patience", answers{'E': {"p", "p", "a"}}, Opinion{}},
		{"quarantine", answers{'E': {"qodd\x00", "c"}}, Opinion{Says: Hold, Reason: "odd"}},
		{"quarantine and no more", answers{'E': {"qodd\x00", "a"}}, Opinion{Says: Hold, Reason: "odd"}},
		{"quarantine, then refusal", answers{'E': {"qodd\x00", "r"}}, Opinion{Says: Reject}},
	} {
		f := runFake(t, everything(), c.say)
		o, _ := talk(t, f.milter(5*time.Second), shown(letter))
		o.Reply.Text = nil
		o.Reply.Code, o.Reply.Enhanced = 0, c.want.Reply.Enhanced
		if !reflect.DeepEqual(o, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, o, c.want)
		}
		f.all(t)
	}
}

// TestMilterChanges has every change that a milter may ask for.
func TestMilterChanges(t *testing.T) {
	x := mail.Address{Local: "x", Domain: "example.test"}
	f := runFake(t, everything(), answers{'E': {
		"hX-A\x00one\n two\x00", "i\x00\x00\x00\x00X-B\x00b\r\nc\x00", "i\x00\x00\x00\x03X-C\x00\x00", "m\x00\x00\x00\x02Subject\x00new\x00",
		"m\x00\x00\x00\x00Subject\x00\x00", "+<x@example.test>\x00", "2x@example.test\x00NOTIFY=NEVER\x00", "-<x@example.test>\x00", "e<>\x00",
		"e<x@example.test>\x00SIZE=1\x00", "bnew ", "p", "bbody", "qlook\x00", "c",
	}})
	o, body := talk(t, f.milter(5*time.Second), shown(letter))
	want := []Edit{
		{Change: AddField, Name: "X-A", Value: " one\r\n two"},
		{Change: InsertField, Index: 1, Name: "X-B", Value: " b\r\n\tc"},
		{Change: InsertField, Index: 4, Name: "X-C", Value: " "},
		{Change: ChangeField, Index: 2, Name: "Subject", Value: " new"},
		{Change: ChangeField, Index: 1, Name: "Subject"},
		{Change: AddRecipient, Address: x}, {Change: AddRecipient, Address: x}, {Change: RemoveRecipient, Address: x},
		{Change: ChangeSender}, {Change: ChangeSender, Address: x},
		{Change: ReplaceBody},
	}
	if o.Err != nil || o.Says != Hold || body != "new body" || !reflect.DeepEqual(o.Edits, want) {
		t.Errorf("%+v %q", o, body)
	}
	// With the space in front, values are left as they are.
	f = runFake(t, milter.Options{Version: 6, Actions: milter.MayAddHeader, Protocol: milter.LeadingSpace}, answers{'E': {"hX-A\x00\tone\x00", "c"}})
	if o, _ := talk(t, f.milter(5*time.Second), shown(letter)); len(o.Edits) != 1 || o.Edits[0].Value != "\tone" {
		t.Errorf("%+v", o)
	}
}

// TestMilterFails has all ways in which a milter gives no opinion.
func TestMilterFails(t *testing.T) {
	many := append(slices.Repeat([]string{"hX\x00y\x00"}, MaxEdits+1), "c")
	large := append(slices.Repeat([]string{"hX\x00" + strings.Repeat("y", 1<<15) + "\x00"}, 9), "c")
	for name, say := range map[string]answers{
		"garbage at once":        {'O': {"=HTTP/1.1 400 Bad Request\r\n\r\n"}},
		"another answer":         {'O': {"c"}},
		"version 1":              {'O': {"O" + agreed(milter.Options{Version: 1})}},
		"closes at once":         {'O': {"!"}},
		"silence at once":        {'O': {"?"}},
		"silence at HELO":        {'H': {"?"}},
		"closes at RCPT":         {'R': {"!"}},
		"closes in the header":   {'L': {"!"}},
		"half a packet":          {'N': {"=\x00\x00\x00\x09y55", "!"}},
		"no known answer":        {'N': {"Z"}},
		"a change too early":     {'B': {"hX\x00y\x00"}},
		"skip too early":         {'N': {"s"}},
		"closes at the end":      {'E': {"!"}},
		"closes amid changes":    {'E': {"hX\x00y\x00", "!"}},
		"silence at the end":     {'E': {"p", "?"}},
		"a packet without end":   {'E': {"=\x7f\xff\xff\xffh"}},
		"a field without end":    {'E': {"hX", "c"}},
		"a bad address":          {'E': {"+<not an address>\x00", "c"}},
		"too many changes":       {'E': many},
		"too large changes":      {'E': large},
		"a failed connection":    {'M': {"f"}},
		"options in the middle":  {'M': {"O" + agreed(everything())}},
		"a reply that is no 4/5": {'E': {"y250 ok\x00"}},
	} {
		f := runFake(t, everything(), say)
		if o, _ := talk(t, f.milter(100*time.Millisecond), shown(letter)); o.Err == nil || o.Says != Nothing || o.Edits != nil {
			t.Errorf("%s: %+v", name, o)
		}
	}
	for change, may := range map[string]milter.Actions{
		"hX\x00y\x00": milter.MayAddHeader, "bx": milter.MayChangeBody, "+<a@b.test>\x00": milter.MayAddRcpt, "-<a@b.test>\x00": milter.MayRemoveRcpt,
		"m\x00\x00\x00\x01X\x00\x00": milter.MayChangeHeader, "q\x00": milter.MayQuarantine, "e<>\x00": milter.MayChangeFrom, "2<a@b.test>\x00": milter.MayAddRcptParams,
	} {
		f := runFake(t, milter.Options{Version: 6, Actions: milter.AllActions &^ may}, answers{'E': {change, "c"}})
		if o, _ := talk(t, f.milter(time.Second), shown(letter)); !errors.Is(o.Err, milter.ErrSyntax) {
			t.Errorf("%q without leave: %+v", change, o)
		}
	}
	nobody := NewMilter(MilterOptions{Network: "unix", Address: filepath.Join(t.TempDir(), "none"), Timeout: time.Second})
	if o, _ := talk(t, nobody, shown(letter)); !errors.As(o.Err, new(*net.OpError)) {
		t.Errorf("nobody listens: %+v", o)
	}
}

// TestMilterWithinBudget has a milter that asks for patience for ever: the end
// of the context ends that.
func TestMilterWithinBudget(t *testing.T) {
	f := runFake(t, everything(), answers{'E': slices.Repeat([]string{"p"}, 10)})
	msg := shown(letter)
	k := f.milter(time.Minute).Begin(t.Context(), msg)
	defer k.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if o := k.Content(ctx, msg); o.Err == nil || time.Since(start) > 10*time.Second {
		t.Errorf("%+v after %v", o, time.Since(start))
	}
}

// TestMilterLargeBody has a body of many pieces, and one that is skipped.
func TestMilterLargeBody(t *testing.T) {
	text := "Subject: x\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 20_000)
	pieces := func(f *fake) (n int) {
		for _, l := range f.all(t) {
			if l[0] == 'B' {
				n++
			}
		}
		return n
	}
	f := runFake(t, everything(), nil)
	if o, _ := talk(t, f.milter(5*time.Second), shown(text)); o.Err != nil || pieces(f) != 6 {
		t.Errorf("%+v, %d pieces", o, pieces(f))
	}
	f = runFake(t, everything(), answers{'B': {"s"}})
	if o, _ := talk(t, f.milter(5*time.Second), shown(text)); o.Err != nil || pieces(f) != 1 {
		t.Errorf("%+v, %d pieces", o, pieces(f))
	}
}

// FuzzTalk has a milter that says anything at all.
func FuzzTalk(f *testing.F) {
	yes := string(packet("O" + agreed(everything())))
	for _, s := range []string{
		yes + strings.Repeat("\x00\x00\x00\x01c", 12), yes + strings.Repeat("\x00\x00\x00\x01c", 9) + string(packet("hX\x00y\x00")) + string(packet("bnew")) + "\x00\x00\x00\x01a",
		yes + string(packet("y550 no\x00")), yes + "\x00\x00\x00\x01p\x00\x00\x00\x01d", "O",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ours, theirs := net.Pipe()
		var done sync.WaitGroup
		done.Go(func() { _, _ = io.Copy(io.Discard, theirs) })
		done.Go(func() { _, _ = theirs.Write(b); _ = theirs.Close() })
		msg := shown(letter)
		var body bytes.Buffer
		msg.NewBody = func() (io.Writer, error) { return &body, nil }
		k := &Talk{m: NewMilter(MilterOptions{Timeout: time.Second})}
		if err := k.greet(t.Context(), msg, ours); err != nil {
			k.fail(err)
		}
		k.Rcpt(t.Context(), msg, msg.Envelope.To[0])
		o := k.Content(t.Context(), msg)
		k.Close()
		done.Wait()
		if o.Err != nil && (o.Says != Nothing || o.Edits != nil) || len(o.Reason) > MaxReason || len(o.Edits) > MaxEdits {
			t.Errorf("%+v", o)
		}
		if o.Says == Nothing && !o.Reply.IsZero() || o.Reply.Code != 0 && o.Reply.Code < 400 {
			t.Errorf("%+v", o)
		}
	})
}
