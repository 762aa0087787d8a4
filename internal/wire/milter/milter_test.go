package milter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestPackets(t *testing.T) {
	b := AppendPacket(nil, Header, AppendStrings(nil, "Subject", "a\x00b"), []byte("!"))
	if want := "\x00\x00\x00\x0cLSubject\x00a\x00!"; string(b) != want {
		t.Fatalf("%q, want %q", b, want)
	}
	code, data, err := ReadPacket(bytes.NewReader(b), make([]byte, 0, 64))
	if err != nil || Command(code) != Header || string(data) != "Subject\x00a\x00!" {
		t.Errorf("read %q %q %v", code, data, err)
	}
	for _, c := range []struct {
		name, in string
		want     error
	}{
		{"nothing", "", io.EOF},
		{"half a length", "\x00\x00", io.ErrUnexpectedEOF},
		{"half a packet", "\x00\x00\x00\x05Oab", io.ErrUnexpectedEOF},
		{"no data where some is promised", "\x00\x00\x00\x05O", io.ErrUnexpectedEOF},
		{"a packet without a code", "\x00\x00\x00\x00O", ErrSyntax},
		{"4 GiB", "\xff\xff\xff\xffO", ErrSyntax},
		{"HTTP", "HTTP/1.1 400", ErrSyntax},
	} {
		if _, _, err := ReadPacket(strings.NewReader(c.in), nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// options is what a milter answers to the offer.
func options(version uint32, a Actions, p Protocol, macros string) []byte {
	b := binary.BigEndian.AppendUint32(nil, version)
	b = binary.BigEndian.AppendUint32(b, uint32(a))
	return append(binary.BigEndian.AppendUint32(b, uint32(p)), macros...)
}

func TestOptions(t *testing.T) {
	o, err := ParseOptions(options(6, MayAddHeader|MayChooseMacros, NoRcpt|MaySkip, "\x00\x00\x00\x00j {client_addr},i\x00\x00\x00\x00\x06\x00"))
	want := Options{6, MayAddHeader | MayChooseMacros, NoRcpt | MaySkip, map[Stage][]string{AtConnect: {"j", "{client_addr}", "i"}, AtEndHeader: {}}}
	if err != nil || !reflect.DeepEqual(o, want) {
		t.Errorf("%+v %v", o, err)
	}
	if own, err := ParseOptions(Offer()); err != nil || own.Version != Version || own.Actions != AllActions || own.Protocol != Offered {
		t.Errorf("the offer itself: %+v %v", own, err)
	}
	for name, in := range map[string][]byte{
		"short":                   {0, 0, 0, 6},
		"version 1":               options(1, 0, 0, ""),
		"version 7":               options(7, 0, 0, ""),
		"actions not offered":     options(6, 1<<20, 0, ""),
		"steps not offered":       options(6, 0, 1<<11, ""),
		"half a stage":            options(6, 0, 0, "\x00\x00"),
		"macros without an end":   options(6, 0, 0, "\x00\x00\x00\x00j"),
		"macros for stage 7":      options(6, 0, 0, "\x00\x00\x00\x07j\x00"),
		"macros for a high stage": options(6, 0, 0, "\xff\xff\xff\xffj\x00"),
	} {
		if o, err := ParseOptions(in); !errors.Is(err, ErrSyntax) {
			t.Errorf("%s: %+v %v", name, o, err)
		}
	}
}

func TestResponses(t *testing.T) {
	for in, want := range map[string]Response{
		"c":                             {Kind: Continue},
		"p":                             {Kind: Progress},
		"s":                             {Kind: Skip},
		"y550 5.7.1 no\x00":             {Kind: ReplyCode, Text: "550 5.7.1 no"},
		"y451-a\r\n451 b\x00":           {Kind: ReplyCode, Text: "451-a\r\n451 b"},
		"qvirus\x00":                    {Kind: Quarantine, Text: "virus"},
		"bbody":                         {Kind: ReplaceBody, Body: []byte("body")},
		"+<a@x.test>\x00":               {Kind: AddRcpt, Path: "<a@x.test>"},
		"2<a@x.test>\x00NOTIFY=NEVER":   {Kind: AddRcptParams, Path: "<a@x.test>"},
		"-a@x.test\x00":                 {Kind: RemoveRcpt, Path: "a@x.test"},
		"e<>\x00":                       {Kind: ChangeFrom, Path: "<>"},
		"hX-A\x00b\n c\x00":             {Kind: AddHeader, Name: "X-A", Value: "b\n c"},
		"i\x00\x00\x00\x02X-A\x00b\x00": {Kind: InsertHeader, Name: "X-A", Value: "b", Index: 2},
		"m\x00\x00\x00\x01X-A\x00\x00":  {Kind: ChangeHeader, Name: "X-A", Index: 1},
	} {
		if got, err := ParseResponse(in[0], []byte(in[1:])); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v %v, want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{
		"?", "O", "y250 ok\x00", "y55\x00", "y550 no end", "y5500\x00", "qno end", "+\x00", "+no end", "hX-A\x00no end", "hX-A", "h\x00v\x00",
		"hX A\x00v\x00", "hX:\x00v\x00", "hX\r\nY\x00v\x00", "m\x00\x00", "i\x00\x00\x00\x00X",
	} {
		if got, err := ParseResponse(in[0], []byte(in[1:])); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: %+v %v", in, got, err)
		}
	}
}

// FuzzMilter gives whatever a milter could say to all that reads it.
func FuzzMilter(f *testing.F) {
	for _, s := range []string{
		"\x00\x00\x00\x01c", "\x00\x00\x00\x06hA\x00b\x00", "\x00\x00\x00\x0dO" + string(options(6, AllActions, Offered, "")),
		"\x00\x00\x00\x08y550 a\x00\x00\x00\x00\x02p", "\x00\x00\x00\x09m\x00\x00\x00\x01A\x00\x00",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		for {
			code, data, err := ReadPacket(r, nil)
			if err != nil {
				break
			}
			if a, err := ParseResponse(code, data); err == nil && strings.ContainsRune(a.Name+a.Value+a.Path+a.Text, 0) {
				t.Errorf("%+v holds a NUL", a)
			}
		}
		if o, err := ParseOptions(in); err == nil && (o.Version > Version || o.Actions&^AllActions != 0) {
			t.Errorf("%+v", o)
		}
	})
}
