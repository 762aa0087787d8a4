// Package webd is the HTTP front: it answers authorities that prove our host
// names, leads from http to https, and tells there which doors the server has.
package webd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/limit"
	"github.com/ekiden-mail/ekiden/internal/serve/door"
)

// Limits bound what strangers may cost. Zero means the default.
type Limits struct {
	Connections int           // at the same time; default 1,000
	PerAddress  int           // at the same time from one address (a /64 of IPv6); default 50
	PerNetwork  int           // at the same time from one network (an IPv4 /24, an IPv6 /48); default none
	Connects    limit.Rate    // of an address; default none
	Network     limit.Rate    // of a network; default none
	Header      time.Duration // for a request's header, and for the handshake of TLS; default 10 seconds
	Request     time.Duration // for a request, and for its answer; default 30 seconds
	Idle        time.Duration // between two requests; default 1 minute
	Grace       time.Duration // for what is in hand at the end; default 5 seconds
}

func (l Limits) withDefaults() Limits {
	number := func(n *int, def int) {
		if *n == 0 {
			*n = def
		}
	}
	span := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	number(&l.Connections, 1000)
	number(&l.PerAddress, 50)
	span(&l.Header, 10*time.Second)
	span(&l.Request, 30*time.Second)
	span(&l.Idle, time.Minute)
	span(&l.Grace, 5*time.Second)
	return l
}

// What a request may be at the most.
const (
	maxHeader  = 16 << 10 // octets
	maxStreams = 32       // of HTTP/2, at the same time in a connection
)

// Options say what stands behind a web door.
type Options struct {
	Hostname string

	// TLS makes the door an https one, which shows the page. Without it the door is
	// an http one, which leads there.
	TLS *tls.Config

	// HTTPS is the port to which an http door leads; 0: there is none.
	HTTPS int

	// Doors are what the page tells of.
	Doors []Door

	// Strict makes browsers come by https only, once they were here by a host name
	// that is Hostname (RFC 6797).
	Strict bool

	// Challenge answers a request if it is an authority's that proves our name, and
	// says whether it was; nil: none is.
	Challenge func(http.ResponseWriter, *http.Request) bool

	// Site finds what is here for a domain; nil: no domain has anything.
	Site func(ctx context.Context, domain string) (Site, bool)

	Sink   event.Sink // nil: nobody listens
	Limits Limits
	Guards door.Guards // bans, and who is above the limits of addresses
}

// Server is what stands behind web doors that are alike.
type Server struct {
	o    Options
	gate *door.Gate
	page *page
}

// New makes a Server.
func New(o Options) *Server {
	o.Limits = o.Limits.withDefaults()
	if o.Sink == nil {
		o.Sink = event.Discard{}
	}
	if o.Challenge == nil {
		o.Challenge = func(http.ResponseWriter, *http.Request) bool { return false }
	}
	l := o.Limits
	return &Server{o: o, page: newPage(o), gate: door.NewGate("web", door.Limits{
		Total: max(0, l.Connections), PerAddress: max(0, l.PerAddress), PerNetwork: l.PerNetwork, Connects: l.Connects, Network: l.Network,
	}, o.Guards, o.Sink)}
}

// Serve answers requests until ctx ends; then what is in hand is finished within
// Limits.Grace.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	l := s.o.Limits
	in := &listener{Listener: ln, ctx: ctx, gate: s.gate}
	h := &http.Server{
		Handler: s.guard(s.handler()), ReadHeaderTimeout: l.Header, ReadTimeout: l.Request, WriteTimeout: l.Request,
		IdleTimeout: l.Idle, MaxHeaderBytes: maxHeader, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:    log.New(io.Discard, "", 0), // failed handshakes of strangers: what is ours comes as an event
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	from := net.Listener(in)
	if s.o.TLS != nil {
		from = tls.NewListener(in, s.o.TLS)
	}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(from) }()
	select {
	case err := <-failed:
		_ = h.Close()
		return fault.As(fault.Unavailable, "webd.Serve", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.Grace)
	defer cancel()
	err := h.Shutdown(end)
	if errors.Is(err, context.DeadlineExceeded) {
		err = h.Close()
	}
	<-failed
	return fault.As(fault.Unavailable, "webd.Serve", err)
}

// guard ends the request alone if its handler panics, and tells of it.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				peer, _ := netip.ParseAddrPort(r.RemoteAddr)
				s.o.Sink.Emit(r.Context(), event.Failed{Where: "webd", Peer: peer, Err: fmt.Errorf("panic: %v\n%s", p, debug.Stack())})
			}
			panic(http.ErrAbortHandler)
		}()
		next.ServeHTTP(w, r)
	})
}

func (s *Server) handler() http.Handler {
	if s.o.TLS == nil {
		return http.HandlerFunc(s.lead)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.wellKnown(w, r) {
			s.page.ServeHTTP(w, r)
		}
	})
}
