package imapd_test

import (
	"slices"
	"strconv"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// kept is a search with UPDATE as a client follows it (RFC 5267 §4.3).
type kept struct {
	command string // without RETURN, to ask again
	uid     bool
	sorted  bool
	result  []uint32
}

// follow begins some searches with UPDATE.
func (m *model) follow() {
	for _, k := range []*kept{
		{command: "SEARCH UNSEEN"},
		{command: "UID SEARCH OR FLAGGED SUBJECT x", uid: true},
		{command: "UID SORT (REVERSE SIZE SUBJECT) UTF-8 UNDELETED", uid: true, sorted: true},
		{command: "SORT (SUBJECT) UTF-8 NOT FLAGGED", sorted: true},
		{command: "UID SEARCH UID 1:* TEXT x", uid: true},
	} {
		words := strings.SplitAfterN(k.command, "S", 2)
		verb, rest, _ := strings.Cut(words[1], " ")
		command := words[0] + verb + " RETURN (UPDATE ALL) " + rest
		if m.kept == nil {
			m.kept = map[string]*kept{}
		}
		m.kept["t"+strconv.Itoa(m.tags+1)] = k
		m.do(command)
	}
}

// updated takes an ESEARCH response in.
func (m *model) updated(r imap.Response) {
	if len(r.Args) == 0 || len(r.Args[0].List) != 2 {
		m.fail("an ESEARCH response without a tag")
		return
	}
	k := m.kept[r.Args[0].List[1].Text]
	if k == nil {
		return
	}
	args := r.Args[1:]
	if uid := len(args) > 0 && args[0].Text == "UID"; uid != k.uid {
		m.fail("%s: UID: %v", k.command, uid)
	} else if uid {
		args = args[1:]
	}
	for ; len(args) >= 2; args = args[2:] {
		switch args[0].Text {
		case "ALL":
			k.result = numbers(args[1].Text)
		case "ADDTO", "REMOVEFROM":
			for pairs := args[1].List; len(pairs) >= 2; pairs = pairs[2:] {
				pos, _ := strconv.Atoi(pairs[0].Text)
				m.change(k, args[0].Text == "ADDTO", pos, numbers(pairs[1].Text))
			}
		default:
			m.fail("%s: %s", k.command, args[0].Text)
		}
	}
}

func (m *model) change(k *kept, add bool, pos int, ns []uint32) {
	switch {
	case k.sorted != (pos > 0):
		m.fail("%s: position %d", k.command, pos)
	case add && k.sorted && pos <= len(k.result)+1:
		k.result = slices.Insert(k.result, pos-1, ns...)
	case add && !k.sorted:
		k.result = append(k.result, ns...)
		slices.Sort(k.result)
	case !add && k.sorted && pos-1+len(ns) <= len(k.result) && slices.Equal(k.result[pos-1:pos-1+len(ns)], ns):
		k.result = slices.Delete(k.result, pos-1, pos-1+len(ns))
	case !add && !k.sorted:
		k.result = slices.DeleteFunc(k.result, func(n uint32) bool { return slices.Contains(ns, n) })
	default:
		m.fail("%s: %d at %d of %d, to be added: %v", k.command, ns, pos, k.result, add)
	}
	if all := slices.Clone(k.result); true {
		if slices.Sort(all); len(slices.Compact(all)) != len(k.result) {
			m.fail("%s: %d has something twice", k.command, k.result)
		}
	}
}

// expunged moves the numbers behind n.
func (m *model) expunged(n uint32) {
	for _, k := range m.kept {
		for i, have := range k.result {
			if k.uid {
				continue
			}
			if have == n {
				m.fail("%s: %d was expunged before it was removed from %d", k.command, n, k.result)
			}
			if have > n {
				k.result[i]--
			}
		}
	}
}

// checkKept asks again what is kept up to date.
func (m *model) checkKept() {
	for _, k := range m.kept {
		m.do(k.command)
		if !slices.Equal(m.found, k.result) {
			m.fail("%s: the client has %d, the server says %d", k.command, k.result, m.found)
		}
	}
}

// numbers reads a sequence set.
func numbers(s string) (ns []uint32) {
	for _, part := range strings.Split(s, ",") {
		a, b, ranged := strings.Cut(part, ":")
		first, _ := strconv.Atoi(a)
		last := first
		if ranged {
			last, _ = strconv.Atoi(b)
		}
		for n := min(first, last); n <= max(first, last); n++ {
			ns = append(ns, uint32(n))
		}
	}
	return ns
}
