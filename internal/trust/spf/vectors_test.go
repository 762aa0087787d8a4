package spf

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/dns"
)

// scenario is one of the suite's: a zone and questions.
type scenario struct {
	Description string
	Tests       map[string]struct {
		Helo, Host, Mailfrom, Explanation string
		Result                            any
	}
	ZoneData map[string][]any
}

// zone answers from a scenario.
type zone map[string][]any

func (z zone) Lookup(_ context.Context, name string, t dns.Type) (dns.Answer, error) {
	name = dns.Normal(name)
	for range 10 {
		entries, ok := z[name]
		if !ok {
			return dns.Answer{}, dns.ErrNoName
		}
		var a dns.Answer
		alias, late := "", false
		for _, e := range entries {
			record, isRecord := e.(map[string]any)
			if !isRecord {
				late = true // TIMEOUT
				continue
			}
			for kind, v := range record {
				switch {
				case kind == "CNAME":
					alias = v.(string)
				case kind == t.String() && v != "NONE":
					a.Records = append(a.Records, fromVector(t, v))
				case kind == "SPF" && t == dns.TypeTXT && !hasTXT(entries):
					// The type SPF is gone (RFC 7208 §3.1); the suite means both.
					a.Records = append(a.Records, fromVector(t, v))
				}
			}
		}
		switch {
		case len(a.Records) > 0:
			return a, nil
		case late:
			return dns.Answer{}, dns.ErrServer
		case alias != "":
			name = dns.Normal(alias)
		default:
			return dns.Answer{}, dns.ErrNoData
		}
	}
	return dns.Answer{}, dns.ErrServer
}

func hasTXT(entries []any) bool {
	return slices.ContainsFunc(entries, func(e any) bool {
		m, ok := e.(map[string]any)
		return ok && m["TXT"] != nil
	})
}

func fromVector(t dns.Type, v any) dns.Record {
	r := dns.Record{Type: t}
	switch v := v.(type) {
	case []any:
		if t == dns.TypeMX {
			r.Pref, r.Target = uint16(v[0].(float64)), dns.Normal(v[1].(string))
			break
		}
		for _, s := range v {
			r.Text += s.(string)
		}
	case string:
		switch t {
		case dns.TypeA, dns.TypeAAAA:
			r.Addr = netip.MustParseAddr(v)
		case dns.TypeTXT:
			r.Text = v
		default:
			r.Target = dns.Normal(v)
		}
	}
	return r
}

// TestVectors runs the suites of RFC 7208 and RFC 4408.
func TestVectors(t *testing.T) {
	for file, want := range map[string]int{"rfc7208-tests.json": 203, "rfc4408-tests.json": 191} {
		text, err := os.ReadFile(filepath.Join("../../../test/vectors/spf", file))
		if err != nil {
			t.Fatal(err)
		}
		var all []scenario
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, s := range all {
			z := zone{}
			for name, entries := range s.ZoneData {
				z[dns.Normal(name)] = entries
			}
			for name, c := range s.Tests {
				n++
				var results []string
				switch r := c.Result.(type) {
				case string:
					results = []string{r}
				case []any:
					for _, one := range r {
						results = append(results, one.(string))
					}
				}
				q := Identity(netip.MustParseAddr(c.Host), c.Helo, c.Mailfrom)
				q.Receiver, q.Now, q.Explain = "receiver.example.org", time.Unix(1e9, 0), true
				got := Check(t.Context(), z, q)
				if !slices.Contains(results, string(got.Code)) {
					t.Errorf("%s: %s/%s: %s (%s), want %s", file, s.Description, name, got.Code, got.Problem, strings.Join(results, " or "))
				}
				if e := strings.Replace(c.Explanation, "DEFAULT", "", 1); e != "" && got.Explanation != e {
					t.Errorf("%s: %s: explanation %q, want %q", file, name, got.Explanation, e)
				}
			}
		}
		if n != want {
			t.Errorf("%s has %d cases, not %d", file, n, want)
		}
	}
}
