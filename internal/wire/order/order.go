// Package order puts messages in order and gathers them into threads, as IMAP's
// SORT and THREAD want it (RFC 5256). It sees what was taken from the headers, and
// never a message.
package order

import (
	"cmp"
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Casemap is s as i;unicode-casemap compares it, octet by octet (RFC 5051 §2):
// each character in title case, and decomposed as far as that goes. s is UTF-8.
func Casemap(s string) string {
	i := 0
	for i < len(s) && s[i] < utf8.RuneSelf && (s[i] < 'a' || s[i] > 'z') {
		i++
	}
	if i == len(s) {
		return s
	}
	out := append(make([]byte, 0, len(s)+8), s[:i]...)
	for _, r := range s[i:] {
		if r < utf8.RuneSelf {
			if r >= 'a' && r <= 'z' {
				r -= 'a' - 'A'
			}
			out = append(out, byte(r))
			continue
		}
		out = decomposed(out, unicode.ToTitle(r))
	}
	return string(out)
}

func decomposed(out []byte, r rune) []byte {
	at := len(out)
	out = utf8.AppendRune(out, r)
	if d := norm.NFKD.Properties(out[at:]).Decomposition(); d != nil {
		out = append(out[:at], d...)
	}
	return out
}

// Message is one of those that are threaded, in mailbox order: a message's number
// in what comes out is its index in what goes in.
type Message struct {
	ID         string   // Message-ID as Normal gives it, or ""
	References []string // the ancestors' ids, the oldest first (RFC 5256 §3, REFERENCES)
	Subject    string   // the base subject, as Casemap gives it
	Reply      bool     // the subject marks a reply or a forward
	Sent       int64    // sent date (RFC 5256 §2.2), in seconds
}

// Normal is a message-id without its quotes: "\"a\"@b" and "a@b" are the same
// (RFC 5256 §3, REFERENCES).
func Normal(id string) string {
	quoted := false
	for i := 0; i < len(id); i++ {
		quoted = quoted || id[i] == '"' || id[i] == '\\'
	}
	if !quoted {
		return id
	}
	out := make([]byte, 0, len(id))
	for i := 0; i < len(id); i++ {
		switch {
		case id[i] == '"':
			continue
		case id[i] == '\\' && i+1 < len(id):
			i++
		}
		out = append(out, id[i])
	}
	return string(out)
}

// Thread is a message with its descendants.
type Thread struct {
	Message  int // its index; -1 for one that is not among those searched
	Children []*Thread
}

// OrderedSubject is the algorithm of that name (RFC 5256 §3): messages of one
// subject are a thread, all of them children of the first.
func OrderedSubject(all []Message) []*Thread {
	in := bySent(all)
	at := map[string]*Thread{}
	var threads []*Thread
	for _, i := range in {
		if t := at[all[i].Subject]; t != nil {
			t.Children = append(t.Children, &Thread{Message: i})
			continue
		}
		t := &Thread{Message: i}
		at[all[i].Subject] = t
		threads = append(threads, t) // by the date of its first message
	}
	return threads
}

// bySent is the indexes of all by sent date, then by number.
func bySent(all []Message) []int {
	in := make([]int, len(all))
	for i := range in {
		in[i] = i
	}
	slices.SortStableFunc(in, func(a, b int) int { return cmp.Compare(all[a].Sent, all[b].Sent) })
	return in
}
