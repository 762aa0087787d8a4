package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// QueueCmd is `ekiden queue`.
type QueueCmd struct {
	List    queueListCmd    `cmd:"" help:"List the deliveries that wait."`
	Show    queueShowCmd    `cmd:"" help:"Show the deliveries of one message."`
	Retry   queueRetryCmd   `cmd:"" help:"Try deliveries now."`
	Hold    queueHoldCmd    `cmd:"" help:"Keep deliveries from being tried."`
	Release queueReleaseCmd `cmd:"" help:"Let held deliveries go."`
	Reroute queueRerouteCmd `cmd:"" help:"Send deliveries another way."`
	Drop    queueDropCmd    `cmd:"" help:"Take deliveries away; no sender is told."`
}

// Chosen are the filters of the queue commands. Those given all have to fit.
type Chosen struct {
	Which     []string `arg:"" optional:"" help:"A message's id, a recipient's address, or a recipient's domain."`
	ID        string   `name:"id" placeholder:"ID" help:"The message."`
	Sender    string   `aliases:"from" placeholder:"ADDR" help:"The reverse-path."`
	Recipient string   `aliases:"to" placeholder:"ADDR" help:"The recipient."`
	Domain    string   `placeholder:"NAME" help:"The recipient's domain."`
	State     string   `placeholder:"waiting|held" help:"What it waits for."`
	Site      string   `aliases:"hop" placeholder:"NAME" help:"Where it goes next: a provider, a smart host (host:port) or a domain, as show has it."`
	Account   string   `placeholder:"ADDR" help:"Who submitted it: an address, or the account's number."`
	Error     string   `placeholder:"TEXT" help:"Is in the answer to the last attempt."`
	Older     string   `placeholder:"TIME" help:"Accepted longer ago, such as 4h30m."`
	Newer     string   `placeholder:"TIME" help:"Accepted since, such as 10m."`
}

// filter gives the filters in the API's words, with the bare words sorted in.
func (c *Chosen) filter() (map[string]any, error) {
	f := map[string]any{}
	add := func(key, value string) error {
		switch was, ok := f[key]; {
		case value == "":
		case ok && was != value:
			return usageError{fmt.Errorf("%s and %v cannot both be the %s", value, was, key)}
		default:
			f[key] = value
		}
		return nil
	}
	for _, w := range c.Which {
		key := "domain"
		if _, err := mail.ParseArrivalID(w); err == nil {
			key = "id"
		} else if strings.Contains(w, "@") {
			key = "recipient"
		}
		if err := add(key, w); err != nil {
			return nil, err
		}
	}
	for _, g := range []struct{ key, value string }{
		{"id", c.ID}, {"sender", c.Sender}, {"recipient", c.Recipient}, {"domain", c.Domain}, {"state", c.State},
		{"site", c.Site}, {"account", c.Account}, {"error", c.Error}, {"older", c.Older}, {"newer", c.Newer},
	} {
		if err := add(g.key, g.value); err != nil {
			return nil, err
		}
	}
	return f, checkFilter(f)
}

// checkFilter makes a bad word wrong usage.
func checkFilter(f map[string]any) error {
	for key, value := range f {
		s := fmt.Sprint(value)
		var err error
		switch key {
		case "id":
			_, err = mail.ParseArrivalID(s)
		case "sender", "recipient":
			_, err = mail.ParseAddress(s)
		case "domain":
			_, err = mail.ParseDomain(s)
		case "older", "newer":
			if _, err = time.ParseDuration(s); err != nil {
				err = fmt.Errorf("--%s: %q is not a time such as 4h30m", key, s)
			}
		case "state":
			if s != "waiting" && s != "held" {
				err = fmt.Errorf("--state: %q is neither waiting nor held", s)
			}
		}
		if err != nil {
			return usageError{err}
		}
	}
	return nil
}

// queued is what the API answers to list.
type queued struct {
	Items []apid.Delivery `json:"items"`
	More  bool            `json:"more"`
}

type queueListCmd struct {
	At
	Chosen
	Limit int `default:"1000" placeholder:"N" help:"At most so many."`
}

// Run lists deliveries.
func (c *queueListCmd) Run() error {
	f, err := c.filter()
	if err != nil {
		return err
	}
	if c.Limit < 1 || c.Limit > 10_000 {
		return usageError{errors.New("--limit: from 1 to 10000")}
	}
	query := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	for key, value := range f {
		query.Set(key, fmt.Sprint(value))
	}
	var q queued
	if err := c.call(http.MethodGet, "/queue?"+query.Encode(), nil, &q); err != nil {
		return err
	}
	return c.print(q, func(w io.Writer) {
		if len(q.Items) == 0 {
			fmt.Fprintln(w, "nothing waits")
			return
		}
		row(w, "ID", "FROM", "TO", "SIZE", "STATE", "ATTEMPTS", "NEXT", "LAST REPLY")
		for _, d := range q.Items {
			row(w, d.ID, "<"+d.From+">", d.To, size(d.Size), d.State, d.Attempts, next(d), d.LastReply)
		}
		if q.More {
			fmt.Fprintln(w, "and more: see --limit")
		}
	})
}

func next(d apid.Delivery) string {
	if d.Due == nil {
		return "-"
	}
	return second(*d.Due)
}

type queueShowCmd struct {
	At
	ID string `arg:"" help:"The message's id."`
}

// Run shows the deliveries of a message.
func (c *queueShowCmd) Run() error {
	if _, err := mail.ParseArrivalID(c.ID); err != nil {
		return usageError{err}
	}
	var q queued
	if err := c.call(http.MethodGet, at("queue", c.ID), nil, &q); err != nil {
		return err
	}
	return c.print(q, func(w io.Writer) {
		for i, d := range q.Items {
			if i == 0 {
				row(w, "message", d.ID)
				row(w, "from", "<"+d.From+">")
				row(w, "size", size(d.Size))
				row(w, "accepted", second(d.Accepted))
				if d.Release != nil {
					row(w, "to be released", second(*d.Release))
				}
				if d.DeliverBy != nil {
					row(w, "to be delivered by", second(*d.DeliverBy))
				}
				if d.Priority != 0 {
					row(w, "priority", d.Priority)
				}
			}
			fmt.Fprintln(w)
			row(w, "to", d.To)
			row(w, "site", d.Site)
			if d.Via != "" {
				row(w, "rerouted", d.Via)
			}
			row(w, "state", d.State)
			row(w, "next attempt", next(d))
			row(w, "attempts", d.Attempts)
			if d.Last != nil {
				row(w, "last attempt", second(*d.Last))
				row(w, "host", d.LastHost)
				row(w, "reply", d.LastReply)
			}
		}
	})
}

// change does something to what was chosen.
func (a *At) change(c *Chosen, action, done string, all bool) error {
	f, err := c.filter()
	if err != nil {
		return err
	}
	return a.changeAll(f, action, done, all)
}

// changeAll is change for a filter in the API's words, where all says that it may be
// empty.
func (a *At) changeAll(f map[string]any, action, done string, all bool) error {
	chosen := len(f)
	if _, ok := f["via"]; ok {
		chosen--
	}
	if (action == "drop" || action == "reroute") && chosen == 0 {
		if !all {
			return usageError{fmt.Errorf("say which deliveries to %s (an id, an address, a domain, --sender …), or --all", action)}
		}
		f["all"] = true
	}
	var n apid.Count
	if err := a.call(http.MethodPost, "/queue/"+action, f, &n); err != nil {
		return err
	}
	what := "deliveries"
	if n.Count == 1 {
		what = "delivery"
	}
	return a.say(n, "%d %s %s", n.Count, what, done)
}

type queueRetryCmd struct {
	At
	Chosen
}

// Run makes deliveries due now.
func (c *queueRetryCmd) Run() error { return c.change(&c.Chosen, "retry", "due now", false) }

type queueHoldCmd struct {
	At
	Chosen
}

// Run holds deliveries.
func (c *queueHoldCmd) Run() error { return c.change(&c.Chosen, "hold", "held", false) }

type queueReleaseCmd struct {
	At
	Chosen
}

// Run releases deliveries.
func (c *queueReleaseCmd) Run() error { return c.change(&c.Chosen, "release", "released", false) }

type queueRerouteCmd struct {
	At
	Chosen
	Via string `required:"" placeholder:"HOST:PORT|direct|usual" help:"A host, with its login if it is a smart host of the configuration; the domain's own hosts; or as if nobody had rerouted it."`
	All bool   `help:"Everything that waits."`
}

// Run reroutes deliveries.
func (c *queueRerouteCmd) Run() error {
	f, err := c.filter()
	if err != nil {
		return err
	}
	f["via"] = c.Via
	return c.changeAll(f, "reroute", "rerouted", c.All)
}

type queueDropCmd struct {
	At
	Chosen
	All bool `help:"Everything that waits."`
}

// Run drops deliveries.
func (c *queueDropCmd) Run() error { return c.change(&c.Chosen, "drop", "dropped", c.All) }
