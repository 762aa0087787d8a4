package imapd

import (
	"strconv"

	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// Object ids (RFC 8474) are a letter for what they name and its number in the
// account, which is never used again.

func emailID(id mailbox.MessageID) string { return "M" + strconv.FormatUint(uint64(id), 10) }

func mailboxID(id mailbox.BoxID) string { return "F" + strconv.FormatUint(uint64(id), 10) }

func threadID(id mailbox.ThreadID) string { return "T" + strconv.FormatUint(id, 10) }

// readID is the number of an object's id; false if it is none of ours.
func readID(letter byte, s string) (uint64, bool) {
	if len(s) < 2 || s[0] != letter || s[1] == '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[1:], 10, 64)
	return n, err == nil
}
