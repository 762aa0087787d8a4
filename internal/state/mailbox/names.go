package mailbox

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// inbox is how the name is kept; it compares without case (RFC 9051 §5.1).
const inbox = "INBOX"

// CanonicalName gives a mailbox name as it is kept: levels separated by "/", in
// NFC, INBOX in upper case. What can be no mailbox's name is fault.Unsupported:
// not UTF-8, an empty or overlong level, too many levels, a control character
// or line separator (RFC 5198 §2, RFC 9051 §5.1).
func CanonicalName(name string) (string, error) {
	levels, err := parseName(name)
	if err != nil {
		return "", err
	}
	return strings.Join(levels, Separator), nil
}

func parseName(name string) ([]string, error) {
	const op = "mailbox.name"
	if !utf8.ValidString(name) {
		return nil, fault.New(fault.Unsupported, op, "a mailbox name is UTF-8")
	}
	if len(name) > 4*MaxDepth*(MaxLevel+1) {
		return nil, fault.New(fault.Unsupported, op, "that mailbox name is too long")
	}
	levels := strings.Split(norm.NFC.String(name), Separator)
	if len(levels) > MaxDepth {
		return nil, fault.Newf(fault.Unsupported, op, "a mailbox name has at most %d levels", MaxDepth)
	}
	for _, l := range levels {
		switch {
		case l == "":
			return nil, fault.New(fault.Unsupported, op, "a level of a mailbox name may not be empty")
		case len(l) > MaxLevel:
			return nil, fault.Newf(fault.Unsupported, op, "a level of a mailbox name has at most %d octets", MaxLevel)
		case strings.ContainsFunc(l, barred):
			return nil, fault.New(fault.Unsupported, op, "a mailbox name may not hold control characters")
		}
	}
	if strings.EqualFold(levels[0], inbox) {
		levels[0] = inbox
	}
	return levels, nil
}

func barred(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// compareNames orders INBOX first and each mailbox before those within it.
func compareNames(a, b string) int {
	la, lb := strings.Split(a, Separator), strings.Split(b, Separator)
	if (la[0] == inbox) != (lb[0] == inbox) {
		if la[0] == inbox {
			return -1
		}
		return 1
	}
	return slices.CompareFunc(la, lb, cmp.Compare[string])
}
