package apid

import (
	"context"
	"net/http"
	"path/filepath"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/backup"
)

// Backup is a backup that was taken, or restored.
type Backup struct {
	Taken   time.Time `json:"taken" doc:"the moment it holds"`
	Rows    int64     `json:"rows" doc:"in it"`
	Changed int64     `json:"changed" doc:"rows that are new, changed or gone since the backup before"`
	Bodies  int64     `json:"bodies" doc:"octets of bodies in it"`
	Written int64     `json:"written" doc:"octets written this time"`
	Whole   bool      `json:"whole" doc:"all rows were written, not only what has changed"`
	Mended  bool      `json:"mended,omitempty" doc:"the rows of the backup before were damaged, and were written anew"`
}

// BackupBody gives a report as the API does.
func BackupBody(r backup.Report) Backup {
	return Backup{
		Taken: r.Taken.UTC(), Rows: r.Rows, Changed: r.Changed, Bodies: r.Bodies, Written: r.Written, Whole: r.Whole, Mended: r.EarlierBad,
	}
}

// Verified is what a look at the whole store, or at a backup, found.
type Verified struct {
	Accounts int      `json:"accounts,omitempty" doc:"looked at"`
	Bodies   int      `json:"bodies,omitempty" doc:"looked at"`
	Problems []string `json:"problems" doc:"what is wrong, up to 1,000"`
	Failed   int      `json:"failed" doc:"how many problems there are"`
}

// Tell adds a problem.
func (v *Verified) Tell(problem string) {
	const most = 1000
	if v.Failed++; v.Failed <= most {
		v.Problems = append(v.Problems, problem)
	}
}

func (s *server) store() {
	if s.o.Backup != nil {
		register(s, operation(http.MethodPost, "/backup", "backup", "store", "Bring the backup in a directory of the server's up to date, or begin one"),
			func(ctx context.Context, in *struct {
				Body struct {
					Directory string `json:"directory" maxLength:"4096" doc:"an absolute path, where the server may write"`
				}
			}) (Backup, error) {
				if !filepath.IsAbs(in.Body.Directory) {
					return Backup{}, fault.New(fault.Invalid, "apid", "the directory must be an absolute path")
				}
				r, err := s.o.Backup(ctx, in.Body.Directory)
				return BackupBody(r), err
			})
	}
	if s.o.Verify != nil {
		register(s, operation(http.MethodPost, "/verify", "verify-store", "store", "Read all that is stored and say what is wrong"),
			func(ctx context.Context, _ *struct{}) (Verified, error) {
				v := Verified{Problems: []string{}}
				seen, err := s.o.Verify(ctx, v.Tell)
				v.Accounts, v.Bodies = seen.Accounts, seen.Bodies
				return v, err
			})
	}
}
