package acme

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// Store is where certificates, their keys, accounts and what an authority asks
// for lie, as files with paths, and with locks that all nodes see.
type Store interface {
	Store(ctx context.Context, path string, b []byte) error
	Load(ctx context.Context, path string) (b []byte, changed time.Time, err error) // fault.NotFound
	List(ctx context.Context, path string) ([]string, error)                        // all files below
	Delete(ctx context.Context, path string) error                                  // and all files below
	Lock(ctx context.Context, name string) error
	Unlock(ctx context.Context, name string) error
}

// storage makes certmagic's Storage of a Store.
type storage struct{ s Store }

// missing gives certmagic the error that it knows.
func missing(err error) error {
	if fault.Is(err, fault.NotFound) {
		return errors.Join(fs.ErrNotExist, err)
	}
	return err
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func (s storage) Lock(ctx context.Context, name string) error   { return s.s.Lock(ctx, name) }
func (s storage) Unlock(ctx context.Context, name string) error { return s.s.Unlock(ctx, name) }

func (s storage) Store(ctx context.Context, key string, value []byte) error {
	return s.s.Store(ctx, key, value)
}

func (s storage) Load(ctx context.Context, key string) ([]byte, error) {
	b, _, err := s.s.Load(ctx, key)
	return b, missing(err)
}

func (s storage) Delete(ctx context.Context, key string) error { return s.s.Delete(ctx, key) }

func (s storage) Exists(ctx context.Context, key string) bool {
	_, err := s.Stat(ctx, key)
	return err == nil
}

// List gives the files below path, or what stands right below it.
func (s storage) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	all, err := s.s.List(ctx, path)
	if err != nil || recursive {
		return all, err
	}
	var entries []string
	for _, p := range all {
		rest := strings.TrimPrefix(strings.TrimPrefix(p, path), "/")
		first, _, _ := strings.Cut(rest, "/")
		entry := strings.TrimPrefix(path+"/"+first, "/")
		if len(entries) == 0 || entries[len(entries)-1] != entry {
			entries = append(entries, entry)
		}
	}
	return entries, nil
}

// Stat tells of a file, or of what has files below it.
func (s storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	b, changed, err := s.s.Load(ctx, key)
	if err == nil {
		return certmagic.KeyInfo{Key: key, Modified: changed, Size: int64(len(b)), IsTerminal: true}, nil
	}
	if !fault.Is(err, fault.NotFound) {
		return certmagic.KeyInfo{}, err
	}
	below, listErr := s.s.List(ctx, key)
	if listErr != nil || len(below) == 0 {
		return certmagic.KeyInfo{}, errors.Join(missing(err), listErr)
	}
	return certmagic.KeyInfo{Key: key}, nil
}
