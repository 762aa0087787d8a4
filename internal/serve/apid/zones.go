package apid

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/inspect"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/zone"
)

// Zone is a zone that the server is the authority for.
type Zone struct {
	Name     string    `json:"name" doc:"without the final dot" example:"example.com"`
	Domain   string    `json:"domain,omitempty" doc:"whose records are drawn in it"`
	Reverse  bool      `json:"reverse" doc:"holds the names of our addresses"`
	Signed   bool      `json:"signed"`
	Follows  bool      `json:"follows" doc:"its parent reads CDS records, so that the key it names can roll by itself"`
	Added    time.Time `json:"added"`
	Serial   uint32    `json:"serial"`
	Own      int       `json:"own" doc:"records written by hand"`
	Transfer []string  `json:"transfer" doc:"who may have the whole zone: addresses, networks, or key:NAME"`
	Notify   []string  `json:"notify" doc:"who is told of changes, as ADDRESS:PORT"`
	DS       []string  `json:"ds" doc:"what the parent is to have of it"`
	Keys     []ZoneKey `json:"keys"`
}

// ZoneKey is a key that a zone is signed with.
type ZoneKey struct {
	Tag    uint16     `json:"tag"`
	Entry  bool       `json:"entry" doc:"the parent names it"`
	Made   time.Time  `json:"made"`
	Active *time.Time `json:"active,omitempty" doc:"it signs since then"`
	Old    *time.Time `json:"retired,omitempty" doc:"it signs no more since then"`
	Parent *time.Time `json:"parent,omitempty" doc:"the parent was first seen to name it"`
}

func zoneBody(h zone.Held) Zone {
	out := Zone{
		Name: strings.TrimSuffix(h.Name, "."), Domain: string(h.Domain), Reverse: h.Reverse, Signed: h.Signed, Follows: h.Follows,
		Added: h.Added.UTC(), Serial: h.Serial, Own: h.Own, Transfer: orNone(h.Transfer), Notify: orNone(h.Notify), DS: []string{}, Keys: []ZoneKey{},
	}
	for _, k := range h.Keys {
		out.Keys = append(out.Keys, ZoneKey{k.Tag, k.Entry, k.Made.UTC(), moment(k.Active), moment(k.Retired), moment(k.Parent)})
		if k.Entry {
			out.DS = append(out.DS, k.DS(h.Name).String())
		}
	}
	return out
}

func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// ZonePath names a zone.
type ZonePath struct {
	Name string `path:"name" maxLength:"255" doc:"the zone's name, in either form"`
}

type zonesQuery struct {
	After string `query:"after" maxLength:"255" doc:"the last zone of the page before"`
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
}

type zoneList struct {
	Items []Zone `json:"items"`
	More  bool   `json:"more" doc:"ask again, after the last one"`
}

type newZone struct {
	Body struct {
		Name    string `json:"name" maxLength:"255" doc:"the zone's name, in either form"`
		Domain  string `json:"domain,omitempty" maxLength:"255" doc:"the domain of ours whose records are drawn in it; empty: the domain of the zone's name, if it is ours"`
		Reverse bool   `json:"reverse,omitempty" doc:"it holds the names of our addresses"`
		Plain   bool   `json:"plain,omitempty" doc:"it is not signed"`
	}
}

type changedZone struct {
	ZonePath
	Body struct {
		Follows  *bool     `json:"follows,omitempty"`
		Transfer *[]string `json:"transfer,omitempty" maxItems:"50"`
		Notify   *[]string `json:"notify,omitempty" maxItems:"50"`
	}
}

// Record is a record of a zone.
type Record struct {
	Name string `json:"name" doc:"without the final dot"`
	Type string `json:"type" example:"TXT"`
	TTL  uint32 `json:"ttl" doc:"seconds"`
	Line string `json:"line" doc:"as in a zone file"`
	// Panel is what a registrar's panel wants: a TXT record's text in one piece.
	Panel string `json:"panel" doc:"the data in one field, as registrars' panels want it"`
	Own   bool   `json:"own" doc:"written by hand"`
}

func recordBody(rr dns.RR, own bool) Record {
	h := rr.Header()
	r := Record{Name: strings.TrimSuffix(h.Name, "."), Type: dns.TypeToString[h.Rrtype], TTL: h.Ttl, Line: rr.String(), Own: own}
	if t, ok := rr.(*dns.TXT); ok {
		r.Panel = strings.Join(t.Txt, "")
	} else {
		r.Panel = strings.TrimPrefix(rr.String(), h.String())
	}
	return r
}

type newRecords struct {
	ZonePath
	Body struct {
		Name string   `json:"name" maxLength:"255" doc:"within the zone, or whole; @ is the zone itself"`
		Type string   `json:"type" maxLength:"20" example:"TXT"`
		TTL  uint32   `json:"ttl,omitempty" maximum:"604800" doc:"seconds; 3600 unless said otherwise"`
		Data []string `json:"data" maxItems:"500" doc:"as in a zone file, one a record; none removes what was written by hand"`
	}
}

type zoneFile struct {
	ZonePath
	Body struct {
		Text string `json:"text" doc:"a zone file (RFC 1035 §5); it takes the place of all records written by hand"`
	}
}

func (s *server) zones() {
	z := s.o.Zones
	register(s, operation(http.MethodGet, "/zones", "list-zones", "zones", "List the zones that the server is the authority for"),
		func(ctx context.Context, in *zonesQuery) (zoneList, error) {
			found, err := z.List(ctx, in.After, in.Limit)
			out := zoneList{Items: []Zone{}, More: len(found) == in.Limit}
			for _, h := range found {
				out.Items = append(out.Items, zoneBody(h))
			}
			return out, err
		})
	add := operation(http.MethodPost, "/zones", "add-zone", "zones", "Be the authority for a zone")
	add.DefaultStatus = http.StatusCreated
	register(s, add, s.addZone)
	const one = "/zones/{name}"
	register(s, operation(http.MethodGet, one, "show-zone", "zones", "Show a zone"),
		func(ctx context.Context, in *ZonePath) (Zone, error) { return s.zone(ctx, in.Name) })
	register(s, operation(http.MethodPatch, one, "set-zone", "zones", "Change a zone"), s.setZone)
	register(s, operation(http.MethodDelete, one, "remove-zone", "zones", "Be the authority no more"),
		func(ctx context.Context, in *ZonePath) (Zone, error) {
			was, err := s.zone(ctx, in.Name)
			if err != nil {
				return was, err
			}
			return was, z.Remove(ctx, was.Name)
		})
	register(s, operation(http.MethodGet, one+"/records", "list-records", "zones", "List a zone's records, without signatures"), s.listRecords)
	register(s, operation(http.MethodPut, one+"/records", "set-records", "zones", "Write the records of a name and type by hand"), s.setRecords)
	file := operation(http.MethodPut, one+"/file", "import-zone", "zones", "Take records from a zone file")
	file.MaxBodyBytes = maxZoneBody
	register(s, file, s.importZone)
	register(s, operation(http.MethodPost, one+"/roll", "roll-zone", "zones", "Begin the roll of the key that the parent names"),
		func(ctx context.Context, in *ZonePath) (Zone, error) {
			if err := z.RollEntry(ctx, zoneName(in.Name)); err != nil {
				return Zone{}, err
			}
			return s.zone(ctx, in.Name)
		})
	share := operation(http.MethodPost, "/transfer-keys", "add-transfer-key", "zones", "Make a key that is shared with a secondary")
	share.DefaultStatus = http.StatusCreated
	register(s, share, s.addTransferKey)
	register(s, operation(http.MethodDelete, "/transfer-keys/{name}", "remove-transfer-key", "zones", "Forget a key"),
		func(ctx context.Context, in *ZonePath) (TransferKey, error) {
			k, err := z.TSIG(ctx, in.Name)
			if err == nil {
				err = z.SetTSIG(ctx, zone.TSIG{Name: k.Name, Algorithm: k.Algorithm})
			}
			return TransferKey{Name: k.Name, Algorithm: k.Algorithm}, err
		})
	register(s, operation(http.MethodGet, "/check/domain/{name}", "check-domain", "domains", "Look at a domain's mail, ours or not, as the world does"),
		func(ctx context.Context, in *DomainPath) (inspect.Report, error) {
			d, err := parseDomain(in.Name)
			if err != nil {
				return inspect.Report{}, err
			}
			if s.o.Inspect == nil {
				return inspect.Report{}, fault.New(fault.Unsupported, "apid", "nothing leaves here")
			}
			return s.o.Inspect(ctx, d)
		})
	register(s, operation(http.MethodGet, "/domains/{name}/records", "list-domain-records", "domains", "List the records that the world is to see of a domain"),
		func(ctx context.Context, in *DomainPath) (list[Record], error) {
			out := list[Record]{Items: []Record{}}
			d, err := s.domain(ctx, in.Name)
			if err != nil {
				return out, err
			}
			rrs, err := z.Drawn(ctx, mail.Domain(d.Name))
			for _, rr := range rrs {
				out.Items = append(out.Items, recordBody(rr, false))
			}
			return out, err
		})
}

// TransferKey is a key that is shared with a secondary (RFC 8945).
type TransferKey struct {
	Name      string `json:"name"`
	Algorithm string `json:"algorithm"`
	Secret    string `json:"secret,omitempty" doc:"in base64; it is told this once"`
}

type newTransferKey struct {
	Body struct {
		Name      string `json:"name" maxLength:"255"`
		Algorithm string `json:"algorithm,omitempty" doc:"hmac-sha256 unless said otherwise"`
		Secret    string `json:"secret,omitempty" maxLength:"200" doc:"in base64; otherwise one is made up"`
	}
}

// addTransferKey keeps a key, and makes up what is not given.
func (s *server) addTransferKey(ctx context.Context, in *newTransferKey) (TransferKey, error) {
	k := zone.NewTSIG(in.Body.Name)
	if in.Body.Secret != "" {
		k.Secret = in.Body.Secret
	}
	if in.Body.Algorithm != "" {
		k.Algorithm = in.Body.Algorithm
	}
	if err := s.o.Zones.SetTSIG(ctx, k); err != nil {
		return TransferKey{}, err
	}
	return TransferKey{k.Name, k.Algorithm, k.Secret}, nil
}

// maxZoneBody is the octets of a zone file in a request.
const maxZoneBody = 4 << 20

// zoneName is a zone's name in A-labels where it is a host's; reverse zones may have
// other letters.
func zoneName(s string) string {
	if d, err := mail.ParseDomain(strings.TrimSuffix(s, ".")); err == nil {
		return string(d)
	}
	return strings.ToLower(s)
}

func (s *server) zone(ctx context.Context, name string) (Zone, error) {
	h, err := s.o.Zones.Zone(ctx, zoneName(name))
	return zoneBody(h), err
}

// addZone makes a zone, of the domain that it is named by unless another is given.
func (s *server) addZone(ctx context.Context, in *newZone) (Zone, error) {
	name := zoneName(in.Body.Name)
	h := zone.Held{Name: name, Reverse: in.Body.Reverse, Signed: !in.Body.Plain}
	switch {
	case in.Body.Domain != "":
		d, err := s.domain(ctx, in.Body.Domain)
		if err != nil {
			return Zone{}, err
		}
		h.Domain = mail.Domain(d.Name)
	case !h.Reverse:
		if _, err := s.o.Directory.Domain(ctx, mail.Domain(name)); err == nil {
			h.Domain = mail.Domain(name)
		} else if !fault.Is(err, fault.NotFound) {
			return Zone{}, err
		}
	}
	if err := s.o.Zones.Add(ctx, h); err != nil {
		return Zone{}, err
	}
	return s.zone(ctx, name)
}

func (s *server) setZone(ctx context.Context, in *changedZone) (Zone, error) {
	err := s.o.Zones.Change(ctx, zoneName(in.Name), func(h *zone.Held) error {
		assign(&h.Follows, in.Body.Follows)
		assign(&h.Transfer, in.Body.Transfer)
		assign(&h.Notify, in.Body.Notify)
		return nil
	})
	if err != nil {
		return Zone{}, err
	}
	return s.zone(ctx, in.Name)
}

func (s *server) listRecords(ctx context.Context, in *ZonePath) (list[Record], error) {
	out := list[Record]{Items: []Record{}}
	name := zoneName(in.Name)
	all, own, err := s.o.Zones.Content(ctx, name)
	for _, rr := range all {
		byHand := slices.ContainsFunc(own, func(o dns.RR) bool { return dns.IsDuplicate(o, rr) })
		out.Items = append(out.Items, recordBody(rr, byHand))
	}
	return out, err
}

// setRecords writes a set by hand.
func (s *server) setRecords(ctx context.Context, in *newRecords) (list[Record], error) {
	const op = "apid.setRecords"
	b := in.Body
	zoneAt := dns.CanonicalName(zoneName(in.Name))
	t, ok := dns.StringToType[strings.ToUpper(b.Type)]
	if !ok {
		return list[Record]{}, fault.Newf(fault.Invalid, op, "%q is no type of records", b.Type)
	}
	name := dns.CanonicalName(b.Name)
	switch {
	case b.Name == "@":
		name = zoneAt
	case !dns.IsSubDomain(zoneAt, name):
		name = strings.ToLower(strings.TrimSuffix(b.Name, ".")) + "." + zoneAt
	}
	ttl := b.TTL
	if ttl == 0 {
		ttl = 3600
	}
	var rrs []dns.RR
	for _, data := range b.Data {
		p := dns.NewZoneParser(strings.NewReader(fmt.Sprintf("%s %d IN %s %s\n", name, ttl, dns.TypeToString[t], data)), zoneAt, "")
		rr, more := p.Next()
		if err := p.Err(); err != nil || !more {
			return list[Record]{}, fault.Newf(fault.Invalid, op, "%q is no data of a record of type %s", data, dns.TypeToString[t])
		}
		rrs = append(rrs, rr)
	}
	if err := s.o.Zones.SetRecords(ctx, zoneAt, name, t, rrs); err != nil {
		return list[Record]{}, err
	}
	return s.listRecords(ctx, &in.ZonePath)
}

// importZone takes a zone file. Its SOA, and what we make ourselves, is left out.
func (s *server) importZone(ctx context.Context, in *zoneFile) (list[Record], error) {
	rrs, err := zone.ParseFile(zoneName(in.Name), in.Body.Text)
	if err == nil {
		err = s.o.Zones.Import(ctx, zoneName(in.Name), rrs)
	}
	if err != nil {
		return list[Record]{}, err
	}
	return s.listRecords(ctx, &in.ZonePath)
}
