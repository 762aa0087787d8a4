package apid

import (
	"context"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/transfer"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
)

// parcelType is what whole mailboxes travel as.
const parcelType = "application/x-tar"

const parcelAbout = "A tar (pax): a directory is a mailbox, a file in it a message, its time the received date. " +
	"The pax records EKIDEN.mailbox, EKIDEN.flags (\\Seen \\Flagged …) and EKIDEN.keywords say the rest; without them a plain tar will do."

// Imported is what became of the messages sent.
type Imported struct {
	Messages  int64              `json:"messages" doc:"that are new"`
	Repeated  int64              `json:"repeated" doc:"that were imported before"`
	Octets    int64              `json:"octets" doc:"of those that are new"`
	Mailboxes int                `json:"mailboxes" doc:"that were made"`
	Problems  []transfer.Problem `json:"problems" doc:"what could not be imported, up to 1,000"`
	Failed    int64              `json:"failed" doc:"how many problems there are"`
	Stopped   string             `json:"stopped,omitempty" doc:"why the rest was not looked at; what is counted has been imported"`
}

// bodyOf is a request whose body is streamed.
type bodyOf struct{ r io.Reader }

// Resolve is how huma hands the body over.
func (b *bodyOf) Resolve(ctx huma.Context) []error {
	b.r = ctx.BodyReader()
	return nil
}

type importRequest struct {
	AccountPath
	Anew bool `query:"anew" doc:"also what was imported before"`
	body bodyOf
}

// Resolve takes the body.
func (r *importRequest) Resolve(ctx huma.Context) []error { return r.body.Resolve(ctx) }

type exportRequest struct {
	AccountPath
	Mailbox string `query:"mailbox" maxLength:"20000" doc:"only this one and those within it"`
	Alone   bool   `query:"alone" doc:"only the mailbox, not those within it"`
}

func (s *server) messages() {
	in := operation(http.MethodPost, "/accounts/{address}/messages", "import-messages", "messages", "Add messages, with their mailboxes, flags and dates")
	in.Description = parcelAbout + " What was imported before is not added again."
	in.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{parcelType: {Schema: &huma.Schema{Type: "string", Format: "binary"}}}}
	in.BodyReadTimeout = -1
	in.MaxBodyBytes = -1
	register(s, in, s.importMessages)
	out := operation(http.MethodGet, Root+"/accounts/{address}/messages", "export-messages", "messages", "All messages, or those of a mailbox")
	out.Description = parcelAbout
	out.Responses = map[string]*huma.Response{"200": {
		Description: "the messages", Content: map[string]*huma.MediaType{parcelType: {Schema: &huma.Schema{Type: "string", Format: "binary"}}},
	}}
	huma.Register(s.api, out, s.exportMessages)
}

// found is the account of that address.
func (s *server) found(ctx context.Context, address string) (directory.Account, error) {
	addr, err := parseAddress(address)
	if err != nil {
		return directory.Account{}, err
	}
	return s.o.Directory.Account(ctx, addr)
}

func quotaOf(a directory.Account) mailbox.Quota {
	return mailbox.Quota{Octets: a.Quota, Messages: a.MaxMessages}
}

func (s *server) importMessages(ctx context.Context, in *importRequest) (Imported, error) {
	a, err := s.found(ctx, in.Address)
	if err != nil {
		return Imported{}, err
	}
	got, err := transfer.Import(ctx, transfer.Options{Mailbox: s.o.Mailbox, Account: a.ID, Quota: quotaOf(a), Anew: in.Anew}, in.body.r)
	out := Imported{
		Messages: got.Messages, Repeated: got.Repeated, Octets: got.Octets, Mailboxes: got.Mailboxes, Problems: got.Listed, Failed: got.Count,
	}
	if out.Problems == nil {
		out.Problems = []transfer.Problem{}
	}
	if err != nil && (got.Messages > 0 || fault.Is(err, fault.OverQuota)) {
		s.failed(ctx, err)
		out.Stopped, err = fault.Public(err), nil
	}
	return out, err
}

// failed tells the log of what nobody foresaw.
func (s *server) failed(ctx context.Context, err error) {
	if k := fault.KindOf(err); k == fault.Internal || k == fault.Corrupt {
		s.o.Sink.Emit(ctx, event.Failed{Where: "apid", Err: err})
	}
}

func (s *server) exportMessages(ctx context.Context, in *exportRequest) (*huma.StreamResponse, error) {
	a, err := s.found(ctx, in.Address)
	if err != nil {
		return nil, problem(err)
	}
	boxes, err := transfer.Mailboxes(ctx, s.o.Mailbox, a.ID, in.Mailbox, in.Alone)
	if err != nil {
		return nil, problem(err)
	}
	return &huma.StreamResponse{Body: func(h huma.Context) {
		h.SetHeader("Content-Type", parcelType)
		if err := transfer.Export(h.Context(), s.o.Mailbox, a.ID, boxes, h.BodyWriter()); err != nil {
			s.failed(ctx, err)
			panic(http.ErrAbortHandler) // nobody shall take a part for the whole
		}
	}}, nil
}
