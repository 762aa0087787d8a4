package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/blob"
	"github.com/ekiden-mail/ekiden/internal/state/kv/pebblekv"
)

// openStore opens rows and bodies below c.Data.
func openStore(c *Config, sink event.Sink) (*pebblekv.DB, *blob.Store, error) {
	const op = "app.openStore"
	o := c.rowOptions()
	o.Damaged = func(path string, err error) {
		sink.Emit(context.Background(), event.Failed{Where: "store", Err: fault.As(fault.Corrupt, "",
			fmt.Errorf("%s is damaged; `ekiden verify store` tells what is lost: %w", path, err))})
	}
	db, err := pebblekv.Open(c.rowsDir(), o)
	if err != nil {
		return nil, nil, fault.Wrap(op, err)
	}
	blobs, err := blob.Open(blob.Options{DB: db, Dir: c.blobsDir(), Reserve: c.Store.Reserve})
	if err != nil {
		return nil, nil, fault.Wrap(op, errors.Join(err, db.Close()))
	}
	return db, blobs, nil
}

// rowOptions are those of the rows' engine. Of the reserve it has half for
// itself: new bodies end before rows do.
func (c *Config) rowOptions() pebblekv.Options {
	return pebblekv.Options{Cache: c.Store.Cache, Reserve: c.Store.Reserve / 2}
}
