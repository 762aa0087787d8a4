package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// format is the form of the directory, described in docs/store.md.
const format = 1

const (
	manifestFile = "manifest"
	lockFile     = "lock"
	segmentDir   = "blobs"
	rowsPrefix   = "rows-"
	unfinished   = ".new" // behind the name of a file that is being written
)

// manifest says which files are the backup. It is written last; what it does not
// name is no part of it.
type manifest struct {
	Format   int           `json:"format"`
	Store    string        `json:"store"` // the store's random name
	Epoch    uint64        `json:"epoch"`
	Number   uint64        `json:"number"` // of this backup, from 1
	Taken    time.Time     `json:"taken"`
	Rows     []rowsFile    `json:"rows"` // the first has all rows of its time, each further one what has changed since
	Segments []segmentFile `json:"segments"`
}

type rowsFile struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

type segmentFile struct {
	Name    string `json:"name"`
	Size    int64  `json:"size"`    // octets that belong to the backup; the file may be longer
	Settled int64  `json:"settled"` // octets that need not be copied again
}

// ours says whether a file in a backup's directory may be ours.
func ours(name string) bool {
	return name == manifestFile || name == manifestFile+unfinished || name == lockFile || name == segmentDir || strings.HasPrefix(name, rowsPrefix)
}

// encode puts a SHA-256 in a line of its own behind the JSON.
func (m manifest) encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, err
	}
	b = append(b, '\n')
	sum := sha256.Sum256(b)
	return append(hex.AppendEncode(b, sum[:]), '\n'), nil
}

// readManifest gives the manifest in dir; fs.ErrNotExist if there is none.
func readManifest(dir string) (m manifest, err error) {
	b, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return m, broken("", err)
	}
	body, line := b, []byte(nil)
	if i := bytes.LastIndexByte(bytes.TrimSuffix(b, []byte("\n")), '\n'); i >= 0 {
		body, line = b[:i+1], bytes.TrimSpace(b[i+1:])
	}
	sum := sha256.Sum256(body)
	if string(line) != hex.EncodeToString(sum[:]) || json.Unmarshal(body, &m) != nil || len(m.Rows) == 0 && m.Format == format {
		return m, fault.New(fault.Corrupt, "", "the manifest of the backup is damaged")
	}
	if m.Format != format {
		return m, fault.Newf(fault.Unsupported, "", "the backup has form %d; this program reads %d", m.Format, format)
	}
	for _, r := range m.Rows {
		if filepath.Base(r.Name) != r.Name {
			return m, fault.New(fault.Corrupt, "", "the manifest of the backup names a file elsewhere")
		}
	}
	for _, s := range m.Segments {
		if filepath.Base(s.Name) != s.Name || s.Size < 0 || s.Settled < 0 {
			return m, fault.New(fault.Corrupt, "", "the manifest of the backup names a file elsewhere")
		}
	}
	return m, nil
}

// write makes m the backup in dir.
func (m manifest) write(dir string) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, manifestFile)
	f, err := os.OpenFile(path+unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	// The names of the files it lists are made safe before its own.
	if err := errors.Join(syncDir(dir), os.Rename(path+unfinished, path)); err != nil {
		return err
	}
	return syncDir(dir)
}

// tidy removes what is no part of the backup any more.
func (m manifest) tidy(dir string) error {
	part := map[string]bool{}
	for _, r := range m.Rows {
		part[r.Name] = true
	}
	for _, s := range m.Segments {
		part[filepath.Join(segmentDir, s.Name)] = true
	}
	rows, err := filepath.Glob(filepath.Join(dir, rowsPrefix+"*"))
	if err != nil {
		return err
	}
	segments, err := filepath.Glob(filepath.Join(dir, segmentDir, "*.seg"))
	for _, path := range append(rows, segments...) {
		name, _ := filepath.Rel(dir, path)
		if !part[name] {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}
