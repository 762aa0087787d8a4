package order_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/wire/order"
)

func TestCasemap(t *testing.T) {
	for in, want := range map[string]string{
		"":        "",
		"ABC 1":   "ABC 1",
		"abcXYZ~": "ABCXYZ~",
		"köln":    "KO\u0308LN",
		"KÖLN":    "KO\u0308LN",
		"ǆ":       "D\u017dz\u030c"[:1] + "z\u030c", // the title-case digraph, decomposed
		"ﬁ":       "fi",                             // has no simple title case, RFC 5051 §2 step 2
		"Å":       "A\u030a",                        // the angstrom sign
		"東京":      "東京",
		"σς":      "ΣΣ",
		"ｈｉ":      "HI", // full width
	} {
		if got := order.Casemap(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestNormal(t *testing.T) {
	for in, want := range map[string]string{
		"a@b": "a@b", `"a"@b`: "a@b", `"a\"c\\"@b`: `a"c\@b`, "": "", `\`: `\`,
	} {
		if got := order.Normal(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// mailbox reads messages, one a line: id, references, date, subject; "-" is none.
func mailbox(t *testing.T, s string) []order.Message {
	var all []order.Message
	for _, l := range strings.Split(strings.TrimSpace(s), "\n") {
		f := strings.Fields(l)
		if len(f) < 3 {
			t.Fatal(l)
		}
		m := order.Message{ID: strings.Trim(f[0], "-")}
		if f[1] != "-" {
			m.References = strings.Split(f[1], ",")
		}
		m.Sent, _ = strconv.ParseInt(f[2], 10, 64)
		if len(f) > 3 {
			m.Subject, m.Reply = strings.CutPrefix(f[3], "Re:")
		}
		all = append(all, m)
	}
	return all
}

// print writes threads as RFC 5256 §4 does, with numbers from 1.
func print(threads []*order.Thread) string {
	var b strings.Builder
	var one func(t *order.Thread)
	one = func(t *order.Thread) {
		b.WriteByte('(')
		for sep := ""; ; sep = " " {
			if t.Message >= 0 {
				b.WriteString(sep + strconv.Itoa(t.Message+1))
			}
			if len(t.Children) != 1 {
				break
			}
			t = t.Children[0]
		}
		if len(t.Children) > 0 && t.Message >= 0 {
			b.WriteByte(' ')
		}
		for _, c := range t.Children {
			one(c)
		}
		b.WriteByte(')')
	}
	for _, t := range threads {
		one(t)
	}
	return b.String()
}

func TestThreads(t *testing.T) {
	cases := []struct{ name, box, references, refs, subject string }{
		{"chain", "a - 1 x\nb a 2 Re:x\nc a,b 3 Re:x", "(1 2 3)", "(1 2 3)", "(1 (2)(3))"},
		{"split", "a - 1 x\nb a 3 Re:x\nc a 2 Re:x", "(1 (3)(2))", "(1 (3)(2))", "(1 (3)(2))"},
		{"parent unknown", "b a 1 Re:x\nc a 2 Re:x", "((1)(2))", "((1)(2))", "(1 2)"},
		{"one child of an unknown", "b a 1 Re:x", "(1)", "(1)", "(1)"},
		{"unknown in between", "a - 1 x\nc a,b 2 Re:x\nd a,b 3 Re:x", "(1 (2)(3))", "(1 (2)(3))", "(1 (2)(3))"},
		{"the answer came first", "b a 2 Re:x\na - 1 x", "(2 1)", "(2 1)", "(2 1)"},
		{"a loop", "a b 1 x\nb a 2 y", "(2 1)", "(2 1)", "(1)(2)"},
		{"of itself", "a a 1 x", "(1)", "(1)", "(1)"},
		{"the same id", "a - 1 x\na - 2 y\nb a 3 z", "(1 3)(2)", "(2)(1 3)", "(1)(2)(3)"},
		{"a cut list", "a - 1 x\nb a 2 Re:x\nc b 3 Re:x\nd a,c 4 Re:x", "(1 2 3 4)", "(1 2 3 4)", "(1 (2)(3)(4))"},
		{"subjects", "a - 1 x\nb - 2 Re:x", "(1 2)", "(1)(2)", "(1 2)"},
		{"subjects, none an answer", "a - 1 x\nb - 2 x", "((1)(2))", "(1)(2)", "(1 2)"},
		{"subjects, both answers", "a - 1 Re:x\nb - 2 Re:x", "((1)(2))", "(1)(2)", "(1 2)"},
		{"the answer is older", "a - 1 Re:x\nb - 2 x", "(2 1)", "(1)(2)", "(1 2)"},
		{"a dummy takes all", "b a 1 Re:x\nc a 2 Re:x\nd - 3 Re:x\nf e 4 Re:x\ng e 5 Re:x", "((1)(2)(3)(4)(5))", "((1)(2))(3)((4)(5))", "(1 (2)(3)(4)(5))"},
		{"no subject", "a - 1\nb - 2", "(1)(2)", "(1)(2)", "(1 2)"},
		{"no id", "- - 2 x\n- - 1 y", "(2)(1)", "(2)(1)", "(2)(1)"},
		{"an old thread lives", "a - 1 x\nb - 2 y\nc a 3 Re:x", "(1 3)(2)", "(2)(1 3)", "(1 3)(2)"},
		{"no references any more", "a - 1 x\nc a,b 2 Re:x\nb - 3 z", "(1)(3 2)", "(1)(3 2)", "(1 2)(3)"},
	}
	for _, c := range cases {
		all := mailbox(t, c.box)
		for alg, want := range map[string]string{"REFERENCES": c.references, "REFS": c.refs, "ORDEREDSUBJECT": c.subject} {
			if got := print(algorithms()[alg](all)); got != want {
				t.Errorf("%s, %s: %s, want %s", c.name, alg, got, want)
			}
		}
	}
}

func algorithms() map[string]func([]order.Message) []*order.Thread {
	return map[string]func([]order.Message) []*order.Thread{"REFERENCES": order.References, "REFS": order.Refs, "ORDEREDSUBJECT": order.OrderedSubject}
}

// FuzzThreads: whatever refers to whatever, every message is in the threads once,
// and siblings are in order.
func FuzzThreads(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte("\x01\x01\x02\x02\x01\x01\x03\x01\x02\x02\x03\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var all []order.Message
		for len(b) >= 4 && len(all) < 200 {
			m := order.Message{ID: id(b[0]), Sent: int64(b[1] % 8), Subject: id(b[2] % 4), Reply: b[2]&8 != 0}
			n := min(int(b[3]%5), len(b)-4)
			for _, c := range b[4 : 4+n] {
				m.References = append(m.References, id(c%16+1))
			}
			b = b[4+n:]
			all = append(all, m)
		}
		for name, alg := range algorithms() {
			var seen []int
			var check func(level []*order.Thread, top bool)
			check = func(level []*order.Thread, top bool) {
				for _, th := range level {
					if th.Message >= 0 {
						seen = append(seen, th.Message)
					} else if !top || len(th.Children) < 2 {
						t.Fatalf("%s: a dummy with %d children, at the top: %v", name, len(th.Children), top)
					}
					check(th.Children, false)
				}
				if top && name == "REFS" {
					return
				}
				for i := 1; i < len(level); i++ {
					if a, c := first(level[i-1]), first(level[i]); all[a].Sent > all[c].Sent || all[a].Sent == all[c].Sent && a > c {
						t.Fatalf("%s: %d before %d", name, a, c)
					}
				}
			}
			check(alg(all), true)
			slices.Sort(seen)
			for i := range all {
				if i >= len(seen) || seen[i] != i {
					t.Fatalf("%s: %v", name, seen)
				}
			}
		}
	})
}

func first(t *order.Thread) int {
	for t.Message < 0 {
		t = t.Children[0]
	}
	return t.Message
}

func id(c byte) string {
	if c %= 17; c > 0 {
		return string('a' + rune(c) - 1)
	}
	return ""
}

func BenchmarkThreads(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var all []order.Message
	for i := range 100_000 {
		m := order.Message{ID: fmt.Sprintf("%d.%d@example.test", i, i*7919), Sent: int64(i), Subject: fmt.Sprintf("SUBJECT %d", i)}
		if i > 0 && rnd.IntN(3) > 0 {
			parent := all[max(0, i-1-rnd.IntN(50))]
			m.References = append(slices.Clone(parent.References[max(0, len(parent.References)-15):]), parent.ID)
			m.Subject, m.Reply = parent.Subject, true
		}
		all = append(all, m)
	}
	for name, alg := range algorithms() {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				alg(all)
			}
		})
	}
}
