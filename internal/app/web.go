package app

import (
	"net"

	"github.com/ekiden-mail/ekiden/internal/serve/webd"
)

// web adds the web doors to what stands behind the others.
func (s *Server) web(servers map[string]server) {
	c := &s.config
	o := webd.Options{Hostname: c.Hostname, Strict: !c.TLS.OwnAuthority, Site: s.rooms.site, Sink: s.rooms.sink, Limits: c.Limits.web(), Guards: s.rooms.guards(c)}
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
	servers["http"] = webd.New(o)
	o.TLS = s.tls.config("https")
	servers["https"] = webd.New(o)
}

// web is what the web doors bear.
func (l *Limits) web() webd.Limits {
	if l.Off {
		return webd.Limits{Connections: -1, PerAddress: -1}
	}
	return webd.Limits{
		Connections: bound(l.WebConnections), PerAddress: bound(l.PerAddress), PerNetwork: l.PerNetwork,
		Connects: perMinute(l.ConnectRate), Network: perMinute(l.NetworkConnects),
	}
}
