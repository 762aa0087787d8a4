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

// TraceCmd is `ekiden trace`.
type TraceCmd struct {
	At
	What    string `arg:"" optional:"" name:"id|address" help:"A message's id, as the 250 and the log have it, the reference in a refusal, or an address it came from or went to."`
	Subject string `placeholder:"TEXT" help:"Messages whose subject has TEXT in it, instead."`
	Newer   string `placeholder:"TIME" default:"168h" help:"With --subject: accepted since, such as 24h."`
	Limit   int    `default:"20" placeholder:"N" help:"At most so many messages, the latest first."`
}

// Run tells a message's whole story.
func (c *TraceCmd) Run() error {
	path, err := c.path()
	if err != nil {
		return usageError{err}
	}
	var all items[apid.Story]
	if err := c.call(http.MethodGet, path, nil, &all); err != nil {
		return err
	}
	return c.print(all, func(w io.Writer) {
		for i, s := range all.Items {
			if i > 0 {
				fmt.Fprintln(w)
			}
			fmt.Fprintln(w, "message", s.ID)
			for _, e := range s.Entries {
				if len(e.Reasons) == 0 {
					row(w, "  "+second(e.At), e.What, told(e))
					continue
				}
				row(w, "  "+second(e.At), e.What, e.Action)
				for _, reason := range e.Reasons {
					row(w, "", "", "  "+reason)
				}
				row(w, "", "", "  found: "+e.Reply)
			}
		}
	})
}

// path is the API's for what is asked.
func (c *TraceCmd) path() (string, error) {
	switch {
	case c.Limit < 1 || c.Limit > 1000:
		return "", errors.New("--limit: from 1 to 1000")
	case (c.What == "") == (c.Subject == ""):
		return "", errors.New("say a message's id, an address, or --subject")
	case c.Subject != "":
		if d, err := time.ParseDuration(c.Newer); err != nil || d < 0 {
			return "", fmt.Errorf("--newer: %q is not a time such as 24h", c.Newer)
		}
		return "/trace?" + url.Values{"subject": {c.Subject}, "newer": {c.Newer}, "limit": {strconv.Itoa(c.Limit)}}.Encode(), nil
	case strings.Contains(c.What, "@"):
		if err := mustAddress(c.What, false); err != nil {
			return "", err
		}
	default:
		if _, err := mail.ParseArrivalID(c.What); err != nil {
			return "", fmt.Errorf("%.100q is neither a message's id nor an address", c.What)
		}
	}
	return fmt.Sprintf("%s?limit=%d", at("trace", c.What), c.Limit), nil
}

// told puts the facts of an entry into words.
func told(e apid.Entry) string {
	var words []string
	add := func(ok bool, format string, args ...any) {
		if ok {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	add(e.What == "accepted" || e.From != "" && e.To == "" && e.What != "judged", "from <%s>", e.From)
	add(e.To != "", "to %s", e.To)
	add(e.Account != 0, "account %d", e.Account)
	add(e.Size != 0, "%s", size(e.Size))
	add(e.Subject != "", "subject %q", e.Subject)
	add(e.Peer != "", "peer %s", e.Peer)
	add(e.Host != "", "host %s", e.Host)
	add(e.TLS, "TLS")
	add(e.What == "judged", "%s", e.Action)
	add(e.What == "refused" && e.Action != "", "in answer to %s", e.Action)
	add(e.What == "reported" || e.What == "untold" && e.Action != "", "report of %q", e.Action)
	add(e.What == "returned", "%s", e.Action)
	add(e.Report != "", "as message %s", e.Report)
	add(e.Reason != "", "%s", e.Reason)
	if e.Next != nil {
		add(true, "next attempt %s", second(*e.Next))
	}
	add(e.Reply != "", "%q", e.Reply)
	return strings.Join(words, ", ")
}
