package deliver

import (
	"context"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
)

// resolve says where an address leads, after taking in an account that is known
// elsewhere and not here yet.
func (d *Deliverer) resolve(ctx context.Context, a mail.Address) (directory.Resolution, error) {
	if to, is, err := d.signed(ctx, a); is || err != nil {
		if err != nil {
			return directory.Resolution{}, err
		}
		found, err := d.o.Directory.Resolve(ctx, to)
		if fault.Is(err, fault.Denied) {
			return directory.Resolution{Remote: []mail.Address{to}}, nil
		}
		return found, err
	}
	found, err := d.o.Directory.Resolve(ctx, a)
	if d.o.Missing == nil || !fault.Is(err, fault.NotFound) || directory.IsRole(a) {
		return found, err
	}
	names := []mail.Address{a}
	if base, _, ok := strings.Cut(a.Local, "+"); ok && base != "" {
		names = append(names, mail.Address{Local: base, Domain: a.Domain})
	}
	for _, name := range names {
		ok, trouble := d.o.Missing(ctx, name)
		if trouble != nil {
			return found, fault.As(fault.Unavailable, "deliver.resolve", trouble)
		}
		if ok {
			return d.o.Directory.Resolve(ctx, a)
		}
	}
	return found, err
}
