package apid

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/history"
)

// Story is what became of one message.
type Story struct {
	ID      string  `json:"id"`
	Entries []Entry `json:"entries" doc:"in the order in which it happened"`
}

// Entry is one thing that happened.
type Entry struct {
	At      time.Time  `json:"at"`
	What    string     `json:"what" example:"delivered"`
	From    string     `json:"from,omitempty"`
	To      string     `json:"to,omitempty"`
	Host    string     `json:"host,omitempty" doc:"the next hop"`
	Reply   string     `json:"reply,omitempty" doc:"its words, or ours; of what was judged: what each said who was asked"`
	Account uint64     `json:"account,omitempty"`
	Size    int64      `json:"size,omitempty"`
	Peer    string     `json:"peer,omitempty" doc:"where it came from"`
	TLS     bool       `json:"tls,omitempty"`
	Report  string     `json:"report,omitempty" doc:"the id of the report that was sent, or that came in"`
	Action  string     `json:"action,omitempty" doc:"what the report says, the verdict, or the command that was refused"`
	Next    *time.Time `json:"next,omitempty" doc:"the next attempt"`
	Subject string     `json:"subject,omitempty" doc:"of the message, as far as it is kept"`
	Reasons []string   `json:"reasons,omitempty" doc:"why it was judged so"`
	Reason  string     `json:"reason,omitempty" doc:"why it failed, in one of the words of docs/reports.md" example:"mailbox-full"`
}

func entryBody(e history.Entry) Entry {
	out := Entry{
		At: e.At.UTC(), What: e.What, From: e.From.String(), To: e.To.String(), Host: e.Host, Reply: e.Reply,
		Account: uint64(e.Account), Size: e.Size, Peer: e.Peer, TLS: e.TLS, Action: e.Action, Next: moment(e.Next), Subject: e.Subject, Reason: string(e.Reason),
	}
	if why, found, ok := strings.Cut(e.Reply, history.FoundOut); ok && e.What == history.Judged {
		out.Reasons, out.Reply = strings.Split(why, "; "), found
	}
	if e.Report != (mail.ArrivalID{}) {
		out.Report = e.Report.String()
	}
	return out
}

// scanned is how many entries about an address are looked at for its messages.
const scanned = 10_000

func (s *server) trace() {
	register(s, operation(http.MethodGet, "/trace/{what}", "trace", "trace", "What became of a message, by its id or the reference of a refusal, or of the latest messages from and to an address"),
		func(ctx context.Context, in *struct {
			What  string `path:"what" maxLength:"400" doc:"a message's id, a reference or an address"`
			Limit int    `query:"limit" default:"20" minimum:"1" maximum:"1000" doc:"messages"`
		}) (list[Story], error) {
			ids, err := s.traced(ctx, in.What, in.Limit)
			if err != nil {
				return list[Story]{Items: []Story{}}, err
			}
			return s.stories(ctx, in.What, ids)
		})
	register(s, operation(http.MethodGet, "/trace", "trace-subject", "trace", "What became of the latest messages whose subject has a text in it"),
		func(ctx context.Context, in *struct {
			Subject string `query:"subject" required:"true" minLength:"1" maxLength:"200" doc:"case is ignored"`
			Newer   string `query:"newer" default:"168h" maxLength:"20" doc:"accepted since, such as 24h; each message since then is looked at"`
			Limit   int    `query:"limit" default:"20" minimum:"1" maximum:"1000" doc:"messages"`
		}) (list[Story], error) {
			since, err := ago(in.Newer)
			if err != nil {
				return list[Story]{Items: []Story{}}, err
			}
			found, err := s.o.History.BySubject(ctx, in.Subject, since, in.Limit)
			if err != nil {
				return list[Story]{Items: []Story{}}, err
			}
			var ids []mail.ArrivalID
			for _, f := range found {
				ids = append(ids, f.ID)
			}
			return s.stories(ctx, in.Subject, ids)
		})
}

// stories tells what became of messages; fault.NotFound if of none anything is
// known.
func (s *server) stories(ctx context.Context, what string, ids []mail.ArrivalID) (list[Story], error) {
	out := list[Story]{Items: []Story{}}
	for _, id := range ids {
		entries, err := s.o.History.ByArrival(ctx, id)
		if err != nil {
			return out, err
		}
		entries = s.withRefusals(id, entries)
		story := Story{ID: id.String()}
		for _, e := range entries {
			story.Entries = append(story.Entries, entryBody(e))
		}
		if len(entries) > 0 {
			out.Items = append(out.Items, story)
		}
	}
	if len(out.Items) == 0 {
		return out, fault.Newf(fault.NotFound, "apid", "nothing is known about %.100s", what)
	}
	return out, nil
}

// withRefusals adds what was refused and is known in memory only.
func (s *server) withRefusals(id mail.ArrivalID, entries []history.Entry) []history.Entry {
	if s.o.Refusals != nil {
		for _, e := range s.o.Refusals.ByReference(id) {
			if !history.Told(entries, e) {
				entries = append(entries, e)
			}
		}
	}
	slices.SortStableFunc(entries, func(a, b history.Entry) int { return a.At.Compare(b.At) })
	return entries
}

// traced gives the messages meant, the latest first.
func (s *server) traced(ctx context.Context, what string, limit int) ([]mail.ArrivalID, error) {
	if !strings.Contains(what, "@") {
		id, err := mail.ParseArrivalID(what)
		if err != nil {
			return nil, fault.Newf(fault.Invalid, "apid", "%.100q is neither a message's id nor an address", what)
		}
		return []mail.ArrivalID{id}, nil
	}
	addr, err := parseAddress(what)
	if err != nil {
		return nil, err
	}
	found, err := s.o.History.ByAddress(ctx, addr, scanned)
	var ids []mail.ArrivalID
	seen := map[mail.ArrivalID]bool{}
	for _, f := range found {
		if !seen[f.ID] && len(ids) < limit {
			seen[f.ID] = true
			ids = append(ids, f.ID)
		}
	}
	return ids, err
}
