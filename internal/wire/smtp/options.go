// Package smtp is the grammar of SMTP (RFC 5321) and LMTP (RFC 2033): commands,
// their parameters, replies, and how content is framed by DATA and BDAT.
package smtp

import (
	"fmt"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// MailOptions are the parameters of MAIL FROM.
type MailOptions struct {
	Size        int64  // RFC 1870; 0 means not said
	EightBit    bool   // BODY=8BITMIME (RFC 6152)
	Binary      bool   // BODY=BINARYMIME (RFC 3030 §3)
	UTF8        bool   // RFC 6531
	Auth        string // RFC 4954 §5, decoded; for the log only
	HeadersOnly bool   // RET=HDRS (RFC 3461 §4.3)
	Full        bool   // RET=FULL
	EnvelopeID  string // ENVID (RFC 3461 §4.4), decoded
	Quoted      bool   // the path has odd dots and stood in quotes (mail.Address.Strict)

	RequireTLS  bool          // RFC 8689 §2
	By          By            // RFC 2852 §4
	HoldFor     time.Duration // HOLDFOR (RFC 4865 §3); 0 means not said
	HoldUntil   time.Time     // HOLDUNTIL (RFC 4865 §3); zero means not said
	Prioritized bool          // MT-PRIORITY was said (RFC 6710 §3)
	Priority    int8          // its value, from -9 to 9
	Solicit     string        // SOLICIT (RFC 3865 §2.3): keywords with commas between
}

// RcptOptions are the parameters of RCPT TO.
type RcptOptions struct {
	Original string      // ORCPT (RFC 3461 §4.2): type;address, the address decoded
	Notify   mail.Notify // RFC 3461 §4.1
	Quoted   bool        // the path has odd dots and stood in quotes (mail.Address.Strict)
}

// String is the parameters as MAIL has them, with a blank before each; "" if
// there are none. Parsing them gives o again, but for Quoted.
func (o MailOptions) String() string {
	var b strings.Builder
	add := func(is bool, format string, args ...any) {
		if is {
			fmt.Fprintf(&b, " "+format, args...)
		}
	}
	add(o.Size > 0, "SIZE=%d", o.Size)
	add(o.EightBit, "BODY=8BITMIME")
	add(o.Binary, "BODY=BINARYMIME")
	add(o.UTF8, "SMTPUTF8")
	add(o.Auth != "", "AUTH=%s", EncodeXtext(o.Auth))
	add(o.HeadersOnly, "RET=HDRS")
	add(o.Full, "RET=FULL")
	add(o.EnvelopeID != "", "ENVID=%s", EncodeXtext(o.EnvelopeID))
	add(o.RequireTLS, "REQUIRETLS")
	add(o.By.Mode != 0, "BY=%s", o.By)
	add(o.HoldFor > 0, "HOLDFOR=%d", o.HoldFor/time.Second)
	add(!o.HoldUntil.IsZero(), "HOLDUNTIL=%s", o.HoldUntil.UTC().Format(time.RFC3339Nano))
	add(o.Prioritized, "MT-PRIORITY=%d", o.Priority)
	add(o.Solicit != "", "SOLICIT=%s", o.Solicit)
	return b.String()
}

// String is the parameters as RCPT has them, with a blank before each; "" if
// there are none.
func (o RcptOptions) String() string {
	var s string
	if n := notifyWords(o.Notify); n != "" {
		s = " NOTIFY=" + n
	}
	if kind, addr, ok := strings.Cut(o.Original, ";"); ok {
		if !strings.EqualFold(kind, "utf-8") { // that has an encoding of its own (RFC 6533 §3)
			addr = EncodeXtext(addr)
		}
		s += " ORCPT=" + kind + ";" + addr
	}
	return s
}

func notifyWords(n mail.Notify) string {
	var words []string
	for i, w := range []string{"NEVER", "SUCCESS", "FAILURE", "DELAY"} {
		if n&(1<<i) != 0 {
			words = append(words, w)
		}
	}
	return strings.Join(words, ",")
}
