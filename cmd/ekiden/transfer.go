package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"

	"github.com/ekiden-mail/ekiden/internal/flow/transfer"
	"github.com/ekiden-mail/ekiden/internal/serve/apid"
	"github.com/ekiden-mail/ekiden/internal/wire/mbox"
)

// ImportCmd is `ekiden import`.
type ImportCmd struct {
	Mbox    importMboxCmd    `cmd:"" help:"Import an mbox file, or a directory of them."`
	Maildir importMaildirCmd `cmd:"" help:"Import a Maildir with its folders (Maildir++, or Dovecot's layout fs)."`
}

// Into says where mail goes.
type Into struct {
	At
	Mailbox string `placeholder:"NAME" help:"The mailbox; of a directory, the one that all go under."`
	Anew    bool   `help:"Import also what was imported before."`
}

type importMboxCmd struct {
	File    string `arg:"" type:"path" help:"The file, - for standard input, or a directory."`
	Account string `arg:"" help:"The account."`
	Into
	Dialect string `default:"auto" enum:"auto,mboxo,mboxrd,mboxcl,mboxcl2" help:"How lines that begin with From are told apart: auto, mboxo, mboxrd, mboxcl or mboxcl2."`
}

// Run imports.
func (c *importMboxCmd) Run() error {
	d, _ := mbox.ParseDialect(c.Dialect)
	return c.bring(c.Account, c.File, func(ctx context.Context, w io.Writer) (transfer.Problems, error) {
		return transfer.PackMbox(ctx, w, c.File, c.Mailbox, d)
	})
}

type importMaildirCmd struct {
	Dir     string `arg:"" type:"path" help:"The directory."`
	Account string `arg:"" help:"The account."`
	Into
}

// Run imports.
func (c *importMaildirCmd) Run() error {
	return c.bring(c.Account, c.Dir, func(ctx context.Context, w io.Writer) (transfer.Problems, error) {
		return transfer.PackMaildir(ctx, w, c.Dir, c.Mailbox)
	})
}

// bring streams what pack writes into an account.
func (c *Into) bring(account, path string, pack func(context.Context, io.Writer) (transfer.Problems, error)) (err error) {
	if err := mustAddress(account, false); err != nil {
		return err
	}
	if path != "-" {
		if _, err := os.Stat(path); err != nil {
			return err
		}
	}
	ctx, stop := untilSignal()
	defer stop()
	server, err := c.connect(ctx, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.close()) }()
	if err := server.call(ctx, http.MethodGet, at("accounts", account), nil, &apid.Account{}); err != nil {
		return err
	}
	out, in := io.Pipe()
	var read transfer.Problems
	packed := make(chan error, 1)
	go func() {
		var err error
		read, err = pack(ctx, in)
		_ = in.CloseWithError(err)
		packed <- err
	}()
	var got apid.Imported
	answer, err := server.send(ctx, http.MethodPost, at("accounts", account)+"/messages?anew="+strconv.FormatBool(c.Anew), "application/x-tar", out)
	_ = out.Close()
	if broken := <-packed; broken != nil && !errors.Is(broken, io.ErrClosedPipe) {
		if err == nil {
			_ = answer.Close()
		}
		return broken
	}
	if err != nil {
		return err
	}
	if err := decode(answer, &got); err != nil {
		return err
	}
	got.Problems, got.Failed = append(append([]transfer.Problem{}, read.Listed...), got.Problems...), got.Failed+read.Count
	return c.imported(account, got)
}

// imported says what came in. Whatever did not makes the command fail.
func (a *At) imported(account string, got apid.Imported) error {
	err := a.print(got, func(w io.Writer) {
		row(w, fmt.Sprintf("%s imported into %s", counted(got.Messages, "message"), account))
		if got.Mailboxes > 0 {
			row(w, counted(int64(got.Mailboxes), "mailbox")+" made")
		}
		if got.Repeated > 0 {
			row(w, counted(got.Repeated, "message")+" had been imported before")
		}
		listProblems(w, got.Problems, got.Failed)
	})
	switch {
	case err != nil:
		return err
	case got.Stopped != "":
		return fmt.Errorf("stopped there: %s; given again, the command goes on where it stopped", got.Stopped)
	case got.Failed > 0:
		return fmt.Errorf("%s could not be imported, or not as it was", counted(got.Failed, "thing"))
	}
	return nil
}

func listProblems(w io.Writer, problems []transfer.Problem, count int64) {
	for _, p := range problems {
		row(w, p.Where+": "+p.What)
	}
	if more := count - int64(len(problems)); more > 0 {
		row(w, fmt.Sprintf("and %d more", more))
	}
}

// counted writes a number of things.
func counted(n int64, thing string) string {
	switch {
	case n == 1:
	case thing == "mailbox":
		thing = "mailboxes"
	default:
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// ExportCmd is `ekiden export`.
type ExportCmd struct {
	Mbox    exportMboxCmd    `cmd:"" help:"Export mailboxes as mbox files (mboxrd)."`
	Maildir exportMaildirCmd `cmd:"" help:"Export mailboxes as a Maildir++ that Dovecot can serve."`
}

type exportMboxCmd struct {
	At
	Account string `arg:"" help:"The account."`
	To      string `arg:"" type:"path" help:"A directory that is new or empty; with --mailbox a new file, or - for standard output."`
	Mailbox string `placeholder:"NAME" help:"Only this mailbox, into one file."`
}

// Run exports.
func (c *exportMboxCmd) Run() error {
	query := url.Values{"mailbox": {c.Mailbox}, "alone": {"true"}}
	switch {
	case c.Mailbox == "":
		return c.take(c.Account, c.To, nil, transfer.UnpackMbox)
	case c.To == "-":
		return c.take(c.Account, c.To, query, func(ctx context.Context, parcel io.Reader, _ string) (transfer.Exported, error) {
			return transfer.UnpackMboxTo(ctx, parcel, os.Stdout)
		})
	}
	return c.take(c.Account, c.To, query, toFile)
}

// toFile writes a new file. What could not be ended is taken away.
func toFile(ctx context.Context, parcel io.Reader, path string) (x transfer.Exported, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return x, err
	}
	x, err = transfer.UnpackMboxTo(ctx, parcel, f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return x, err
}

type exportMaildirCmd struct {
	At
	Account string `arg:"" help:"The account."`
	Dir     string `arg:"" type:"path" help:"A directory that is new or empty."`
	Mailbox string `placeholder:"NAME" help:"Only this mailbox and those within it."`
}

// Run exports.
func (c *exportMaildirCmd) Run() error {
	return c.take(c.Account, c.Dir, url.Values{"mailbox": {c.Mailbox}}, transfer.UnpackMaildir)
}

// exported is what a command of export answers.
type exported struct {
	Messages  int64              `json:"messages"`
	Octets    int64              `json:"octets"`
	Mailboxes int                `json:"mailboxes"`
	Problems  []transfer.Problem `json:"problems"`
	Failed    int64              `json:"failed"`
}

// take streams an account's mail into what unpack writes.
func (a *At) take(account, to string, query url.Values, unpack func(context.Context, io.Reader, string) (transfer.Exported, error)) (err error) {
	if err := mustAddress(account, false); err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	server, err := a.connect(ctx, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.close()) }()
	answer, err := server.send(ctx, http.MethodGet, at("accounts", account)+"/messages?"+query.Encode(), "", nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	x, err := unpack(ctx, answer, to)
	if err != nil {
		return fmt.Errorf("the export is not complete: %w", err)
	}
	if to == "-" {
		listProblems(os.Stderr, x.Listed, x.Count)
	} else {
		out := exported{x.Messages, x.Octets, x.Mailboxes, append([]transfer.Problem{}, x.Listed...), x.Count}
		err = a.print(out, func(w io.Writer) {
			row(w, fmt.Sprintf("%s of %s exported to %s", counted(x.Messages, "message"), account, to))
			listProblems(w, x.Listed, x.Count)
		})
	}
	if err == nil && x.Count > 0 {
		err = fmt.Errorf("%s could not be exported, or not as it was", counted(x.Count, "thing"))
	}
	return err
}
