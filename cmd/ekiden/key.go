package main

import (
	"fmt"
	"io"
	"net/http"

	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// KeyCmd is `ekiden key`.
type KeyCmd struct {
	List   keyListCmd   `cmd:"" help:"List the keys of a domain, and what is to be published of them."`
	Add    keyAddCmd    `cmd:"" help:"Make one more key, which does not sign before it is rotated in."`
	Rotate keyRotateCmd `cmd:"" help:"Move the keys of a domain on: those that were published long enough sign, those that signed long enough retire, and new ones are made."`
	Remove keyRemoveCmd `cmd:"" help:"Remove a key; what it has signed is not believed any more."`
}

type keyListCmd struct {
	At
	Domain  string `arg:"" help:"The domain."`
	Records bool   `help:"As lines for a zone file."`
}

// Run lists the keys.
func (c *keyListCmd) Run() error {
	if err := mustDomain(c.Domain); err != nil {
		return err
	}
	var all items[apid.Key]
	if err := c.call(http.MethodGet, at("domains", c.Domain)+"/keys", nil, &all); err != nil {
		return err
	}
	return c.printKeys(all, c.Records)
}

// maxString is how much one string of a TXT record holds, in octets.
const maxString = 255

func (a *At) printKeys(all items[apid.Key], records bool) error {
	return a.print(all, func(w io.Writer) {
		if !records {
			row(w, "SELECTOR", "KIND", "STATE", "SINCE", "PUBLISHED AT")
		}
		for _, k := range all.Items {
			if !records {
				row(w, k.Selector, k.Kind, k.State, date(k.Since), k.Name)
				continue
			}
			text := ""
			for rest := k.Record; rest != ""; {
				n := min(len(rest), maxString)
				text += fmt.Sprintf(" %q", rest[:n])
				rest = rest[n:]
			}
			fmt.Fprintf(w, "%s. IN TXT (%s )\n", k.Name, text)
		}
	})
}

type keyAddCmd struct {
	At
	Domain string `arg:"" help:"The domain."`
	Kind   string `arg:"" enum:"rsa,ed25519" help:"rsa (2048 bits) or ed25519."`
}

// Run adds a key.
func (c *keyAddCmd) Run() error {
	if err := mustDomain(c.Domain); err != nil {
		return err
	}
	var k apid.Key
	if err := c.call(http.MethodPost, at("domains", c.Domain)+"/keys", map[string]string{"kind": c.Kind}, &k); err != nil {
		return err
	}
	return c.say(k, "key %s of %s added; it is to be published at %s", k.Selector, c.Domain, k.Name)
}

type keyRotateCmd struct {
	At
	Domain string `arg:"" help:"The domain."`
	Now    bool   `help:"Whatever the keys' age: the first time new keys are made, to be published, and the second time they sign."`
}

// Run rotates.
func (c *keyRotateCmd) Run() error {
	if err := mustDomain(c.Domain); err != nil {
		return err
	}
	var all items[apid.Key]
	if err := c.call(http.MethodPost, at("domains", c.Domain)+"/keys/rotate", map[string]bool{"now": c.Now}, &all); err != nil {
		return err
	}
	return c.printKeys(all, false)
}

type keyRemoveCmd struct {
	At
	Domain   string `arg:"" help:"The domain."`
	Selector string `arg:"" help:"The key's selector."`
}

// Run removes a key.
func (c *keyRemoveCmd) Run() error {
	if err := mustDomain(c.Domain); err != nil {
		return err
	}
	var was apid.Key
	if err := c.call(http.MethodDelete, at("domains", c.Domain)+at("keys", c.Selector), nil, &was); err != nil {
		return err
	}
	return c.say(was, "key %s of %s removed", was.Selector, c.Domain)
}
