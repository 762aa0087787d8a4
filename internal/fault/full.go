package fault

import "errors"

// errFull marks what failed for want of room on the disk.
var errFull = errors.New("the disk is full")

// Full marks err as a want of room on the disk; the kind is Unavailable. SMTP has
// a code of its own for it (RFC 3463 §3.4: X.3.1).
func Full(err error) error {
	return &Error{Kind: Unavailable, Public: "out of space just now; please try again later", Err: errors.Join(errFull, err)}
}

// IsFull says whether err was marked by Full.
func IsFull(err error) bool { return errors.Is(err, errFull) }
