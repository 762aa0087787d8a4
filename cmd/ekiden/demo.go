package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ekiden-mail/ekiden/internal/app"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// demoCmd is `ekiden demo`, as the operator contract has it.
type demoCmd struct {
	Data         string        `type:"path" placeholder:"DIR" help:"Where everything is kept. Without it a directory is made, kept and told."`
	PortBase     int           `default:"10000" placeholder:"N" help:"Each door's port is this plus its well-known port; 0 means the well-known ports."`
	Bind         string        `default:"127.0.0.1" placeholder:"ADDR" help:"The address of the doors, and the source of outgoing mail."`
	Hostname     string        `default:"mx.example.test" help:"How the server calls itself."`
	Domain       []string      `placeholder:"NAME" help:"A domain to take mail for (example.test). May be repeated."`
	Account      []string      `sep:"none" placeholder:"ADDR:PASSWORD" help:"An account. May be repeated. Without any: alice and bob."`
	AccountsFile string        `type:"existingfile" placeholder:"FILE" help:"Lines ADDR:PASSWORD or ADDR:{argon2id hash in PHC form}."`
	Resolver     string        `placeholder:"HOST:PORT" help:"Where all DNS questions go, instead of our own recursion. What it says of signatures is not believed."`
	SmartHost    string        `placeholder:"HOST:PORT" help:"Where all outside mail goes."`
	SmartAuth    string        `name:"smart-host-auth" placeholder:"USER:PASSWORD" help:"The login at the smart host."`
	TrustAnchor  string        `type:"existingfile" placeholder:"FILE" help:"A lab's own DNSSEC trust anchor."`
	RootHints    string        `type:"existingfile" placeholder:"FILE" help:"A lab's own DNS root."`
	TrustCA      string        `name:"trust-ca" placeholder:"FILE" help:"An authority to trust beside the system's."`
	HTTPSPort    int           `name:"outbound-https-port" placeholder:"N" help:"The port of MTA-STS policies in a lab."`
	OutboundPort int           `default:"25" placeholder:"N" help:"The port other servers are reached at."`
	RetryFirst   time.Duration `default:"5m" help:"The pause after the first failed attempt."`
	WarnAfter    time.Duration `default:"4h" help:"When a sender is told of a delay."`
	GiveUpAfter  time.Duration `default:"120h" help:"When a sender is told of a failure."`
	PlainAuth    bool          `name:"plaintext-auth" help:"Logins without TLS, for test tools."`
	NoLimits     bool          `help:"No rate limits, bans or greeting delay, for load tests."`
	NoChecks     bool          `help:"No checks of arriving mail, for load tests."`
	NoSign       bool          `help:"No DKIM signing, for load tests."`
	ProxyFrom    []string      `placeholder:"CIDR" help:"Networks whose connections must begin with a PROXY header. May be repeated."`
	JSON         bool          `name:"json" help:"Print one line of JSON when ready."`
}

// Run starts the demo and serves until SIGTERM or SIGINT.
func (d *demoCmd) Run() error {
	c, err := d.config()
	if err != nil {
		return err
	}
	log := app.NewLogger(c.Log, os.Stderr)
	server, err := app.Open(c, version, log)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	accounts, err := d.populate(ctx, server, c.Data)
	if err != nil {
		return errors.Join(err, server.Close())
	}
	return server.Run(ctx, func() { d.announce(server, c, accounts) })
}

// config makes the configuration of a demo.
func (d *demoCmd) config() (app.Config, error) {
	c := app.Default()
	bind, err := netip.ParseAddr(d.Bind)
	if err != nil {
		return c, usageError{fmt.Errorf("--bind: %q is not an IP address", d.Bind)}
	}
	if d.PortBase < 0 || d.PortBase > 45000 {
		return c, usageError{fmt.Errorf("--port-base: %d is not between 0 and 45000", d.PortBase)}
	}
	if c.Data = d.Data; c.Data == "" {
		if c.Data, err = os.MkdirTemp("", "ekiden-demo-"); err != nil {
			return c, err
		}
	}
	c.Hostname, c.TLS.OwnAuthority = d.Hostname, true
	c.ListenAt(bind, d.PortBase)
	c.Log.Level = "info"
	c.Auth.Plaintext = d.PlainAuth
	c.Limits.Off, c.Checks.Off, c.DKIM.Sign = d.NoLimits, d.NoChecks, !d.NoSign
	// Tests send more in a day than people do; an account's own bounds count.
	c.Sending.Messages, c.Sending.Recipients, c.Sending.New = 0, 0, 0
	c.Proxy.From = d.ProxyFrom
	o := &c.Outbound
	o.Port, o.Source, o.AllowPrivate, o.SmartHost = d.OutboundPort, bind.String(), true, d.SmartHost
	o.RetryFirst, o.WarnAfter, o.GiveUpAfter = app.Duration(d.RetryFirst), app.Duration(d.WarnAfter), app.Duration(d.GiveUpAfter)
	o.TrustCAFile = d.TrustCA
	if d.HTTPSPort != 0 {
		o.HTTPSPort = d.HTTPSPort
	}
	if d.Resolver != "" {
		c.DNS.Resolvers = []string{d.Resolver}
	}
	c.DNS.TrustAnchorFile, c.DNS.RootHintsFile = d.TrustAnchor, d.RootHints
	if d.SmartAuth != "" {
		user, password, ok := strings.Cut(d.SmartAuth, ":")
		if !ok || user == "" || password == "" {
			return c, usageError{fmt.Errorf("--smart-host-auth: want USER:PASSWORD")}
		}
		o.User, o.Password = user, password
	}
	if err := c.Check(); err != nil {
		return c, usageError{err}
	}
	return c, nil
}

// ready is the line that --json prints.
type ready struct {
	Ready    bool           `json:"ready"`
	PID      int            `json:"pid"`
	Data     string         `json:"data"`
	Hostname string         `json:"hostname"`
	Ports    map[string]int `json:"ports"`
	CA       string         `json:"ca"`
	Accounts []demoAccount  `json:"accounts"`
	Web      string         `json:"web,omitempty"`
}

// announce says that every door is open, and how to come in.
func (d *demoCmd) announce(s *app.Server, c app.Config, accounts []demoAccount) {
	r := ready{true, os.Getpid(), c.Data, c.Hostname, s.Ports(), s.CA(), accounts, ""}
	if port, ok := r.Ports["https"]; ok {
		r.Web = webLink(d.Bind, port)
	}
	if d.JSON {
		line, err := json.Marshal(r)
		if err != nil {
			fmt.Fprintln(os.Stderr, "ekiden:", err)
		}
		fmt.Println(string(line))
		return
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "\nEkiden is ready. Everything is kept in %s\n\n", r.Data)
	for _, a := range printable(accounts) {
		fmt.Fprintf(w, "account\t%s\tpassword\t%s\n", a.Address, a.Password)
	}
	fmt.Fprintln(w)
	for _, row := range doorRows() {
		if port, ok := r.Ports[row.key]; ok {
			fmt.Fprintf(w, "%s\t%s:%d\t%s\n", row.key, d.Bind, port, row.about)
		}
	}
	if r.Web != "" {
		fmt.Fprintf(w, "\nweb\t%s\n", r.Web)
	}
	fmt.Fprintf(w, "\ntrust\t%s\n\nStop it with Ctrl-C.\n", r.CA)
	_ = w.Flush()
}

// webLink is where a browser on this machine finds the https door.
func webLink(bind string, port int) string {
	if a, err := netip.ParseAddr(bind); err == nil && a.IsUnspecified() {
		bind = "localhost"
	}
	if port == 443 {
		return "https://" + bind + "/"
	}
	return "https://" + net.JoinHostPort(bind, strconv.Itoa(port)) + "/"
}

// maxPrinted is how many accounts the table shows.
const maxPrinted = 10

func printable(accounts []demoAccount) []demoAccount {
	return accounts[:min(len(accounts), maxPrinted)]
}

type doorRow struct{ key, about string }

// doorRows says what each door is for.
func doorRows() []doorRow {
	return []doorRow{
		{"smtp", "from other servers"}, {"submission", "send: STARTTLS, then AUTH"}, {"submission_alt", "send: the same, where 587 is blocked"},
		{"submissions", "send: TLS at once"}, {"imap", "read: STARTTLS"}, {"imaps", "read: TLS at once"},
		{"pop3", "fetch: STLS"}, {"pop3s", "fetch: TLS at once"}, {"lmtp", "from a server in front"},
		{"http", "leads to https"}, {"https", "tells of the doors"},
	}
}

// populate adds the domains and accounts that are not there yet.
func (d *demoCmd) populate(ctx context.Context, s *app.Server, data string) ([]demoAccount, error) {
	names := d.Domain
	if len(names) == 0 {
		names = []string{"example.test"}
	}
	var domains []mail.Domain
	for _, n := range names {
		name, err := mail.ParseDomain(n)
		if err != nil {
			return nil, usageError{err}
		}
		domains = append(domains, name)
	}
	accounts, told, err := d.accounts(data, domains[0])
	if err != nil {
		return nil, err
	}
	return told, s.Populate(ctx, domains, accounts)
}
