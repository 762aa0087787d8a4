package app

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/gather"
	"github.com/ekiden-mail/ekiden/internal/flow/screen"
	"github.com/ekiden-mail/ekiden/internal/reach/filter"
)

// Checks are what is found out about mail before it is taken.
type Checks struct {
	Off            bool     `toml:"off"`             // look at nothing and ask no filter: for load tests
	Budget         Duration `toml:"budget"`          // for all filters together to say what they think of one message
	Senders        bool     `toml:"senders"`         // find out who sent strangers' mail (SPF, DKIM, DMARC, ARC, names of addresses, lists)
	DMARC          bool     `toml:"dmarc"`           // do what domains want done with mail that is forged in their name: refuse it, or lay it into Junk
	JunkAt         float64  `toml:"junk_at"`         // points against a sender that make a message junk; 0: none do
	RejectAt       float64  `toml:"reject_at"`       // points for which it is refused; 0: none are enough
	TrustedSealers []string `toml:"trusted_sealers"` // domains of servers that change messages on their way, such as mailing lists: what they sealed as in order before (ARC) is not forged
}

// Filter is a program outside that is asked about mail, one [[filter]] each. They
// are asked in the order of the file; see filters.md.
type Filter struct {
	Name       string   `toml:"name"`        // in the log and in `ekiden trace`
	Kind       string   `toml:"kind"`        // milter, rspamd, clamd or hook
	Address    string   `toml:"address"`     // milter and clamd: "host:port" or "unix:/path"; rspamd and hook: a URL, or "unix:/path"
	Directions []string `toml:"directions"`  // which mail: "inbound" (from strangers), "submission" (our users'), or both
	Timeout    Duration `toml:"timeout"`     // for the connection and for each answer
	MaxSize    int64    `toml:"max_size"`    // octets; larger messages are not shown; 0 means any are
	OnFailure  string   `toml:"on_failure"`  // if it gives no answer: "defer" refuses the message for the time being, "accept" goes on without it
	JunkIf     string   `toml:"junk_if"`     // milter: a header field, such as "X-Spam-Flag: YES", by which it says that a message is junk
	SecretFile string   `toml:"secret_file"` // hook: holds the secret that signs each request, and a line end that does not count

	secret string
}

// What a filter is, and what its settings may be.
const (
	kindMilter, kindRspamd, kindClamd, kindHook = "milter", "rspamd", "clamd", "hook"
	inbound, submission                         = "inbound", "submission"
	onFailureDefer, onFailureAccept             = "defer", "accept"
)

// setDefaults fills what the file does not say.
func (f *Filter) setDefaults() {
	if f.Directions == nil {
		f.Directions = []string{inbound}
	}
	if f.Timeout == 0 {
		f.Timeout = Duration(30 * time.Second)
	}
	if f.OnFailure == "" {
		f.OnFailure = onFailureDefer
	}
}

// filterPaths are the files that the filters name.
func (c *Config) filterPaths() []*string {
	var all []*string
	for i := range c.Filters {
		all = append(all, &c.Filters[i].SecretFile)
	}
	return all
}

// readFilters fills the filters' defaults and reads their secrets.
func (c *Config) readFilters() error {
	for i := range c.Filters {
		f := &c.Filters[i]
		f.setDefaults()
		if f.SecretFile == "" {
			continue
		}
		b, err := os.ReadFile(f.SecretFile)
		if err != nil {
			return err
		}
		if f.secret = strings.TrimRight(string(b), "\r\n"); f.secret == "" {
			return fmt.Errorf("filter %q: secret_file is empty", f.Name)
		}
	}
	return nil
}

func (c *Config) checkFilters() error {
	if c.Checks.Budget <= 0 {
		return errors.New("checks.budget must be longer than nothing")
	}
	names := map[string]bool{}
	for _, f := range c.Filters {
		if !isFilterName(f.Name) || names[f.Name] {
			return fmt.Errorf("filter: each wants a name of its own, of small letters, digits and -, not %q", f.Name)
		}
		names[f.Name] = true
		if err := f.check(); err != nil {
			return fmt.Errorf("filter %q: %w", f.Name, err)
		}
	}
	return nil
}

func isFilterName(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func (f *Filter) check() error {
	var err error
	switch f.Kind {
	case kindMilter, kindClamd:
		_, _, err = filter.Place(f.Address)
	case kindRspamd, kindHook:
		err = filter.CheckURL(f.Address)
	default:
		err = fmt.Errorf("kind: %q is neither milter, rspamd, clamd nor hook", f.Kind)
		return err
	}
	if err != nil {
		return fmt.Errorf("address: %w, not %q", err, f.Address)
	}
	for _, d := range f.Directions {
		if d != inbound && d != submission {
			return fmt.Errorf("directions: %q is neither %s nor %s", d, inbound, submission)
		}
	}
	switch {
	case len(f.Directions) == 0:
		return errors.New("directions: there is none")
	case f.OnFailure != onFailureDefer && f.OnFailure != onFailureAccept:
		return fmt.Errorf("on_failure: %q is neither %s nor %s", f.OnFailure, onFailureDefer, onFailureAccept)
	case f.Timeout < 0 || f.MaxSize < 0:
		return errors.New("timeout and max_size cannot be negative")
	case f.SecretFile != "" && f.Kind != kindHook:
		return errors.New("secret_file is for hooks")
	case f.JunkIf != "" && f.Kind != kindMilter:
		return errors.New("junk_if is for milters")
	}
	if name, value, _ := strings.Cut(f.JunkIf, ":"); f.JunkIf != "" && (name == "" || strings.TrimSpace(value) == "") {
		return fmt.Errorf("junk_if: %q is not a header field with a value", f.JunkIf)
	}
	return nil
}

// screener makes what has mail judged; nil if nothing is looked at.
func (r *rooms) screener(c *Config) *screen.Screener {
	prover := r.prover(c)
	if c.Checks.Off || len(c.Filters) == 0 && prover == nil {
		return nil
	}
	g := gather.Options{Prover: prover, Budget: time.Duration(c.Checks.Budget), Blobs: r.blobs, Sink: r.sink, Hostname: c.Hostname}
	settings := c.judgement()
	for _, f := range c.Filters {
		g.Filters = append(g.Filters, f.make())
		if f.OnFailure == onFailureDefer {
			settings.Required = append(settings.Required, f.Name)
		}
	}
	return screen.New(screen.Options{Gather: gather.New(g), Settings: settings, Of: r.screening, Deliver: r.deliver, Refusals: r.refusals, Sink: r.sink, Hostname: c.Hostname})
}

// make makes the filter, whose settings were checked.
func (f *Filter) make() gather.Filter {
	g := gather.Filter{
		Name: f.Name, MaxSize: f.MaxSize, Inbound: slices.Contains(f.Directions, inbound), Submission: slices.Contains(f.Directions, submission),
	}
	g.JunkName, g.JunkValue, _ = strings.Cut(f.JunkIf, ":")
	g.JunkValue = strings.TrimSpace(g.JunkValue)
	timeout := time.Duration(f.Timeout)
	switch f.Kind {
	case kindMilter:
		network, address, _ := filter.Place(f.Address)
		g.Milter = filter.NewMilter(filter.MilterOptions{Network: network, Address: address, Timeout: timeout})
	case kindClamd:
		network, address, _ := filter.Place(f.Address)
		g.Asker = filter.NewClamd(filter.ClamdOptions{Network: network, Address: address, Timeout: timeout})
	case kindRspamd:
		g.Asker = filter.NewRspamd(filter.HTTPOptions{URL: f.Address, Timeout: timeout})
	case kindHook:
		g.Asker = filter.NewHook(filter.HookOptions{HTTPOptions: filter.HTTPOptions{URL: f.Address, Timeout: timeout}, Secret: f.secret})
	}
	return g
}
