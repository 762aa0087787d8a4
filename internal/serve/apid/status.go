package apid

import (
	"context"
	"net/http"

	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// Status is how the server is doing.
type Status struct {
	Version  string `json:"version"`
	Domains  int    `json:"domains"`
	Accounts int    `json:"accounts"`
	Aliases  int    `json:"aliases"`
	Waiting  int    `json:"waiting" doc:"deliveries that wait for their next attempt"`
	Held     int    `json:"held" doc:"deliveries that wait for an operator"`
}

func (s *server) status() {
	register(s, operation(http.MethodGet, "/status", "status", "status", "How the server is doing"),
		func(ctx context.Context, _ *struct{}) (Status, error) {
			st := Status{Version: s.o.Version}
			domains, err := s.o.Directory.Domains(ctx)
			if err != nil {
				return st, err
			}
			accounts, err := s.o.Directory.Accounts(ctx)
			if err != nil {
				return st, err
			}
			aliases, err := s.o.Directory.Aliases(ctx)
			if err != nil {
				return st, err
			}
			st.Domains, st.Accounts, st.Aliases = len(domains), len(accounts), len(aliases)
			for e, err := range s.o.Queue.List(ctx, queue.Filter{}) {
				if err != nil {
					return st, err
				}
				if e.Delivery.State == queue.Held {
					st.Held++
				} else {
					st.Waiting++
				}
			}
			return st, nil
		})
}
