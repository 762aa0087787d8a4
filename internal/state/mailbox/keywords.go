package mailbox

import (
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// keywordTable is all keywords ever used in an account, each as it was first
// seen. Placements hold numbers; a keyword keeps its number for ever.
type keywordTable struct {
	names  []string
	number map[string]uint32 // by lower case
	dirty  bool
}

func newKeywordTable(names []string) *keywordTable {
	k := &keywordTable{names: names, number: make(map[string]uint32, len(names))}
	for i, n := range names {
		k.number[strings.ToLower(n)] = uint32(i)
	}
	return k
}

func (k *keywordTable) encode() []byte {
	b := []byte{format1}
	for _, n := range k.names {
		b = putText(b, n)
	}
	return b
}

func decodeKeywords(b []byte) (*keywordTable, error) {
	d := open(b)
	var names []string
	for !d.bad && len(d.b) > 0 {
		names = append(names, d.text())
	}
	if err := d.done(); err != nil {
		return nil, err
	}
	return newKeywordTable(names), nil
}

// list gives the words for numbers; one that is not in the table is a damaged row.
func (k *keywordTable) list(numbers []uint32) ([]string, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	words := make([]string, len(numbers))
	for i, n := range numbers {
		if int64(n) >= int64(len(k.names)) {
			return nil, errRow
		}
		words[i] = k.names[n]
	}
	return words, nil
}

// numbers gives the numbers for words, ascending and each once. Unknown words
// are entered if grow, else left out.
func (k *keywordTable) numbers(words []string, grow bool) ([]uint32, error) {
	if len(words) == 0 {
		return nil, nil
	}
	out := make([]uint32, 0, len(words))
	for _, w := range words {
		n, ok := k.number[strings.ToLower(w)]
		if !ok {
			if !grow {
				continue
			}
			if len(k.names) >= MaxAccountKeywords {
				return nil, fault.Newf(fault.TooMany, "mailbox.keyword", "an account has at most %d different keywords", MaxAccountKeywords)
			}
			n = uint32(len(k.names))
			k.names = append(k.names, registered(w))
			k.number[strings.ToLower(w)] = n
			k.dirty = true
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// registeredKeywords are those of IANA's list (RFC 5788), $Important (RFC 8457)
// among them, as they are written there.
var registeredKeywords = []string{
	"$autosent", "$canunsubscribe", "$followed", "$Forwarded", "$hasattachment", "$hasmemo", "$hasnoattachment", "$Important", "$imported",
	"$istrusted", "$Junk", "$MailFlagBit0", "$MailFlagBit1", "$MailFlagBit2", "$maskedemail", "$MDNSent", "$memo", "$muted", "$new", "$notify",
	"$NotJunk", "$Phishing", "$SubmitPending", "$Submitted", "$unsubscribed",
}

// registered is a keyword as it is registered, so that what the first client wrote
// in another case does not stay for ever; any other stays as it is.
func registered(w string) string {
	for _, r := range registeredKeywords {
		if strings.EqualFold(r, w) {
			return r
		}
	}
	return w
}

// checkKeywords refuses what cannot be a keyword in both IMAP and JMAP
// (RFC 9051 §9 flag-keyword, RFC 8621 §4.1.1).
func checkKeywords(words []string) error {
	const op = "mailbox.keyword"
	if len(words) > MaxKeywords {
		return fault.Newf(fault.TooMany, op, "a message has at most %d keywords", MaxKeywords)
	}
	for _, w := range words {
		if len(w) > MaxKeyword {
			return fault.Newf(fault.TooMany, op, "a keyword has at most %d octets", MaxKeyword)
		}
		if w == "" || strings.ContainsFunc(w, notInKeyword) {
			return fault.Newf(fault.Invalid, op, "not a keyword: %.70q", w)
		}
	}
	return nil
}

func notInKeyword(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){]%*"\`, r) }
