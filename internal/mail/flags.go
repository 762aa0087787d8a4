package mail

// Flags are IMAP's system flags (RFC 9051 §2.3.2) as a set. \Recent is not
// among them: it belongs to a session, not to a message.
type Flags uint8

// The system flags.
const (
	FlagSeen Flags = 1 << iota
	FlagAnswered
	FlagFlagged
	FlagDeleted
	FlagDraft
)

// flagNames are in the order of the bits.
var flagNames = [...]string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`}

// Has says whether all of g are in f.
func (f Flags) Has(g Flags) bool { return f&g == g }

// Names lists the flags as IMAP writes them, in a fixed order.
func (f Flags) Names() []string {
	var names []string
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// Append writes the names behind b, with spaces between them.
func (f Flags) Append(b []byte) []byte {
	first := true
	for i, name := range flagNames {
		if f&(1<<i) == 0 {
			continue
		}
		if !first {
			b = append(b, ' ')
		}
		b, first = append(b, name...), false
	}
	return b
}
