package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"

	"github.com/ekiden-mail/ekiden/internal/app"
	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// BackupCmd is `ekiden backup`.
type BackupCmd struct {
	At
	Dir string `arg:"" type:"path" help:"A directory that is new, empty, or holds a backup of this server. The server writes it, so it must be allowed to."`
}

// Run takes a backup.
func (c *BackupCmd) Run() error {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	var b apid.Backup
	// A store that is not there is not backed up, so this is like reading.
	if err := c.ask("/backup", map[string]string{"directory": dir}, &b); err != nil {
		return err
	}
	return c.print(b, func(w io.Writer) {
		fmt.Fprintf(w, "backup of %s in %s: %s, %s of large bodies; %s written\n", second(b.Taken), clean(dir), counted(b.Rows, "row"), size(b.Bodies), size(b.Written))
		if b.Mended {
			fmt.Fprintln(w, "the rows of the backup before were damaged, and were written anew")
		}
	})
}

// ask posts a request that makes no store where there is none.
func (a *At) ask(path string, in, out any) (err error) {
	ctx, stop := untilSignal()
	defer stop()
	c, err := a.connect(ctx, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	return c.call(ctx, http.MethodPost, path, in, out)
}

// RestoreCmd is `ekiden restore`.
type RestoreCmd struct {
	At
	Dir string `arg:"" type:"path" help:"The directory that holds the backup."`
}

// Run restores.
func (c *RestoreCmd) Run() error {
	config, err := c.config()
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	if conn, err := app.DialSocket(ctx, config.Data); err == nil {
		_ = conn.Close()
		return fmt.Errorf("a server runs over %s; stop it first", config.Data)
	}
	r, err := app.Restore(ctx, config, c.Dir, nil)
	if err != nil {
		return err
	}
	return c.print(apid.BackupBody(r), func(w io.Writer) {
		fmt.Fprintf(w, "the backup of %s was restored into %s: %s, %s of large bodies\n", second(r.Taken), clean(config.Data), counted(r.Rows, "row"), size(r.Bodies))
	})
}

// VerifyCmd is `ekiden verify`.
type VerifyCmd struct {
	Store   verifyStoreCmd   `cmd:"" help:"Verify the store: every count, every reference and every body."`
	Backup  verifyBackupCmd  `cmd:"" help:"Verify a backup: that all of it is there and as it was."`
	Message verifyMessageCmd `cmd:"" help:"Find out who wrote a message that is read from standard input (SPF, DKIM, DMARC, ARC, reverse DNS), and print it as an Authentication-Results field."`
	SPF     verifySPFCmd     `cmd:"" name:"spf" help:"Find out whether a server may send in a domain's name, by SPF; the result comes first."`
}

type verifyStoreCmd struct{ At }

// Run verifies.
func (c *verifyStoreCmd) Run() error {
	var v apid.Verified
	if err := c.ask("/verify", nil, &v); err != nil {
		return err
	}
	return c.verified(v, fmt.Sprintf("%s and %s looked at", counted(int64(v.Accounts), "account"), bodies(v.Bodies)))
}

func bodies(n int) string {
	if n == 1 {
		return "1 body"
	}
	return fmt.Sprintf("%d bodies", n)
}

// verified tells what was found. What is wrong makes the command fail.
func (a *At) verified(v apid.Verified, seen string) error {
	err := a.print(v, func(w io.Writer) {
		row(w, seen)
		for _, p := range v.Problems {
			row(w, p)
		}
		if more := v.Failed - len(v.Problems); more > 0 {
			row(w, fmt.Sprintf("and %d more", more))
		}
		if v.Failed == 0 {
			row(w, "all is well")
		}
	})
	if err == nil && v.Failed > 0 {
		err = fmt.Errorf("%s found", counted(int64(v.Failed), "problem"))
	}
	return err
}

type verifyBackupCmd struct {
	Dir  string `arg:"" type:"path" help:"The directory that holds the backup."`
	JSON bool   `name:"json" help:"Answer in JSON."`
}

// Run verifies.
func (c *verifyBackupCmd) Run() error {
	ctx, stop := untilSignal()
	defer stop()
	v := apid.Verified{Problems: []string{}}
	r, err := app.VerifyBackup(ctx, c.Dir, v.Tell)
	if err != nil {
		return err
	}
	return (&At{JSON: c.JSON}).verified(v, fmt.Sprintf("backup of %s: %s, %s of large bodies", second(r.Taken), counted(r.Rows, "row"), size(r.Bodies)))
}
