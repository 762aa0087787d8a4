package deliver

import (
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// TestProtocol are the registered names of how mail comes (RFC 3848, RFC 6531
// §4.3).
func TestProtocol(t *testing.T) {
	for want, a := range map[string]mail.Arrival{
		"SMTP":       {},
		"ESMTP":      {Peer: mail.Peer{ESMTP: true}},
		"ESMTPS":     {Peer: mail.Peer{ESMTP: true, TLS: true}},
		"ESMTPA":     {Peer: mail.Peer{ESMTP: true, Account: 1}},
		"ESMTPSA":    {Peer: mail.Peer{ESMTP: true, TLS: true, Account: 1}},
		"LMTP":       {Peer: mail.Peer{ESMTP: true, LMTP: true}},
		"LMTPS":      {Peer: mail.Peer{ESMTP: true, LMTP: true, TLS: true}},
		"UTF8SMTP":   {Peer: mail.Peer{ESMTP: true}, Envelope: mail.Envelope{UTF8: true}},
		"UTF8SMTPSA": {Peer: mail.Peer{ESMTP: true, TLS: true, Account: 1}, Envelope: mail.Envelope{UTF8: true}},
		"UTF8LMTPS":  {Peer: mail.Peer{ESMTP: true, LMTP: true, TLS: true}, Envelope: mail.Envelope{UTF8: true}},
	} {
		if got := protocol(&a); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
