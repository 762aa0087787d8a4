package directory

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Fold brings an address into the form in which we compare it, so that each
// account has one identity: the local part as the profile UsernameCaseMapped of
// PRECIS has it (RFC 8265 §3.3: full-width letters as the usual ones, lower
// case, NFC). What the profile forbids cannot be a new name here, but other
// hosts have such names: then it is lower case and NFC alone (RFC 6532 §3.1).
func Fold(a mail.Address) mail.Address {
	a.Local, _ = foldLocal(a.Local)
	return a
}

// foldLocal says too whether the profile allows s.
func foldLocal(s string) (folded string, allowed bool) {
	for i := 0; ; i++ {
		if i == len(s) {
			return s, true
		}
		if s[i] >= utf8.RuneSelf || s[i] >= 'A' && s[i] <= 'Z' {
			break
		}
	}
	if isASCII(s) {
		return strings.ToLower(s), true
	}
	if folded, err := precis.UsernameCaseMapped.String(s); err == nil {
		return folded, true
	}
	return norm.NFC.String(strings.ToLower(norm.NFC.String(s))), false
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// newName folds an address that is to become a name here. fault.Invalid where
// PRECIS forbids what is not ASCII in it (RFC 8264 §4.2.3): signs that look
// alike or cannot be seen, right-to-left letters mixed with others.
func newName(op string, a mail.Address) (mail.Address, error) {
	folded, allowed := foldLocal(a.Local)
	if !allowed {
		return a, fault.Newf(fault.Invalid, op, "%.100q holds characters that no name may hold (RFC 8265)", a.Local)
	}
	a.Local = folded
	return a, checkLocal(op, a)
}
