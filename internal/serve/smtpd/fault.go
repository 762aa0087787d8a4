package smtpd

import (
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Reply turns an error into a reply of SMTP. It is the only place that does, for
// the handlers too.
func Reply(err error) smtp.Reply {
	code, enhanced := status(fault.KindOf(err))
	return smtp.Answer(code, enhanced, "%s", fault.Public(err))
}

// authReply is Reply in answer to AUTH, where a fault of ours has a code of its
// own, so that no client asks its user for another password (RFC 4954 §6).
func authReply(err error) smtp.Reply {
	r := Reply(err)
	if r.Temporary() {
		r.Code, r.Enhanced = 454, smtp.Enhanced{4, 7, 0}
	}
	return r
}

func status(k fault.Kind) (int, smtp.Enhanced) {
	switch k {
	case fault.Unavailable:
		return 451, smtp.Enhanced{4, 3, 2}
	case fault.Invalid:
		return 501, smtp.Enhanced{5, 5, 4}
	case fault.Unsupported:
		return 504, smtp.Enhanced{5, 5, 4}
	case fault.NotFound:
		return 550, smtp.Enhanced{5, 1, 1}
	case fault.Unauthenticated:
		return 535, smtp.Enhanced{5, 7, 8}
	case fault.Denied:
		return 550, smtp.Enhanced{5, 7, 1}
	case fault.OverQuota:
		return 452, smtp.Enhanced{4, 2, 2}
	case fault.TooLarge:
		return 552, smtp.Enhanced{5, 3, 4}
	case fault.TooMany:
		return 450, smtp.Enhanced{4, 7, 0}
	}
	// Internal, Corrupt, Conflict, CrossShard, and what should not come here:
	// doubt is temporary.
	return 451, smtp.Enhanced{4, 3, 0}
}
