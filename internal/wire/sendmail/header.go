package sendmail

import (
	"fmt"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Recipients gives the recipients that a header names: of To, Cc and Bcc, or,
// where the message is sent on, of the fields of that (RFC 5322 §3.6.6). A name
// without a domain is one of this machine.
func Recipients(header []byte) ([]string, error) {
	h := message.ParseHeader(header)
	fields := []string{"To", "Cc", "Bcc"}
	if h.Has("Resent-To") || h.Has("Resent-Cc") || h.Has("Resent-Bcc") {
		fields = []string{"Resent-To", "Resent-Cc", "Resent-Bcc"}
	}
	var all []string
	seen := map[string]bool{}
	for _, f := range fields {
		list := h.Addresses(f)
		if len(list) >= message.MaxAddresses {
			return nil, fmt.Errorf("the %s field names more than %d recipients", f, message.MaxAddresses-1)
		}
		for _, a := range list {
			if a.GroupStart() || a.GroupEnd() || a.Mailbox == "" && a.Host == "" {
				continue
			}
			s, err := write(a)
			if err != nil {
				return nil, fmt.Errorf("the %s field: %w", f, err)
			}
			if !seen[s] {
				seen[s] = true
				all = append(all, s)
			}
		}
	}
	return all, nil
}

// write gives an address of a header as the command line has them.
func write(a message.Addr) (string, error) {
	local := a.Mailbox
	if local == "" || len(local) > maxWord || strings.ContainsFunc(local, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%.60q is no address", a.Mailbox+"@"+a.Host)
	}
	if a.Host == "" {
		if strings.ContainsAny(local, "@ \"") {
			return "", fmt.Errorf("%.60q is no address", local)
		}
		return local, nil
	}
	return Quote(local) + "@" + a.Host, nil
}

// Quote writes a local part in quotes where it is more than atoms and dots.
func Quote(local string) string {
	for i := 0; i < len(local); i++ {
		if c := local[i]; c != '.' && !isAtext(c) {
			r := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
			return `"` + r.Replace(local) + `"`
		}
	}
	return local
}
