package app

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/backup"
	"github.com/ekiden-mail/ekiden/internal/state/kv/pebblekv"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// Where the store lies below the data directory.
func (c *Config) rowsDir() string  { return filepath.Join(c.Data, "store") }
func (c *Config) blobsDir() string { return filepath.Join(c.Data, "blobs") }

// backup brings the backup in dir up to date; see backup.Write.
func (r *rooms) backup(ctx context.Context, dir string, tell func(backup.Progress)) (backup.Report, error) {
	return backup.Write(ctx, r.db, r.blobs, dir, tell)
}

// verify reads the whole store and tells problem of what is wrong; see
// backup.Verify.
func (r *rooms) verify(ctx context.Context, problem func(string), tell func(backup.Progress)) (backup.Verified, error) {
	accounts := func(ctx context.Context) (ids []mail.AccountID, err error) {
		all, err := r.directory.Accounts(ctx)
		for _, a := range all {
			ids = append(ids, a.ID)
		}
		return ids, err
	}
	return backup.Verify(ctx, backup.Rooms{Blobs: r.blobs, Accounts: accounts, Account: r.mailbox.Verify, Holds: r.mailbox.VerifyReferences}, problem, tell)
}

// Restore brings the backup in dir into c.Data, where no store may be and no
// server may run; see backup.Restore. Every mailbox gets a new UIDVALIDITY, so
// that clients read it anew.
func Restore(ctx context.Context, c Config, dir string, tell func(backup.Progress)) (backup.Report, error) {
	report, err := backup.Restore(ctx, dir, c.Data, backup.RestoreOptions{
		Rows: c.rowsDir(), Blobs: c.blobsDir(), Row: mailbox.NewEpoch(time.Now()).Row, Tell: tell,
		Restore: func(ctx context.Context, dir string, rows io.Reader) error {
			return pebblekv.Restore(ctx, dir, rows, c.rowOptions())
		},
	})
	return report, fault.Wrap("app.Restore", err)
}

// VerifyBackup reads all of the backup in dir and tells problem of what is
// wrong; see backup.Check.
func VerifyBackup(ctx context.Context, dir string, problem func(string)) (backup.Report, error) {
	report, err := backup.Check(ctx, dir, func(what string, err error) { problem(fmt.Sprintf("body %s: %v", what, err)) }, nil)
	return report, fault.Wrap("app.VerifyBackup", err)
}
