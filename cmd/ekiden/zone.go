package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// ZoneCmd is `ekiden zone`.
type ZoneCmd struct {
	Add     zoneAddCmd     `cmd:"" help:"Be the authority for a zone. The zone of a domain of ours is drawn by itself."`
	List    zoneListCmd    `cmd:"" help:"List the zones."`
	Show    zoneShowCmd    `cmd:"" help:"Show a zone, and what its parent is to have of it."`
	Set     zoneSetCmd     `cmd:"" help:"Change a zone."`
	Remove  zoneRemoveCmd  `cmd:"" help:"Be the authority no more; what was written by hand is lost."`
	Records zoneRecordsCmd `cmd:"" help:"List a zone's records."`
	Write   zoneWriteCmd   `cmd:"" help:"Write the records of a name and type by hand; without data, what was written is removed."`
	Import  zoneImportCmd  `cmd:"" help:"Take records from a zone file, in the place of all that were written by hand."`
	Roll    zoneRollCmd    `cmd:"" help:"Begin the roll of the key that the parent names."`
	Key     zoneKeyCmd     `cmd:"" help:"Keys that are shared with secondaries (TSIG)."`
}

// parts are those of a domain's zone that are about mail alone, and can be given to us
// without the rest.
func parts() []string {
	return []string{"_domainkey", "_dmarc", "_mta-sts", "mta-sts", "_smtp._tls", "autoconfig", "autodiscover"}
}

type zoneAddCmd struct {
	At
	Name    string `arg:"" help:"The zone."`
	Domain  string `placeholder:"NAME" help:"The domain of ours whose records are drawn in it (otherwise the one of that name)."`
	Slice   bool   `help:"Not the zone itself, but those parts of it that are about mail alone (_dmarc, mta-sts and so on)."`
	Reverse bool   `help:"A reverse zone: it holds the names of our addresses."`
	Plain   bool   `help:"Do not sign it."`
}

// Run adds a zone, or the zones of a slice.
func (c *zoneAddCmd) Run() error {
	names, domain := []string{c.Name}, c.Domain
	if c.Slice {
		names, domain = nil, c.Name
		for _, s := range parts() {
			names = append(names, s+"."+c.Name)
		}
	}
	all := items[apid.Zone]{Items: []apid.Zone{}}
	for _, name := range names {
		var z apid.Zone
		in := map[string]any{"name": name, "domain": domain, "reverse": c.Reverse, "plain": c.Plain}
		if err := c.call(http.MethodPost, "/zones", in, &z); err != nil {
			return err
		}
		all.Items = append(all.Items, z)
	}
	return c.print(all, func(w io.Writer) {
		for _, z := range all.Items {
			row(w, "zone "+z.Name+" added; its parent is to have:")
			showParent(w, z)
		}
	})
}

// showParent prints what the zone above is to have.
func showParent(w io.Writer, z apid.Zone) {
	for _, ds := range z.DS {
		row(w, "  "+strings.ReplaceAll(ds, "\t", " "))
	}
	row(w, fmt.Sprintf("  %s. IN NS  for each name server (see ekiden zone records %s)", z.Name, z.Name))
}

type zoneListCmd struct{ At }

// Run lists the zones, page by page.
func (c *zoneListCmd) Run() error {
	all, err := pages(c.call, "/zones?after=", func(i apid.Zone) string { return i.Name })
	if err != nil {
		return err
	}
	return c.print(all, func(w io.Writer) {
		row(w, "ZONE", "DOMAIN", "SIGNED", "SERIAL", "OWN RECORDS")
		for _, z := range all.Items {
			row(w, z.Name, z.Domain, z.Signed, z.Serial, z.Own)
		}
	})
}

type zoneShowCmd struct {
	At
	Name string `arg:"" help:"The zone."`
}

// Run shows a zone.
func (c *zoneShowCmd) Run() error {
	var z apid.Zone
	if err := c.call(http.MethodGet, at("zones", c.Name), nil, &z); err != nil {
		return err
	}
	return c.print(z, func(w io.Writer) {
		row(w, "zone", z.Name)
		row(w, "domain", z.Domain)
		row(w, "serial", z.Serial)
		row(w, "signed", z.Signed)
		row(w, "parent reads CDS", z.Follows)
		row(w, "transfer to", strings.Join(z.Transfer, " "))
		row(w, "notify", strings.Join(z.Notify, " "))
		for _, k := range z.Keys {
			row(w, "key", fmt.Sprintf("%d %s", k.Tag, keyState(k)))
		}
		for _, ds := range z.DS {
			row(w, "DS for the parent", strings.ReplaceAll(ds, "\t", " "))
		}
	})
}

func keyState(k apid.ZoneKey) string {
	what := "signs the zone"
	if k.Entry {
		what = "signs the keys"
	}
	switch {
	case k.Old != nil:
		return what + ", retired " + date(*k.Old)
	case k.Active == nil:
		return what + ", to come; made " + date(k.Made)
	case k.Entry && k.Parent == nil:
		return what + ", not yet seen in the parent; made " + date(k.Made)
	}
	return what + ", since " + date(*k.Active)
}

type zoneSetCmd struct {
	At
	Name     string    `arg:"" help:"The zone."`
	Follows  *bool     `negatable:"" help:"Its parent reads CDS records, so that the key it names rolls by itself."`
	Transfer *[]string `placeholder:"WHO" help:"Who may have the whole zone: addresses, networks or key:NAME, with commas; empty is nobody."`
	Notify   *[]string `placeholder:"ADDR:PORT" help:"Who is told of changes, with commas; empty is nobody."`
}

// Run changes a zone.
func (c *zoneSetCmd) Run() error {
	in := map[string]any{}
	if c.Follows != nil {
		in["follows"] = *c.Follows
	}
	if c.Transfer != nil {
		in["transfer"] = *c.Transfer
	}
	if c.Notify != nil {
		in["notify"] = *c.Notify
	}
	var z apid.Zone
	if err := c.call(http.MethodPatch, at("zones", c.Name), in, &z); err != nil {
		return err
	}
	return c.say(z, "zone %s changed", z.Name)
}

type zoneRemoveCmd struct {
	At
	Name string `arg:"" help:"The zone."`
}

// Run removes a zone.
func (c *zoneRemoveCmd) Run() error {
	var z apid.Zone
	if err := c.call(http.MethodDelete, at("zones", c.Name), nil, &z); err != nil {
		return err
	}
	return c.say(z, "zone %s removed", z.Name)
}

type zoneRecordsCmd struct {
	At
	Name string `arg:"" help:"The zone."`
}

// Run lists the records.
func (c *zoneRecordsCmd) Run() error {
	return c.records(http.MethodGet, at("zones", c.Name)+"/records", nil, false)
}

// records asks for records and prints them, as lines of a zone file or as a
// registrar's panel wants them.
func (a *At) records(method, path string, in any, panel bool) error {
	var all items[apid.Record]
	if err := a.call(method, path, in, &all); err != nil {
		return err
	}
	return a.print(all, func(w io.Writer) {
		if panel {
			row(w, "NAME", "TYPE", "DATA")
		}
		for _, r := range all.Items {
			switch {
			case panel:
				row(w, r.Name, r.Type, r.Panel)
			case r.Own:
				row(w, r.Line+" ; by hand")
			default:
				row(w, r.Line)
			}
		}
	})
}

type zoneWriteCmd struct {
	At
	Zone string   `arg:"" help:"The zone."`
	Name string   `arg:"" help:"The name within it; @ is the zone itself."`
	Type string   `arg:"" help:"The type, such as TXT."`
	Data []string `arg:"" optional:"" help:"The data of each record, as in a zone file."`
	TTL  uint32   `name:"ttl" default:"3600" placeholder:"SECONDS" help:"How long others may remember it."`
}

// Run writes a set of records.
func (c *zoneWriteCmd) Run() error {
	data := append([]string{}, c.Data...)
	in := map[string]any{"name": c.Name, "type": c.Type, "ttl": c.TTL, "data": data}
	return c.records(http.MethodPut, at("zones", c.Zone)+"/records", in, false)
}

type zoneImportCmd struct {
	At
	Name string `arg:"" help:"The zone."`
	File string `arg:"" type:"existingfile" help:"The zone file."`
}

// Run takes a zone file.
func (c *zoneImportCmd) Run() error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	return c.records(http.MethodPut, at("zones", c.Name)+"/file", map[string]string{"text": string(text)}, false)
}

type zoneRollCmd struct {
	At
	Name string `arg:"" help:"The zone."`
}

// Run begins a roll.
func (c *zoneRollCmd) Run() error {
	var z apid.Zone
	if err := c.call(http.MethodPost, at("zones", c.Name)+"/roll", nil, &z); err != nil {
		return err
	}
	return c.print(z, func(w io.Writer) {
		row(w, "a new key is published; in two days the parent is to have its DS in the place of the old one:")
		showParent(w, z)
	})
}

type zoneKeyCmd struct {
	Add    zoneKeyAddCmd    `cmd:"" help:"Make a key, and print its secret: it is told this once."`
	Remove zoneKeyRemoveCmd `cmd:"" help:"Forget a key."`
}

type zoneKeyAddCmd struct {
	At
	Name string `arg:"" help:"The key's name, which both sides use."`
}

// Run makes a key.
func (c *zoneKeyAddCmd) Run() error {
	var k apid.TransferKey
	if err := c.call(http.MethodPost, "/transfer-keys", map[string]string{"name": c.Name}, &k); err != nil {
		return err
	}
	return c.print(k, func(w io.Writer) {
		row(w, "key", k.Name)
		row(w, "algorithm", k.Algorithm)
		row(w, "secret", k.Secret)
	})
}

type zoneKeyRemoveCmd struct {
	At
	Name string `arg:"" help:"The key."`
}

// Run forgets a key.
func (c *zoneKeyRemoveCmd) Run() error {
	var k apid.TransferKey
	if err := c.call(http.MethodDelete, at("transfer-keys", c.Name), nil, &k); err != nil {
		return err
	}
	return c.say(k, "key %s removed", k.Name)
}

type domainRecordsCmd struct {
	At
	Name  string `arg:"" help:"The domain."`
	Panel bool   `help:"Each record's data in one field, as registrars' panels want it."`
}

// Run lists what the world is to see of a domain.
func (c *domainRecordsCmd) Run() error {
	if err := mustDomain(c.Name); err != nil {
		return err
	}
	return c.records(http.MethodGet, at("domains", c.Name)+"/records", nil, c.Panel)
}
