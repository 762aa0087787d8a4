package apid

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Way is how a message to an address would leave.
type Way struct {
	Address string     `json:"address"`
	Here    bool       `json:"here,omitempty" doc:"it does not leave: the address is of an account here"`
	Hop     string     `json:"hop,omitempty" doc:"what it shares connections with: the domain, or the smart host"`
	Failure string     `json:"failure,omitempty" doc:"the reply that its sender would get, where there is no way"`
	Signed  bool       `json:"signed" doc:"the names of the hosts are surely the domain's: by DNSSEC, MTA-STS or configuration"`
	Policy  *STSPolicy `json:"mta_sts,omitempty" doc:"the domain's MTA-STS policy; absent if DANE makes it needless, or there is none"`
	Trouble []string   `json:"trouble,omitempty" doc:"what was found wrong before any host was reached"`
	Hosts   []WayHost  `json:"hosts,omitempty" doc:"in the order in which they would be tried"`
}

// STSPolicy is an MTA-STS policy (RFC 8461).
type STSPolicy struct {
	Mode   string    `json:"mode" enum:"enforce,testing,none"`
	ID     string    `json:"id"`
	MX     []string  `json:"mx"`
	Until  time.Time `json:"until" doc:"when it ends unless it is fetched again"`
	Cached bool      `json:"cached" doc:"it was known, and not fetched for this"`
}

// WayHost is one host.
type WayHost struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"`
	Demand    string   `json:"demand" doc:"what the line must prove"`
	By        string   `json:"by" doc:"who demands it: tlsa (DANE), sts (MTA-STS), no-policy-found, or configuration"`
	TLSA      []string `json:"tlsa,omitempty" doc:"the records that are looked at"`
	Barred    string   `json:"barred,omitempty" doc:"why it is not used"`
	Trial     string   `json:"trial,omitempty" doc:"what a connection met, if one was asked for"`
}

type routeQuery struct {
	Address  string `path:"address" maxLength:"400"`
	Resolver string `query:"resolver" maxLength:"60" doc:"address:port of another resolver to ask"`
	Anchors  string `query:"trust_anchor" maxLength:"8000" doc:"DS or DNSKEY records that DNSSEC begins with, in place of the root's"`
	Hints    string `query:"root_hints" maxLength:"8000" doc:"other root servers to begin at, as a zone file"`
	Connect  bool   `query:"connect" doc:"connect to one address of each host, secure the line, and leave"`
}

// Trial is what a dry run is to do besides.
type Trial struct {
	Resolver netip.AddrPort // zero: the server's own
	Anchors  string         // trust anchors, as a zone file; "": the server's own
	Hints    string         // root servers, as a zone file; "": the server's own
	Connect  bool
}

func (s *server) route() {
	o := operation(http.MethodGet, "/route/{address}", "route", "queue", "Explain how a message to an address would leave, without sending one")
	register(s, o, func(ctx context.Context, in *routeQuery) (Way, error) {
		a, err := parseAddress(in.Address)
		if err != nil {
			return Way{}, err
		}
		t := Trial{Connect: in.Connect, Anchors: in.Anchors, Hints: in.Hints}
		if in.Resolver != "" {
			if t.Resolver, err = netip.ParseAddrPort(in.Resolver); err != nil {
				return Way{}, fault.Newf(fault.Invalid, "apid", "resolver: %.60q is not address:port", in.Resolver)
			}
		}
		if s.o.Explain == nil {
			return Way{}, fault.New(fault.Unsupported, "apid", "nothing leaves here")
		}
		return s.o.Explain(ctx, a, t)
	})
}

// explainer is how the rooms answer.
type explainer = func(context.Context, mail.Address, Trial) (Way, error)
