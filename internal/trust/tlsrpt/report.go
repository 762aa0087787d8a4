package tlsrpt

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// Limits on a report of others.
const (
	MaxReport   = 8 << 20 // octets of JSON
	maxPolicies = 1000
	maxFailures = 10_000 // of one policy
)

// Report is what one server tells a domain of one day (RFC 8460 §4).
type Report struct {
	Organization string // who reports
	Contact      string
	ID           string
	From, Until  time.Time
	Policies     []Summary
}

// Summary is the sessions that were judged by one policy.
type Summary struct {
	Policy     Policy
	Successful int64
	Failed     int64
	Failures   []Failure
}

// The report as it is written (RFC 8460 §4.4).
type (
	wireReport struct {
		Organization string        `json:"organization-name"`
		Range        wireRange     `json:"date-range"`
		Contact      string        `json:"contact-info"`
		ID           string        `json:"report-id"`
		Policies     []wireSummary `json:"policies"`
	}
	wireRange struct {
		From  time.Time `json:"start-datetime"`
		Until time.Time `json:"end-datetime"`
	}
	wireSummary struct {
		Policy   wirePolicy    `json:"policy"`
		Summary  wireCounts    `json:"summary"`
		Failures []wireFailure `json:"failure-details,omitempty"`
	}
	wirePolicy struct {
		Type   PolicyType `json:"policy-type"`
		Text   []string   `json:"policy-string,omitempty"`
		Domain string     `json:"policy-domain"`
		MX     mxHosts    `json:"mx-host,omitempty"`
	}
	wireCounts struct {
		Successful int64 `json:"total-successful-session-count"`
		Failed     int64 `json:"total-failure-session-count"`
	}
	wireFailure struct {
		Result      Result `json:"result-type"`
		Sending     string `json:"sending-mta-ip,omitempty"`
		Host        string `json:"receiving-mx-hostname,omitempty"`
		Helo        string `json:"receiving-mx-helo,omitempty"`
		Receiving   string `json:"receiving-ip,omitempty"`
		Sessions    int64  `json:"failed-session-count"`
		Information string `json:"additional-information,omitempty"`
		Reason      string `json:"failure-reason-code,omitempty"`
	}
)

// mxHosts is a list that some write as one string.
type mxHosts []string

// UnmarshalJSON reads a list or a string.
func (m *mxHosts) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*m = nil
		if one != "" {
			*m = mxHosts{one}
		}
		return nil
	}
	var all []string
	err := json.Unmarshal(b, &all)
	*m = all
	return err
}

// Marshal writes the report.
func (r Report) Marshal() ([]byte, error) {
	w := wireReport{r.Organization, wireRange{r.From.UTC(), r.Until.UTC()}, r.Contact, r.ID, []wireSummary{}}
	for _, s := range r.Policies {
		ws := wireSummary{
			Policy:  wirePolicy{s.Policy.Type, s.Policy.Text, string(s.Policy.Domain), s.Policy.MX},
			Summary: wireCounts{s.Successful, s.Failed},
		}
		for _, f := range s.Failures {
			ws.Failures = append(ws.Failures, wireFailure{
				f.Result, address(f.Sending), f.Host, f.Helo, address(f.Receiving), f.Sessions, f.Information, f.Reason,
			})
		}
		w.Policies = append(w.Policies, ws)
	}
	b, err := json.Marshal(w)
	return b, fault.As(fault.Invalid, "tlsrpt.Marshal", err)
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// Parse reads a report. It says fault.Invalid of what is none.
func Parse(b []byte) (Report, error) {
	const op = "tlsrpt.Parse"
	var w wireReport
	if len(b) > MaxReport {
		return Report{}, fault.New(fault.Invalid, op, "the report is too large")
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return Report{}, fault.As(fault.Invalid, op, err)
	}
	if w.ID == "" || len(w.Policies) > maxPolicies {
		return Report{}, fault.New(fault.Invalid, op, "the report has no id or too many policies")
	}
	r := Report{w.Organization, w.Contact, w.ID, w.Range.From, w.Range.Until, nil}
	for _, ws := range w.Policies {
		d, err := mail.ParseDomain(ws.Policy.Domain)
		if err != nil || len(ws.Failures) > maxFailures || ws.Summary.Successful < 0 || ws.Summary.Failed < 0 {
			return Report{}, fault.Newf(fault.Invalid, op, "what the report says of %.100q is no policy", ws.Policy.Domain)
		}
		s := Summary{Policy{ws.Policy.Type, d, ws.Policy.Text, ws.Policy.MX}, ws.Summary.Successful, ws.Summary.Failed, nil}
		for _, f := range ws.Failures {
			sending, _ := netip.ParseAddr(f.Sending) // what is none is not known
			receiving, _ := netip.ParseAddr(f.Receiving)
			s.Failures = append(s.Failures, Failure{f.Result, sending, receiving, f.Host, f.Helo, f.Sessions, f.Information, f.Reason})
		}
		r.Policies = append(r.Policies, s)
	}
	return r, nil
}

// maxKinds is how many kinds of failure are told apart in one summary.
const maxKinds = 100

// Add counts sessions: s, or a number of the same failure.
func (s *Summary) Add(f Failure, n int64) {
	if f.Result == "" {
		s.Successful += n
		return
	}
	s.Failed += n
	for i := range s.Failures {
		g := s.Failures[i]
		if g.Sessions = f.Sessions; g == f {
			s.Failures[i].Sessions += n
			return
		}
	}
	if len(s.Failures) < maxKinds {
		f.Sessions = n
		s.Failures = append(s.Failures, f)
	}
}

// Merge adds the counts of another summary.
func (s *Summary) Merge(o Summary) {
	s.Successful += o.Successful
	told := int64(0)
	for _, f := range o.Failures {
		told += f.Sessions
		s.Add(f, f.Sessions)
	}
	s.Failed += o.Failed - told
}

// MarshalJSON keeps a summary as a report has it.
func (s Summary) MarshalJSON() ([]byte, error) {
	b, err := Report{ID: "x", Policies: []Summary{s}}.Marshal()
	return b, err
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Summary) UnmarshalJSON(b []byte) error {
	r, err := Parse(b)
	if err == nil && len(r.Policies) == 1 {
		*s = r.Policies[0]
	}
	return err
}
