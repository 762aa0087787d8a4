package app

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/ekiden-mail/ekiden/internal/reach/resolver"
)

// anchorsFile keeps the keys that DNSSEC begins with as they roll (RFC 5011).
const anchorsFile = "trust-anchors"

// openResolver makes the server's resolver. Nobody is asked anything yet.
func (r *rooms) openResolver(c *Config) error {
	o, err := c.DNS.options()
	if err != nil {
		return err
	}
	o.Sink = r.sink
	o.RootCAs, err = c.roots()
	if err != nil {
		return err
	}
	if c.DNS.TrustAnchorFile == "" {
		o.Keep = kept(filepath.Join(c.Data, anchorsFile))
	}
	r.names, err = resolver.New(o)
	return err
}

// kept is a small file that is written as a whole.
type kept string

// Load reads it; nil if it was never written.
func (k kept) Load() ([]byte, error) {
	b, err := os.ReadFile(string(k))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// Save writes it.
func (k kept) Save(b []byte) error {
	next := string(k) + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, string(k)); err != nil {
		return err
	}
	return syncDir(filepath.Dir(string(k)))
}

// openNames opens the doors at which programs on this machine may look names up.
func (c *Config) openNames() ([]*resolver.Door, error) {
	var all []*resolver.Door
	for _, s := range c.DNS.Listen {
		at, err := netip.ParseAddrPort(s)
		if err != nil {
			return all, err
		}
		d, err := resolver.Open(at)
		if err != nil {
			return all, err
		}
		all = append(all, d)
	}
	return all, nil
}

// serveNames makes the services behind such doors.
func (s *Server) serveNames() []Service {
	var all []Service
	for _, d := range s.names {
		all = append(all, ServiceFunc(func(ctx context.Context) error { return s.rooms.names.Serve(ctx, d) }))
	}
	return all
}

// closeNames closes doors that were opened and are not served.
func (s *Server) closeNames() error {
	var all error
	for _, d := range s.names {
		all = errors.Join(all, d.Close())
	}
	return all
}
