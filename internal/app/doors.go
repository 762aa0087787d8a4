package app

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// door is one kind of listener: its name in the configuration and in what the
// demo prints, its well-known port, and its addresses.
type door struct {
	name  string
	port  int
	addrs []string
}

// doors lists the doors in the order in which they open.
func (c *Config) doors() []door {
	l := &c.Listen
	return []door{
		{"smtp", 25, l.SMTP}, {"lmtp", 24, l.LMTP}, {"submission", 587, l.Submission}, {"submission_alt", 2525, l.SubmissionAlt},
		{"submissions", 465, l.Submissions}, {"pop3", 110, l.POP3}, {"pop3s", 995, l.POP3S}, {"imap", 143, l.IMAP}, {"imaps", 993, l.IMAPS},
		{"http", 80, l.HTTP}, {"https", 443, l.HTTPS}, {"dns", 53, l.DNS},
	}
}

// ListenAt opens every door at one address, each at base plus its well-known
// port.
func (c *Config) ListenAt(bind netip.Addr, base int) {
	at := func(port int) []string { return []string{netip.AddrPortFrom(bind, uint16(base+port)).String()} }
	c.Listen = Listen{
		SMTP: at(25), LMTP: at(24), Submission: at(587), SubmissionAlt: at(2525), Submissions: at(465),
		POP3: at(110), POP3S: at(995), IMAP: at(143), IMAPS: at(993), HTTP: at(80), HTTPS: at(443), DNS: at(53),
	}
}

func checkListen(a string) error {
	host, port, err := net.SplitHostPort(a)
	if err != nil {
		return fmt.Errorf("%q is not host:port or :port", a)
	}
	if host != "" {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("%q is not an IP address", host)
		}
	}
	return checkPort(port)
}

func checkHostPort(a string) error {
	host, port, err := net.SplitHostPort(a)
	if err != nil || host == "" {
		return fmt.Errorf("%q is not host:port", a)
	}
	return checkPort(port)
}

func checkPort(s string) error {
	if n, err := strconv.Atoi(s); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%q is not a port", s)
	}
	return nil
}

// open is a door with its listeners.
type open struct {
	door
	listeners []net.Listener
	packets   []*net.UDPConn // of a door that takes packets, too
}

// openDoors opens all listeners, or none. Sockets that systemd hands over
// (sd_listen_fds(3)) are taken by their name, so that no privilege is needed
// for low ports.
func openDoors(c *Config) ([]open, error) {
	handed, err := handedOver()
	if err != nil {
		return nil, err
	}
	var all []open
	for _, d := range c.doors() {
		o := handed[d.name]
		o.door = d
		if len(o.listeners)+len(o.packets) == 0 {
			if err := o.listen(); err != nil {
				closeDoors(append(all, o))
				return nil, fmt.Errorf("door %s: %w%s", d.name, err, portHint(err))
			}
		}
		if len(o.listeners) > 0 {
			all = append(all, o)
		}
	}
	return all, nil
}

// listen opens what was not handed over.
func (o *open) listen() error {
	for _, a := range o.addrs {
		ln, err := net.Listen("tcp", a)
		if err != nil {
			return err
		}
		o.listeners = append(o.listeners, ln)
		if o.name != "dns" {
			continue
		}
		pc, err := net.ListenPacket("udp", a)
		if err != nil {
			return err
		}
		o.packets = append(o.packets, pc.(*net.UDPConn))
	}
	return nil
}

func closeDoors(doors []open) {
	for _, d := range doors {
		for _, ln := range d.listeners {
			_ = ln.Close()
		}
		for _, pc := range d.packets {
			_ = pc.Close()
		}
	}
}

// portHint says what can be done about a port that cannot be had.
func portHint(err error) string {
	switch {
	case strings.Contains(err.Error(), syscall.EACCES.Error()):
		return " (ports below 1024 need socket activation, or: setcap cap_net_bind_service=+ep ekiden)"
	case strings.Contains(err.Error(), syscall.EADDRINUSE.Error()):
		return " (another program listens there)"
	}
	return ""
}

// firstHanded is the descriptor of the first socket handed over.
const firstHanded = 3

// handedOver gives the sockets that the process was started with, by name
// (FileDescriptorName= in the socket unit).
func handedOver() (map[string]open, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 0 || n > 1000 {
		return nil, fmt.Errorf("LISTEN_FDS: %q is not a number of sockets", os.Getenv("LISTEN_FDS"))
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	handed := map[string]open{}
	for i := range n {
		if i >= len(names) {
			return nil, fmt.Errorf("socket %d was handed over without a name (FileDescriptorName=)", i)
		}
		f := os.NewFile(uintptr(firstHanded+i), names[i])
		o := handed[names[i]]
		ln, err := net.FileListener(f)
		if err == nil {
			o.listeners = append(o.listeners, ln)
		} else if pc, perr := net.FilePacketConn(f); perr == nil {
			if udp, ok := pc.(*net.UDPConn); ok {
				o.packets, err = append(o.packets, udp), nil
			}
		}
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("socket %q that was handed over: %w", names[i], err)
		}
		handed[names[i]] = o
	}
	return handed, nil
}
