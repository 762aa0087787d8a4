package app

import (
	"net"

	"github.com/ekiden-mail/ekiden/internal/serve/webd"
)

// web adds the web doors to what stands behind the others.
func (s *Server) web(servers map[string]server) {
	c := &s.config
	o := webd.Options{Hostname: c.Hostname, Strict: !c.TLS.OwnAuthority, Sink: s.rooms.sink}
	for _, d := range s.doors {
		a, ok := d.listeners[0].Addr().(*net.TCPAddr)
		if !ok {
			continue
		}
		if d.name == "https" {
			o.HTTPS = a.Port
		}
		o.Doors = append(o.Doors, webd.Door{Name: d.name, Port: a.Port})
	}
	if s.tls.acme != nil {
		o.Challenge = s.tls.acme.HandleHTTP
	}
	if c.Limits.Off {
		o.Limits.Connections, o.Limits.PerAddress = -1, -1
	}
	servers["http"] = webd.New(o)
	o.TLS = s.tls.config("https")
	servers["https"] = webd.New(o)
}
