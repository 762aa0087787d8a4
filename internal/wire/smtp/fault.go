package smtp

import (
	"errors"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// Fault turns an error into the reply that a client is given: the one place
// where SMTP and LMTP do so. Content that is unfit has its own words. Doubt is
// temporary: what nobody classified is 451.
func Fault(err error) Reply {
	var unfit *ContentError
	if errors.As(err, &unfit) {
		return unfit.Reply
	}
	code, enhanced := faultCode(fault.KindOf(err))
	if fault.IsFull(err) {
		code, enhanced = 452, Enhanced{4, 3, 1} // RFC 5321 §4.2.3, RFC 3463 §3.4
	}
	return Answer(code, enhanced, "%s", fault.Public(err))
}

func faultCode(k fault.Kind) (int, Enhanced) {
	switch k {
	case fault.Unavailable:
		return 451, Enhanced{4, 3, 2}
	case fault.Invalid:
		return 501, Enhanced{5, 5, 4}
	case fault.Unsupported:
		return 504, Enhanced{5, 5, 4}
	case fault.NotFound:
		return 550, Enhanced{5, 1, 1}
	case fault.Unauthenticated:
		return 535, Enhanced{5, 7, 8}
	case fault.Denied:
		return 550, Enhanced{5, 7, 1}
	case fault.OverQuota:
		return 452, Enhanced{4, 2, 2}
	case fault.TooLarge:
		return 552, Enhanced{5, 3, 4}
	case fault.TooMany:
		return 450, Enhanced{4, 7, 0}
	}
	return 451, Enhanced{4, 3, 0}
}
