package imap

import (
	"reflect"
	"testing"
)

var goodURLs = map[string]URL{
	"/INBOX;UIDVALIDITY=785799047/;UID=113330;section=1.5.9": {},
	"imap://fred@mail.example.test/Entw%C3%BCrfe;UIDVALIDITY=7/;UID=20/;SECTION=1.2.MIME/;PARTIAL=0.1024": {
		User: "fred", Host: "mail.example.test", Mailbox: "Entwürfe", UIDValidity: 7, UID: 20,
		Section: &Section{Path: []uint32{1, 2}, Kind: "MIME"}, Partial: &Partial{0, 1024},
	},
	"imap://mail.example.test/inbox/;uid=4294967295":               {Host: "mail.example.test", Mailbox: "INBOX", UID: 1<<32 - 1},
	"imap://fred%40example.test;AUTH=*@mail.example.test/x/;UID=1": {User: "fred@example.test", Host: "mail.example.test", Mailbox: "x", UID: 1},
	"/a/b/;UID=3/;SECTION=HEADER.FIELDS%20(From%20To)":             {Mailbox: "a/b", UID: 3, Section: &Section{Kind: "HEADER.FIELDS", Fields: []string{"From", "To"}}},
	"/;UID=3/;PARTIAL=5":   {UID: 3, Partial: &Partial{5, 0}},
	";UID=3/;SECTION=TEXT": {UID: 3, Section: &Section{Kind: "TEXT"}},
}

func TestURLs(t *testing.T) {
	for s, want := range goodURLs {
		got, err := ParseURL(s)
		if want.UID == 0 {
			if err == nil {
				t.Errorf("%s: read as %+v", s, got)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "/", "INBOX", "/INBOX", "/INBOX/;UID=0", "/INBOX/;UID=x", "/INBOX/;UID=1/", "/x;UIDVALIDITY=0/;UID=1", "/x/;UID=1/;SECTION=", "/x/;UID=1/;SECTION=FOO",
		"/x/;UID=1/;SECTION=1]", "/x/;UID=1/;PARTIAL=", "/x/;UID=1/;PARTIAL=1.0", "/%zz/;UID=1", "imap://host", "imap:///x/;UID=1", "http://host/x/;UID=1x", "/x/;UID=4294967296",
	} {
		if got, err := ParseURL(s); err == nil {
			t.Errorf("%q: read as %+v", s, got)
		}
	}
}

func FuzzURL(f *testing.F) {
	for s := range goodURLs {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if u, err := ParseURL(s); err == nil && u.UID == 0 {
			t.Fatalf("%q has no UID", s)
		}
	})
}
