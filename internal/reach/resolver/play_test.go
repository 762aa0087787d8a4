package resolver

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/trust/dnssec"
	words "github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// TestPlays runs the scenarios of testdata/plays, each in a world of its own whose time
// is virtual.
func TestPlays(t *testing.T) {
	files, err := filepath.Glob("testdata/plays/*")
	if err != nil || len(files) == 0 {
		t.Fatal("no plays", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &play{w: newWorld(), zones: map[string]*zone{}}
				defer func() {
					if p.r != nil {
						p.r.Close()
					}
				}()
				datadriven.RunTest(t, f, p.run)
			})
		})
	}
}

type play struct {
	w      *world
	zones  map[string]*zone
	r      *Resolver
	events []string
	seen   int // of the log
}

// Emit takes events for the play's log.
func (p *play) Emit(_ context.Context, e event.Event) {
	line := e.Name()
	for _, a := range e.Attrs() {
		line += " " + a.String()
	}
	p.w.mu.Lock()
	p.events = append(p.events, line)
	p.w.mu.Unlock()
}

func (p *play) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "zone":
		return p.zone(t, d)
	case "server": // nobody is there, or a zone is served there too
		return p.server(d)
	case "fault":
		return p.fault(t, d)
	case "resolver":
		return p.resolver(t, d)
	case "ask":
		return p.ask(t, d)
	case "wait":
		dur, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(dur)
		synctest.Wait()
		return p.news()
	}
	t.Fatalf("%s: unknown command %q", d.Pos, d.Cmd)
	return ""
}

// arg is the value of an argument, "" if it was not given.
func arg(d *datadriven.TestData, key string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) > 0 {
			return a.Vals[0]
		}
		if a.Key == key {
			return "yes"
		}
	}
	return ""
}

func (p *play) zone(t *testing.T, d *datadriven.TestData) string {
	algorithm, _ := strconv.Atoi(arg(d, "sign"))
	z := newZone(arg(d, "name"), d.Input, uint8(algorithm))
	if h := arg(d, "nsec3"); h != "" {
		iterations, _ := strconv.Atoi(arg(d, "iterations"))
		z.nsec3 = &dnssec.Hashing{OptOut: h == "optout", Iterations: uint16(iterations)}
	}
	if z.name == "." {
		z.add("@ NS ns.root.\nns.root. A " + arg(d, "at"))
	}
	p.zones[z.name] = z
	for _, at := range strings.Split(arg(d, "at"), ",") {
		if p.w.servers[at] == nil {
			p.w.servers[at] = &actor{}
		}
		p.w.servers[at].zones = append(p.w.servers[at].zones, z)
	}
	if arg(d, "nods") == "" && z.key != nil && z.name != "." {
		up := dnssec.Parent(z.name)
		for p.zones[up] == nil {
			up = dnssec.Parent(up)
		}
		p.zones[up].vouch(z)
	}
	return ""
}

func (p *play) server(d *datadriven.TestData) string {
	s := &actor{}
	for _, n := range strings.Fields(d.Input) {
		s.zones = append(s.zones, p.zones[n])
	}
	p.w.servers[arg(d, "at")] = s
	return ""
}

// resolver starts another resolver with nothing in its cache.
func (p *play) resolver(t *testing.T, d *datadriven.TestData) string {
	if p.r != nil {
		p.r.Close()
	}
	o := Options{Sink: p, ResolvConf: filepath.Join(t.TempDir(), "none")}
	if at := arg(d, "forward"); at != "" {
		o.Servers = []string{at + ":53"}
	}
	o.Hints = p.w.hints("198.51.100.1")
	if z := p.zones["."]; z != nil && z.key != nil {
		o.Anchors = z.anchor()
	}
	if at := arg(d, "anchor"); at != "" {
		o.Anchors = p.zones[at].anchor()
	}
	o.NoValidation = arg(d, "unchecked") != ""
	p.r = p.w.resolver(t, o)
	return ""
}

var varying = regexp.MustCompile(`key \d+|ended \d+|begins \d+|: [0-9a-f]{40}`)

func (p *play) ask(t *testing.T, d *datadriven.TestData) string {
	if p.r == nil {
		p.resolver(t, &datadriven.TestData{})
	}
	k, _ := words.ParseType(d.CmdArgs[1].Key)
	if k == 0 {
		k = words.Type(dns.StringToType[d.CmdArgs[1].Key])
	}
	begin := time.Now()
	a, err := p.r.Lookup(t.Context(), d.CmdArgs[0].Key, k)
	took := time.Since(begin)
	out := show(a, err)
	if a.Secure {
		out += " secure"
	}
	out = varying.ReplaceAllStringFunc(out, func(s string) string { return s[:strings.IndexByte(s, ' ')] + " N" })
	p.w.mu.Lock()
	log := p.w.log[p.seen:]
	p.seen = len(p.w.log)
	p.w.mu.Unlock()
	switch {
	case arg(d, "brief") != "":
		out += fmt.Sprintf("\n%d packets", len(log))
	case arg(d, "quiet") == "":
		out += "\n" + strings.Join(log, "\n")
	}
	if arg(d, "time") != "" {
		out += fmt.Sprintf("\ntook %v", took.Round(10*time.Millisecond))
	}
	return out + p.news()
}

// news are the events since the last.
func (p *play) news() string {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	out := ""
	for _, e := range p.events {
		out += "\n" + varying.ReplaceAllString(e, "key N")
	}
	p.events = nil
	return out
}

func show(a words.Answer, err error) string {
	if err != nil {
		return err.Error()
	}
	s := a.Name + ":"
	for _, r := range a.Records {
		switch {
		case r.Addr.IsValid():
			s += " " + r.Addr.String()
		case r.Type == words.TypeTXT:
			s += fmt.Sprintf(" %q", r.Text)
		case r.Data != nil:
			s += " " + hex.EncodeToString(r.Data[:min(len(r.Data), 20)])
		case r.Type == words.TypeSRV:
			s += fmt.Sprintf(" %d %d %d %s", r.Pref, r.Weight, r.Port, r.Target)
		case r.Type == words.TypeMX:
			s += fmt.Sprintf(" %d %s %s", r.Pref, r.Target, r.TTL)
		default:
			s += " " + r.Target
		}
	}
	return s
}

func (p *play) fault(t *testing.T, d *datadriven.TestData) string {
	f := faults()[arg(d, "kind")]
	if f == nil {
		t.Fatalf("%s: kind is one of %q", d.Pos, slices.Sorted(maps.Keys(faults())))
	}
	f(p, d)
	return ""
}
