package smtpd

import "github.com/ekiden-mail/ekiden/internal/wire/smtp"

// authReply is smtp.Fault in answer to AUTH, where a fault of ours has a code
// of its own, so that no client asks its user for another password (RFC 4954
// §6).
func authReply(err error) smtp.Reply {
	r := smtp.Fault(err)
	if r.Temporary() {
		r.Code, r.Enhanced = 454, smtp.Enhanced{4, 7, 0}
	}
	return r
}
