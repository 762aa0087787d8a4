package apid

import (
	"context"
	"net/http"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Deleted is a message that was deleted and can be restored.
type Deleted struct {
	ID       string    `json:"id"`
	At       time.Time `json:"at" doc:"when it was deleted"`
	Mailbox  string    `json:"mailbox" doc:"the last one it was in"`
	From     string    `json:"from,omitempty"`
	Subject  string    `json:"subject,omitempty"`
	Received time.Time `json:"received"`
	Size     int64     `json:"size"`
}

func deletedBody(g mailbox.Gone) Deleted {
	d := Deleted{ID: g.ID.String(), At: g.At.UTC(), Mailbox: g.Mailbox, Received: g.Message.Received.UTC(), Size: g.Message.Size}
	if g.Index != nil {
		e := g.Index.Envelope()
		d.Subject = message.DecodeHeader(e.Subject)
		if len(e.From) > 0 {
			d.From = e.From[0].Mailbox + "@" + e.From[0].Host
		}
	}
	return d
}

// DeletedFilter chooses among what was deleted.
type DeletedFilter struct {
	Mailbox string    `json:"mailbox,omitempty" query:"mailbox" maxLength:"20000" doc:"the last one it was in"`
	After   time.Time `json:"after,omitzero" query:"after" doc:"deleted then or later"`
	Before  time.Time `json:"before,omitzero" query:"before" doc:"deleted then or earlier"`
}

func (f DeletedFilter) parse() (g mailbox.GoneFilter, err error) {
	g = mailbox.GoneFilter{After: f.After, Before: f.Before}
	if f.Mailbox != "" {
		g.Mailbox, err = mailbox.CanonicalName(f.Mailbox)
	}
	return g, err
}

type deletedQuery struct {
	AccountPath
	DeletedFilter
	Limit int `query:"limit" default:"1000" minimum:"1" maximum:"10000"`
}

type deletedList struct {
	Items []Deleted `json:"items" doc:"the last to be deleted comes first"`
	More  bool      `json:"more" doc:"the limit was reached"`
}

type undeletion struct {
	AccountPath
	Body struct {
		IDs []string `json:"ids,omitempty" maxItems:"10000"`
		DeletedFilter
		All  bool   `json:"all,omitempty" doc:"asked for where nothing else is chosen"`
		Into string `json:"into,omitempty" maxLength:"20000" doc:"a mailbox, which is made if need be; otherwise each goes where it was, or into INBOX"`
	}
}

// Restored is how many messages came back.
type Restored struct {
	Count int `json:"count"`
}

func (s *server) deleted() {
	register(s, operation(http.MethodGet, "/accounts/{address}/deleted", "list-deleted", "messages", "List the deleted messages that can be restored"),
		func(ctx context.Context, in *deletedQuery) (deletedList, error) {
			out := deletedList{Items: []Deleted{}}
			a, err := s.found(ctx, in.Address)
			if err != nil {
				return out, err
			}
			f, err := in.parse()
			if err != nil {
				return out, err
			}
			for g, err := range s.o.Mailbox.Gone(ctx, a.ID, f) {
				if err != nil {
					return out, err
				}
				if out.More = len(out.Items) == in.Limit; out.More {
					break
				}
				out.Items = append(out.Items, deletedBody(g))
			}
			return out, nil
		})
	restore := operation(http.MethodPost, "/accounts/{address}/deleted/restore", "restore-deleted", "messages", "Restore deleted messages")
	restore.MaxBodyBytes = maxAliasBody
	register(s, restore, s.undelete)
}

func (s *server) undelete(ctx context.Context, in *undeletion) (Restored, error) {
	a, err := s.found(ctx, in.Address)
	if err != nil {
		return Restored{}, err
	}
	f, err := in.Body.parse()
	if err != nil {
		return Restored{}, err
	}
	if len(in.Body.IDs) == 0 && f == (mailbox.GoneFilter{}) && !in.Body.All {
		return Restored{}, fault.New(fault.Invalid, "apid", "say which messages to restore, or that it is all of them")
	}
	chosen := map[mailbox.GoneID]bool{}
	for _, word := range in.Body.IDs {
		id, err := mailbox.ParseGoneID(word)
		if err != nil {
			return Restored{}, err
		}
		chosen[id] = true
	}
	var ids []mailbox.GoneID
	var more mailbox.Usage
	for g, err := range s.o.Mailbox.Gone(ctx, a.ID, f) {
		if err != nil {
			return Restored{}, err
		}
		if len(chosen) == 0 || chosen[g.ID] {
			ids = append(ids, g.ID)
			more.Octets += g.Message.Size
			more.Messages++
		}
	}
	if len(ids) == 0 || len(ids) < len(chosen) {
		return Restored{}, fault.New(fault.NotFound, "apid", "there is no such deleted message any more; nothing was restored")
	}
	if err := s.room(ctx, a, more); err != nil {
		return Restored{}, err
	}
	if err := s.into(ctx, a, in.Body.Into); err != nil {
		return Restored{}, err
	}
	placed, err := s.o.Mailbox.Restore(context.WithoutCancel(ctx), a.ID, a.ID, ids, in.Body.Into)
	return Restored{len(placed)}, err
}

// into makes the mailbox that messages are restored into, where it is not there.
func (s *server) into(ctx context.Context, a directory.Account, name string) error {
	if name == "" {
		return nil
	}
	return s.o.Mailbox.Update(ctx, a.ID, a.ID, func(t *mailbox.Tx) error {
		_, err := t.BoxByName(name)
		if !fault.Is(err, fault.NotFound) {
			return err
		}
		if _, err = t.CreateBox(name, mailbox.RoleNone); err != nil {
			return err
		}
		return t.Subscribe(name, true)
	})
}

// room refuses what does not fit into an account's quota.
func (s *server) room(ctx context.Context, a directory.Account, more mailbox.Usage) error {
	return s.o.Mailbox.View(ctx, a.ID, func(t *mailbox.Tx) error {
		u, err := t.Usage()
		if err != nil {
			return err
		}
		if quotaOf(a).Room(u, more) != nil {
			return fault.Newf(fault.OverQuota, "apid", "there is no room for %d octets in %d messages more in the account", more.Octets, more.Messages)
		}
		return nil
	})
}
