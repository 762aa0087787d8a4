package apid

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/queue"
)

// Delivery is one recipient's copy that waits to leave.
type Delivery struct {
	ID        string     `json:"id" doc:"of the message, as every 250 and trace have it"`
	From      string     `json:"from" doc:"the reverse-path; empty for reports"`
	To        string     `json:"to"`
	Via       string     `json:"via,omitempty" doc:"an operator sends it this way: host:port, or direct"`
	Site      string     `json:"site" doc:"where it goes next: a provider, a smart host or the domain"`
	Size      int64      `json:"size" doc:"octets"`
	Accepted  time.Time  `json:"accepted"`
	State     string     `json:"state" enum:"waiting,held"`
	Due       *time.Time `json:"due,omitempty" doc:"the next attempt"`
	Attempts  int        `json:"attempts"`
	Last      *time.Time `json:"last,omitempty" doc:"the last attempt"`
	LastHost  string     `json:"last_host,omitempty"`
	LastReply string     `json:"last_reply,omitempty"`
	Account   uint64     `json:"account,omitempty" doc:"who submitted it"`
	Release   *time.Time `json:"release,omitempty" doc:"its sender wants it to be held until then"`
	DeliverBy *time.Time `json:"deliver_by,omitempty" doc:"its sender wants it to be there by then"`
	Priority  int        `json:"priority,omitempty" doc:"from -9 to 9; higher is sooner"`
}

func (s *server) deliveryBody(e queue.Entry) Delivery {
	d := Delivery{
		Site: string(s.o.Queue.Site(e.Delivery)),
		ID:   e.Message.ID.String(), From: e.Message.From.String(), To: e.Delivery.To.String(),
		Size: e.Message.Size + int64(len(e.Message.Prefix)), Accepted: e.Message.At.UTC(), State: e.Delivery.State.String(),
		Attempts: e.Delivery.Attempts, LastHost: e.Delivery.LastHost, LastReply: e.Delivery.LastReply,
		Last: moment(e.Delivery.Last), Via: e.Delivery.Via, Account: uint64(e.Message.Account),
		Release: moment(e.Message.Release), DeliverBy: moment(e.Message.By.At), Priority: int(e.Message.Priority),
	}
	if e.Delivery.State == queue.Waiting {
		d.Due = moment(e.Delivery.Due)
	}
	return d
}

// moment is nil for no time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Filter chooses deliveries; what is left out chooses all.
type Filter struct {
	ID        string `json:"id,omitempty" query:"id" maxLength:"32" doc:"of the message"`
	Sender    string `json:"sender,omitempty" query:"sender" maxLength:"400" doc:"the reverse-path"`
	Recipient string `json:"recipient,omitempty" query:"recipient" maxLength:"400"`
	Domain    string `json:"domain,omitempty" query:"domain" maxLength:"255" doc:"of the recipient"`
	State     string `json:"state,omitempty" query:"state" enum:"waiting,held"`
	Site      string `json:"site,omitempty" query:"site" maxLength:"255" doc:"where it goes next"`
	Account   string `json:"account,omitempty" query:"account" maxLength:"400" doc:"who submitted it: an address, or the account's number"`
	Error     string `json:"error,omitempty" query:"error" maxLength:"400" doc:"is in the answer to the last attempt"`
	Older     string `json:"older,omitempty" query:"older" maxLength:"20" doc:"accepted longer ago, such as 4h30m"`
	Newer     string `json:"newer,omitempty" query:"newer" maxLength:"20" doc:"accepted since, such as 10m"`
}

// parse reads the filter in the queue's words.
func (s *server) parse(ctx context.Context, f Filter) (queue.Filter, error) {
	q, err := f.parse()
	if err != nil {
		return q, err
	}
	q.Site, q.Error = mail.Domain(f.Site), f.Error
	for _, a := range []struct {
		text string
		to   *time.Time
	}{{f.Older, &q.Before}, {f.Newer, &q.After}} {
		if a.text == "" {
			continue
		}
		if *a.to, err = ago(a.text); err != nil {
			return q, err
		}
	}
	if f.Account == "" {
		return q, nil
	}
	if n, err := strconv.ParseUint(f.Account, 10, 64); err == nil && n > 0 {
		q.Account = mail.AccountID(n)
		return q, nil
	}
	a, err := parseAddress(f.Account)
	if err != nil {
		return q, err
	}
	account, err := s.o.Directory.Account(ctx, a)
	q.Account = account.ID
	return q, err
}

// ago reads how long something was ago.
func ago(text string) (time.Time, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return time.Time{}, fault.Newf(fault.Invalid, "apid", "not a time such as 4h30m: %.40q", text)
	}
	return time.Now().Add(-d), nil
}

func (f Filter) parse() (q queue.Filter, err error) {
	if f.ID != "" {
		if q.ID, err = mail.ParseArrivalID(f.ID); err != nil {
			return q, fault.Newf(fault.Invalid, "apid", "%v", err)
		}
		if q.ID == (mail.ArrivalID{}) { // which would choose all
			return q, fault.New(fault.Invalid, "apid", "no message has an id of zeros")
		}
	}
	if f.Sender != "" {
		if q.From, err = parseAddress(f.Sender); err != nil {
			return q, err
		}
	}
	if f.Recipient != "" {
		if q.To, err = parseAddress(f.Recipient); err != nil {
			return q, err
		}
	}
	if f.Domain != "" {
		if q.Domain, err = parseDomain(f.Domain); err != nil {
			return q, err
		}
	}
	if q.State, err = queue.ParseState(f.State); err != nil {
		return q, fault.Newf(fault.Invalid, "apid", "%v", err)
	}
	return q, nil
}

type queueQuery struct {
	Filter
	Limit int `query:"limit" default:"1000" minimum:"1" maximum:"10000"`
}

type rerouting struct {
	Body struct {
		Filter
		Via string `json:"via" maxLength:"300" example:"smart.example:587" doc:"host:port; direct: to the domain's own hosts; usual: as if nobody had rerouted it"`
		All bool   `json:"all,omitempty" doc:"asked for where nothing else is chosen"`
	}
}

// way reads where deliveries are rerouted to.
func way(via string) (string, error) {
	switch via {
	case "usual":
		return "", nil
	case queue.Direct:
		return via, nil
	}
	host, port, err := net.SplitHostPort(via)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" || strings.ContainsAny(host, " @<>") {
		return "", fault.Newf(fault.Invalid, "apid", "neither host:port nor direct nor usual: %.80q", via)
	}
	return strings.ToLower(via), nil
}

func (s *server) reroute(ctx context.Context, in *rerouting) (Count, error) {
	f, err := s.parse(ctx, in.Body.Filter)
	if err != nil {
		return Count{}, err
	}
	via, err := way(in.Body.Via)
	if err != nil {
		return Count{}, err
	}
	if f == (queue.Filter{}) && !in.Body.All {
		return Count{}, fault.New(fault.Invalid, "apid", "say which deliveries to reroute, or that it is all of them")
	}
	n, err := s.o.Queue.Reroute(ctx, f, via)
	return Count{n}, err
}

type queueBody struct {
	Items []Delivery `json:"items" doc:"those accepted first come first"`
	More  bool       `json:"more" doc:"the limit was reached"`
}

type queueAction struct {
	Body struct {
		Filter
		All bool `json:"all,omitempty" doc:"drop asks for this where nothing else is chosen"`
	}
}

// Count is to how many deliveries something was done.
type Count struct {
	Count int `json:"count"`
}

func (s *server) queue() {
	register(s, operation(http.MethodGet, "/queue", "list-queue", "queue", "List the deliveries that wait"), s.listQueue)
	register(s, operation(http.MethodGet, "/queue/{id}", "show-queue", "queue", "Show the deliveries of one message"),
		func(ctx context.Context, in *struct {
			ID string `path:"id" maxLength:"32"`
		}) (queueBody, error) {
			out, err := s.listQueue(ctx, &queueQuery{Filter: Filter{ID: in.ID}, Limit: 10_000})
			if err == nil && len(out.Items) == 0 {
				err = fault.Newf(fault.NotFound, "apid", "no delivery of %s waits; trace says what became of it", in.ID)
			}
			return out, err
		})
	register(s, operation(http.MethodPost, "/queue/reroute", "reroute-queue", "queue", "Send deliveries another way from now on"), s.reroute)
	for _, a := range []struct {
		name, summary string
		do            func(context.Context, queue.Filter) (int, error)
	}{
		{"retry", "Try deliveries now", s.o.Queue.Retry},
		{"hold", "Keep deliveries from being tried", s.o.Queue.Hold},
		{"release", "Let held deliveries go", s.o.Queue.Release},
		{"drop", "Take deliveries away; no sender is told", s.o.Queue.Drop},
	} {
		register(s, operation(http.MethodPost, "/queue/"+a.name, a.name+"-queue", "queue", a.summary),
			func(ctx context.Context, in *queueAction) (Count, error) {
				f, err := s.parse(ctx, in.Body.Filter)
				if err != nil {
					return Count{}, err
				}
				if a.name == "drop" && f == (queue.Filter{}) && !in.Body.All {
					return Count{}, fault.New(fault.Invalid, "apid", "say which deliveries to drop, or that it is all of them")
				}
				n, err := a.do(ctx, f)
				return Count{n}, err
			})
	}
}

func (s *server) listQueue(ctx context.Context, in *queueQuery) (queueBody, error) {
	out := queueBody{Items: []Delivery{}}
	f, err := s.parse(ctx, in.Filter)
	if err != nil {
		return out, err
	}
	for e, err := range s.o.Queue.List(ctx, f) {
		if err != nil {
			return out, err
		}
		if out.More = len(out.Items) == in.Limit; out.More {
			break
		}
		out.Items = append(out.Items, s.deliveryBody(e))
	}
	slices.SortStableFunc(out.Items, func(a, b Delivery) int { return a.Accepted.Compare(b.Accepted) })
	return out, nil
}
