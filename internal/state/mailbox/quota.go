package mailbox

import "github.com/ekiden-mail/ekiden/internal/fault"

// Quota is what an account may hold; a zero is no limit. Whoever brings mail in
// asks; Add and Restore do not.
type Quota struct{ Octets, Messages int64 }

// warnAt are the parts of a quota, in percent, at which its owner should hear.
var warnAt = [...]int64{100, 95, 90, 80}

// Room refuses with fault.OverQuota what would bring an account that holds u over
// its quota.
func (q Quota) Room(u, more Usage) error {
	if q.Octets > 0 && more.Octets > q.Octets-u.Octets || q.Messages > 0 && more.Messages > q.Messages-u.Messages {
		return fault.New(fault.OverQuota, "mailbox.Room", "")
	}
	return nil
}

// Full says that not even a small message has room.
func (q Quota) Full(u Usage) bool { return q.Room(u, Usage{1, 1}) != nil }

// Level is how full an account is that holds u: the highest of 80, 90, 95 and
// 100 percent that it has reached by octets or by messages, 0 below. A step up
// is what is worth a warning.
func (q Quota) Level(u Usage) int {
	for _, p := range warnAt {
		if reached(u.Octets, q.Octets, p) || reached(u.Messages, q.Messages, p) {
			return int(p)
		}
	}
	return 0
}

// reached says whether have is percent of limit or more.
func reached(have, limit, percent int64) bool {
	return limit > 0 && float64(have)*100 >= float64(limit)*float64(percent)
}
