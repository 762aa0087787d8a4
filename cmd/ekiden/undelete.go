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

	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// UndeleteCmd is `ekiden undelete`.
type UndeleteCmd struct {
	List    undeleteListCmd    `cmd:"" help:"List the deleted messages of an account that can be restored, the last to be deleted first."`
	Restore undeleteRestoreCmd `cmd:"" help:"Restore deleted messages: each where it was, or into INBOX where that is gone."`
}

// Gone are the filters of the undelete commands. Those given all have to fit.
type Gone struct {
	Mailbox string `placeholder:"NAME" help:"The last mailbox it was in."`
	Since   string `placeholder:"TIME" help:"Deleted then or later: 2d, 12h, 2026-01-31 or 2026-01-31T12:00:00Z."`
	Until   string `placeholder:"TIME" help:"Deleted then or earlier."`
}

// times gives the moments asked for.
func (g *Gone) times() (after, before time.Time, err error) {
	if after, err = parseTime("--since", g.Since); err != nil {
		return after, before, err
	}
	before, err = parseTime("--until", g.Until)
	return after, before, err
}

// parseTime reads a moment, or how long ago it was; nothing is no time.
func parseTime(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseFloat(days, 64); err == nil && n >= 0 && n < 36_500 {
			return time.Now().Add(-time.Duration(n * float64(24*time.Hour))).UTC().Truncate(time.Second), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return time.Now().Add(-d).UTC().Truncate(time.Second), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, usageError{fmt.Errorf("%s: %q is no time such as 2d, 12h, 2026-01-31 or 2026-01-31T12:00:00Z", flag, s)}
}

type undeleteListCmd struct {
	At
	Account string `arg:"" help:"The account."`
	Gone
	Limit int `default:"1000" placeholder:"N" help:"At most so many."`
}

// deletions is what the API answers to list.
type deletions struct {
	Items []apid.Deleted `json:"items"`
	More  bool           `json:"more"`
}

// Run lists.
func (c *undeleteListCmd) Run() error {
	if err := mustAddress(c.Account, false); err != nil {
		return err
	}
	if c.Limit < 1 || c.Limit > 10_000 {
		return usageError{errors.New("--limit: from 1 to 10000")}
	}
	after, before, err := c.times()
	if err != nil {
		return err
	}
	query := url.Values{"limit": {strconv.Itoa(c.Limit)}, "mailbox": {c.Mailbox}}
	if !after.IsZero() {
		query.Set("after", after.Format(time.RFC3339))
	}
	if !before.IsZero() {
		query.Set("before", before.Format(time.RFC3339))
	}
	var d deletions
	if err := c.call(http.MethodGet, at("accounts", c.Account)+"/deleted?"+query.Encode(), nil, &d); err != nil {
		return err
	}
	return c.print(d, func(w io.Writer) {
		if len(d.Items) == 0 {
			fmt.Fprintln(w, "nothing can be restored")
			return
		}
		row(w, "ID", "DELETED", "MAILBOX", "FROM", "SIZE", "SUBJECT")
		for _, m := range d.Items {
			row(w, m.ID, second(m.At), m.Mailbox, m.From, size(m.Size), m.Subject)
		}
		if d.More {
			fmt.Fprintln(w, "and more: see --limit")
		}
	})
}

type undeleteRestoreCmd struct {
	At
	Account string   `arg:"" help:"The account."`
	IDs     []string `arg:"" name:"id" optional:"" help:"Messages, as undelete list has them."`
	Gone
	All  bool   `help:"All that can be restored."`
	Into string `placeholder:"NAME" help:"The mailbox that all go into; it is made if need be."`
}

// Run restores.
func (c *undeleteRestoreCmd) Run() error {
	if err := mustAddress(c.Account, false); err != nil {
		return err
	}
	after, before, err := c.times()
	if err != nil {
		return err
	}
	in := map[string]any{"all": c.All}
	if len(c.IDs) > 0 {
		in["ids"] = c.IDs
	}
	for key, value := range map[string]string{"mailbox": c.Mailbox, "into": c.Into} {
		if value != "" {
			in[key] = value
		}
	}
	for key, value := range map[string]time.Time{"after": after, "before": before} {
		if !value.IsZero() {
			in[key] = value
		}
	}
	if len(in) == 1 && !c.All {
		return usageError{errors.New("say which messages to restore (ids, --mailbox, --since, --until), or --all")}
	}
	var n apid.Restored
	if err := c.call(http.MethodPost, at("accounts", c.Account)+"/deleted/restore", in, &n); err != nil {
		return err
	}
	return c.say(n, "%s of %s restored", counted(int64(n.Count), "message"), c.Account)
}
