// Package smtp is the grammar of SMTP (RFC 5321) and LMTP (RFC 2033): commands,
// their parameters, replies, and how content is framed by DATA and BDAT.
package smtp

import "github.com/ekiden-mail/ekiden/internal/mail"

// MailOptions are the parameters of MAIL FROM.
type MailOptions struct {
	Size        int64  // RFC 1870; 0 means not said
	EightBit    bool   // BODY=8BITMIME (RFC 6152)
	UTF8        bool   // RFC 6531
	Auth        string // RFC 4954 §5, decoded; for the log only
	HeadersOnly bool   // RET=HDRS (RFC 3461 §4.3)
	EnvelopeID  string // ENVID (RFC 3461 §4.4), decoded
	Quoted      bool   // the path has odd dots and stood in quotes (mail.Address.Strict)
}

// RcptOptions are the parameters of RCPT TO.
type RcptOptions struct {
	Original string      // ORCPT (RFC 3461 §4.2): type;address, the address decoded
	Notify   mail.Notify // RFC 3461 §4.1
	Quoted   bool        // the path has odd dots and stood in quotes (mail.Address.Strict)
}
