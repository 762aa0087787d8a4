package maildir

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

func TestFlags(t *testing.T) {
	words, err := ReadKeywords(strings.NewReader("0 $Label1\n1 NonJunk\nrubbish\n99 x\n-1 y\n25 last\n"))
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"1.a.host": `1.a.host`, "1.a.host:2,": `1.a.host`, "1.a.host:2,RS": `1.a.host \Seen \Answered`, "1.a:2,DFTPabz": `1.a \Flagged \Deleted \Draft $Forwarded $Label1 NonJunk last`,
		"1.a;2,S": `1.a \Seen`, "1.a!2,F": `1.a \Flagged`, "1.a:1,x": `1.a`, "1.a:2,cQ?": `1.a`, "1.a,S=5:2,S": `1.a,S=5 \Seen`, ":2,S": ``,
	} {
		n := ParseName(file)
		f, k := n.Flags(words)
		if got := strings.Join(slices.Concat([]string{n.Unique}, f.Names(), k), " "); got != want {
			t.Errorf("%s is %q, not %q", file, got, want)
		}
	}
}

func TestInfo(t *testing.T) {
	var words Keywords
	info, left := Info(mail.FlagSeen|mail.FlagDraft, []string{"work", "$forwarded", "Work"}, &words)
	if info != "DPSab" || left != nil || words.String() != "0 work\n1 $forwarded\n" {
		t.Errorf("%q %v %q", info, left, words)
	}
	for i := range 30 {
		info, left = Info(0, []string{fmt.Sprint("k", i)}, &words)
	}
	if info != "" || len(left) != 1 {
		t.Errorf("the keyword beyond all letters is %q, %v", info, left)
	}
}

func TestUIDs(t *testing.T) {
	for _, file := range []string{
		"3 V1795513023 N6 Gabc\n1 :b.1\n5 W7 G0 :a.1:2,S\n0 :x\nrubbish\n4 nothing\n", "1 1795513023 6\n1 b.1\n5 a.1\n",
	} {
		u, err := ReadUIDs(strings.NewReader(file))
		if err != nil || u.Validity != 1795513023 || u.Next != 6 || len(u.Of) != 2 || u.Of["a.1"] != 5 || u.Of["b.1"] != 1 {
			t.Errorf("%q is %v, %v", file, u, err)
		}
		files := []string{"1000.M10.x", "999.M9.x", "1000.M9.x:2,S", "a.1:2,FS", "b.1"}
		u.Order(files)
		if got := strings.Join(files, " "); got != "b.1 a.1:2,FS 999.M9.x 1000.M9.x:2,S 1000.M10.x" {
			t.Error(got)
		}
	}
}

func TestUIDL(t *testing.T) {
	u, err := ReadUIDs(strings.NewReader("3 V1795513023 N6\n1 P0000abc.def W7 :a\n2 W7 :b\n"))
	if err != nil || u.UIDL("a:2,S") == u.UIDL("a") || u.UIDL("a") != "0000abc.def" || u.UIDL("b") != "000000026b055abf" || u.UIDL("c") != "" {
		t.Errorf("%q %q %q, %v", u.UIDL("a"), u.UIDL("b"), u.UIDL("c"), err)
	}
}

func TestFolders(t *testing.T) {
	for name, dir := range map[string]string{
		"Sent": ".Sent", "Work/Reports": ".Work.Reports", "旅行/京都": ".&ZcWITA-.&TqyQ,Q-", "R&D": ".R&-D", "v1.2": ".v1%2E2", "50%25/%2E/100%": ".50%2525.%252E.100%", "A/.b": ".A.%2Eb",
	} {
		if got := Folder(name); got != dir {
			t.Errorf("%s is in %s, not %s", name, got, dir)
		}
		if got, ok := FolderName(dir); !ok || got != name {
			t.Errorf("%s is of %s, not %s", dir, got, name)
		}
	}
	for dir, want := range map[string]string{".旅行": "旅行", ".a&b": "a&b", "": "", ".": "", "..": "", "Sent": "", ".a..b": "", ".a&AC8-b": "a&AC8-b"} {
		if got, ok := FolderName(dir); got != want || ok != (want != "") {
			t.Errorf("%s is %q", dir, got)
		}
	}
}

// FuzzNames reads anything, and finds again what it wrote.
func FuzzNames(f *testing.F) {
	f.Add("1795513021.M708427P25700.vm,S=112,W=118:2,DTc", "0 work\n", "3 V1 N2\n1 :a\n", "Work/%2E.旅行/R&D")
	f.Fuzz(func(t *testing.T, file, keywords, uids, folder string) {
		words, err := ReadKeywords(strings.NewReader(keywords))
		if err != nil {
			t.Fatal(err)
		}
		n := ParseName(file)
		flags, had := n.Flags(words)
		var fresh Keywords
		info, _ := Info(flags, had, &fresh)
		if again, _ := (Name{Info: info}).Flags(fresh); again != flags {
			t.Errorf("%v became %v", flags, again)
		}
		u, err := ReadUIDs(strings.NewReader(uids))
		if err != nil {
			t.Fatal(err)
		}
		u.Order([]string{file, keywords, uids})
		if !utf8.ValidString(folder) || slices.Contains(strings.Split(folder, "/"), "") {
			return
		}
		if again, ok := FolderName(Folder(folder)); !ok || again != folder {
			t.Errorf("%q became %q by way of %q", folder, again, Folder(folder))
		}
	})
}
