package mailbox

import "github.com/ekiden-mail/ekiden/internal/fault"

// Quota is what an account may hold; a zero is no limit. Whoever brings mail in
// asks; Add and Restore do not.
type Quota struct {
	Octets, Messages int64
	Boxes            int64 // mailboxes
	Annotations      int64 // octets
}

// Holdings is all that quotas are about.
type Holdings struct {
	Usage
	Boxes       int64
	Annotations int64 // octets
}

// Holdings is what the account holds.
func (t *Tx) Holdings() (Holdings, error) {
	a, err := t.acctRow()
	if err != nil {
		return Holdings{}, err
	}
	return Holdings{a.usage, int64(a.boxes), a.annotations}, nil
}

// RoomForBox refuses with fault.OverQuota another mailbox in an account that
// holds h.
func (q Quota) RoomForBox(h Holdings) error {
	if q.Boxes > 0 && h.Boxes >= q.Boxes {
		return fault.New(fault.OverQuota, "mailbox.RoomForBox", "the account has as many mailboxes as it may have")
	}
	return nil
}

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
