// Package apid is the REST API of administration, with its OpenAPI 3.1 document
// at /api/v1/openapi.json.
//
// It asks nobody who he is: it is served on a unix socket that only the owner
// of the server may open. Before it is served elsewhere it needs a guard.
package apid

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/ekiden-mail/ekiden/internal/event"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/inspect"
	"github.com/ekiden-mail/ekiden/internal/flow/login"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/backup"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/history"
	"github.com/ekiden-mail/ekiden/internal/state/mailbox"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
	"github.com/ekiden-mail/ekiden/internal/state/suppress"
	"github.com/ekiden-mail/ekiden/internal/state/zone"
)

// Options are what the API stands on; all but Backup, Verify, Sink, Released,
// Send, Lately, Explain, Inspect, TLSReports and Version are needed.
type Options struct {
	Directory *directory.Store
	Mailbox   *mailbox.Store
	Queue     *queue.Store
	History   *history.Store
	Refusals  *history.Refusals // commands that were refused; nil: only those that were written
	Login     *login.Login
	Bans      Bans
	Suppress  *suppress.Store
	Keys      Keys
	Sign      bool // keys are made for domains that are added
	Zones     *zone.Store
	Backup    func(ctx context.Context, dir string) (backup.Report, error)
	Verify    func(ctx context.Context, problem func(string)) (backup.Verified, error)
	Sink      event.Sink
	Released  func(mail.AccountID) // told of each account that was let go
	Send      func(context.Context, Letter) (Sent, error)
	Lately    func(context.Context, mail.AccountID) (SentLately, error)
	Explain   explainer // the way that mail to an address goes
	Inspect   func(context.Context, mail.Domain) (inspect.Report, error)

	TLSReports func(ctx context.Context, domain mail.Domain, since time.Time) ([]TLSReport, error)
	Version    string // of the server
}

// Limits of a request.
const (
	maxBody      = 64 << 10  // octets
	maxAliasBody = 512 << 10 // of a thousand targets
	maxBodyTime  = 10 * time.Second
)

// Root is the path that all resources stand under.
const Root = "/api/v1"

// server is the API.
type server struct {
	o   Options
	api huma.API
}

// New makes the API.
func New(o Options) http.Handler {
	if o.Sink == nil {
		o.Sink = event.Discard{}
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	mux := http.NewServeMux()
	c := huma.DefaultConfig("Ekiden", o.Version)
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = Root+"/openapi", "", ""
	c.CreateHooks = nil // no links to schemas in every answer
	c.RejectUnknownQueryParameters = true
	c.Transformers = append(c.Transformers, hideValues)
	c.Info.Description = "Administration of an Ekiden mail server. Errors are problem details (RFC 9457) of type urn:ekiden:KIND."
	s := &server{o: o, api: humago.New(mux, c)}
	s.status()
	s.domains()
	s.accounts()
	s.logins()
	s.grants()
	s.messages()
	s.submissions()
	s.deleted()
	s.store()
	s.aliases()
	s.bans()
	s.suppressions()
	s.keys()
	s.zones()
	s.queue()
	s.route()
	s.tlsReports()
	s.trace()
	mux.HandleFunc("/", notHere)
	return mux
}

// hideValues keeps what was sent out of complaints about it: it may be a password.
func hideValues(_ huma.Context, _ string, v any) (any, error) {
	if m, ok := v.(*huma.ErrorModel); ok {
		for _, e := range m.Errors {
			if e != nil {
				e.Value = nil
			}
		}
	}
	return v, nil
}

// notHere answers for every path that is no resource.
func notHere(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusNotFound)
	_ = json.NewEncoder(w).Encode(problem(fault.Newf(fault.NotFound, "apid", "there is nothing at %s %.200s", r.Method, r.URL.Path)))
}

// answer is a response with a body.
type answer[T any] struct{ Body T }

// list is a body with many items.
type list[T any] struct {
	Items []T `json:"items"`
}

// register adds one operation. What fn fails with is translated in one place.
func register[I, O any](s *server, o huma.Operation, fn func(context.Context, *I) (O, error)) {
	o.Path = Root + o.Path
	if o.MaxBodyBytes == 0 {
		o.MaxBodyBytes = maxBody
	}
	if o.BodyReadTimeout == 0 {
		o.BodyReadTimeout = maxBodyTime
	}
	huma.Register(s.api, o, func(ctx context.Context, in *I) (*answer[O], error) {
		out, err := fn(ctx, in)
		if err != nil {
			s.failed(ctx, err)
			return nil, problem(err)
		}
		return &answer[O]{out}, nil
	})
}

// operation describes one.
func operation(method, path, id, tag, summary string) huma.Operation {
	return huma.Operation{Method: method, Path: path, OperationID: id, Tags: []string{tag}, Summary: summary}
}
