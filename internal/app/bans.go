package app

import (
	"context"
	"time"

	"github.com/ekiden-mail/ekiden/internal/serve/apid"
	"github.com/ekiden-mail/ekiden/internal/state/ban"
)

// Bans lets the REST API stand on a store of bans.
type Bans struct{ Store *ban.Store }

func banBody(b ban.Ban, now time.Time) apid.Ban {
	out := apid.Ban{Net: b.Net.String(), Since: b.Since, Times: b.Times, Reason: b.Reason, Manual: b.Manual, Over: !b.At(now)}
	if !b.Until.IsZero() {
		out.Until = &b.Until
	}
	return out
}

func allowedBody(a ban.Allowed) apid.AllowedNet {
	return apid.AllowedNet{Net: a.Net.String(), Since: a.Since, Note: a.Note}
}

// List gives the bans that hold, or all.
func (b Bans) List(ctx context.Context, all bool) ([]apid.Ban, error) {
	now := time.Now()
	found, err := b.Store.Bans(ctx, now, all)
	var out []apid.Ban
	for _, x := range found {
		out = append(out, banBody(x, now))
	}
	return out, err
}

// Add bans a network.
func (b Bans) Add(ctx context.Context, net string, d time.Duration, reason string) (apid.Ban, error) {
	p, err := ban.ParseNet(net)
	if err != nil {
		return apid.Ban{}, err
	}
	x, err := b.Store.Add(ctx, p, d, reason)
	return banBody(x, time.Now()), err
}

// Remove lifts a ban.
func (b Bans) Remove(ctx context.Context, net string) (apid.Net, error) {
	p, err := ban.ParseNet(net)
	if err != nil {
		return apid.Net{}, err
	}
	return apid.Net{Net: p.String()}, b.Store.Remove(ctx, p)
}

// Allowed lists who is never banned.
func (b Bans) Allowed(ctx context.Context) ([]apid.AllowedNet, error) {
	found, err := b.Store.Allowed(ctx)
	var out []apid.AllowedNet
	for _, x := range found {
		out = append(out, allowedBody(x))
	}
	return out, err
}

// Allow has a network never banned.
func (b Bans) Allow(ctx context.Context, net, note string) (apid.AllowedNet, error) {
	p, err := ban.ParseNet(net)
	if err != nil {
		return apid.AllowedNet{}, err
	}
	x, err := b.Store.Allow(ctx, p, note)
	return allowedBody(x), err
}

// Disallow ends that.
func (b Bans) Disallow(ctx context.Context, net string) (apid.Net, error) {
	p, err := ban.ParseNet(net)
	if err != nil {
		return apid.Net{}, err
	}
	return apid.Net{Net: p.String()}, b.Store.Disallow(ctx, p)
}
