package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/reach/resolver"
	"github.com/ekiden-mail/ekiden/internal/state/certs"
)

// Server is a server whose store is open and whose doors are bound.
type Server struct {
	config  Config
	version string
	log     *slog.Logger
	rooms   *rooms
	tls     *secrets
	relay   Service
	doors   []open
	names   []*resolver.Door // where programs on this machine may look names up
	socket  net.Listener

	sendmail net.Listener // nil: only the owner sends, through socket
}

// Open checks the configuration, opens the store and binds every door, so that
// all that can fail at the start has failed when it returns.
func Open(c Config, version string, log *slog.Logger) (*Server, error) {
	if err := c.Check(); err != nil {
		return nil, fault.New(fault.Invalid, "app.Open", err.Error())
	}
	r, err := openRooms(&c, event.Log{Logger: log})
	if err != nil {
		return nil, err
	}
	s := &Server{config: c, version: version, log: log, rooms: r}
	if err := s.bind(); err != nil {
		closeDoors(s.doors)
		return nil, errors.Join(err, s.closeNames(), r.close())
	}
	return s, nil
}

// bind gets what can be refused: certificates, ports, the socket.
func (s *Server) bind() (err error) {
	c := &s.config
	if s.tls, err = c.openTLS(s.rooms); err != nil {
		return err
	}
	if s.relay, err = s.rooms.relay(c); err != nil {
		return err
	}
	if s.doors, err = openDoors(c); err != nil {
		return err
	}
	if err = s.tls.order(s.doors); err != nil {
		return err
	}
	s.behindProxies()
	if s.names, err = c.openNames(); err != nil {
		return err
	}
	s.describe()
	if s.socket, err = listenSocket(c.Data); err != nil {
		return err
	}
	if s.sendmail, err = listenSendmail(c.Sending.SendmailSocket); err != nil {
		return errors.Join(err, s.socket.Close())
	}
	return nil
}

// Handler is the REST API of the server, for use in its own process.
func (s *Server) Handler() http.Handler { return s.rooms.api(s.version) }

// Ports tells the port of each open door by its name.
func (s *Server) Ports() map[string]int {
	ports := map[string]int{}
	for _, d := range s.doors {
		if a, ok := d.listeners[0].Addr().(*net.TCPAddr); ok {
			ports[d.name] = a.Port
		}
	}
	return ports
}

// CA is the path of the own authority's certificate; "" if there is none.
func (s *Server) CA() string {
	if !s.config.TLS.OwnAuthority {
		return ""
	}
	return filepath.Join(s.config.Data, certs.CAFile)
}

// Close ends a server that was opened and never run.
func (s *Server) Close() error {
	closeDoors(s.doors)
	err := errors.Join(s.closeNames(), s.socket.Close())
	if s.sendmail != nil {
		err = errors.Join(err, s.sendmail.Close())
	}
	return errors.Join(err, s.rooms.close())
}

// Run serves until ctx ends; then the doors close, what is in hand is finished,
// and the store is closed last. ready is called once everything runs.
func (s *Server) Run(ctx context.Context, ready func()) error {
	services := []Service{
		ServiceFunc(s.heap), ServiceFunc(s.rooms.names.Run), ServiceFunc(s.rooms.bans.Run), ServiceFunc(s.rooms.refusals.Run), ServiceFunc(s.tidy), ServiceFunc(s.index), ServiceFunc(s.rooms.sending.Run), ServiceFunc(s.rooms.policies.Run), ServiceFunc(s.rooms.reporter.Run), ServiceFunc(s.rooms.zones.Run), ServiceFunc(s.keepZones),
		s.rooms.login, ServiceFunc(s.tls.watch), ServiceFunc(s.tls.renew), ServiceFunc(s.lease), s.relay, ServiceFunc(s.serveSocket), ServiceFunc(s.serveSendmail),
	}
	services = append(services, s.serveNames()...)
	servers := s.rooms.servers(&s.config, s.tls.config)
	s.web(servers)
	authority := s.authority()
	servers["dns"] = authority
	services = append(services, ServiceFunc(authority.Tell))
	for _, d := range s.doors {
		for _, pc := range d.packets {
			services = append(services, ServiceFunc(func(ctx context.Context) error { return authority.ServePacket(ctx, pc) }))
		}
		for _, ln := range d.listeners {
			services = append(services, ServiceFunc(func(ctx context.Context) error { return servers[d.name].Serve(ctx, ln) }))
		}
	}
	services = append(services, ServiceFunc(func(ctx context.Context) error {
		notify("READY=1")
		ready()
		<-ctx.Done()
		notify("STOPPING=1")
		return nil
	}))
	// Who is banned, and with what is signed, is known before the first door opens.
	err := errors.Join(s.rooms.bans.Load(ctx), s.ensureKeys(ctx))
	if err == nil {
		err = Run(ctx, services...)
	}
	return errors.Join(err, s.rooms.close())
}

// graceful is how long a request to the REST API may take at the end.
const graceful = 5 * time.Second

// serveSocket answers the command line.
func (s *Server) serveSocket(ctx context.Context) error { return s.answer(ctx, s.socket, s.Handler()) }

// answer serves HTTP at a unix socket. A request that takes long, such as an
// import, is cut off at the end: it can be given again. The store closes next, so
// none outlives it.
func (s *Server) answer(ctx context.Context, ln net.Listener, api http.Handler) error {
	var busy sync.RWMutex // each request holds it for reading
	running, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	h := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			busy.RLock()
			defer busy.RUnlock()
			api.ServeHTTP(w, r)
		}),
		BaseContext:       func(net.Listener) context.Context { return running },
		ConnContext:       withProgram,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceful)
	defer cancel()
	err := h.Shutdown(end)
	if errors.Is(err, context.DeadlineExceeded) {
		cut()
		err = h.Close()
	}
	<-failed
	busy.Lock()
	defer busy.Unlock()
	return err
}

// Offline opens the store below dir without a door, for commands that are given
// while no server runs, and gives the REST API over it.
func Offline(c Config, version string) (http.Handler, func() error, error) {
	if c.Hostname == "" {
		c.Hostname = "localhost"
	}
	r, err := openRooms(&c, event.Discard{})
	if err != nil {
		return nil, nil, err
	}
	return r.api(version), r.close, nil
}

// lease keeps the leases of the queue's partitions.
func (s *Server) lease(ctx context.Context) error {
	return s.rooms.leases.Run(ctx, func(err error) { s.rooms.sink.Emit(ctx, event.Failed{Where: "lease", Err: err}) })
}
