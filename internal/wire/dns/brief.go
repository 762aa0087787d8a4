package dns

import (
	"context"
	"errors"
)

// Brief is an error of a Resolver without its particulars, such as the addresses
// of servers, which are nobody's business but the operator's.
func Brief(err error) error {
	for _, known := range []error{ErrNoName, ErrNoData, ErrBogus, ErrServer, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, known) {
			return known
		}
	}
	return err
}
