package app

import (
	"context"

	"github.com/ekiden-mail/ekiden/internal/flow/answer"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// answerer writes reports in the languages that accounts and domains ask for.
func (r *rooms) answerer(c *Config) *answer.Answerer {
	return answer.New(answer.Options{Hostname: c.Hostname, Prefer: func(ctx context.Context, sender mail.Address) answer.Preference {
		set, account, ours, err := r.directory.ReportsOf(ctx, sender)
		if err != nil || !ours {
			return answer.Preference{} // a report in both languages is better than none
		}
		return answer.Preference{Account: account, Domain: set.Language}
	}})
}
