package report

import (
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/trust/tlsrpt"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Limits on what strangers may have us keep.
const (
	maxMail    = 2 << 20 // octets of a message that is looked at
	maxTaken   = 100     // policies of reports about one domain that came in on one day
	keepTaken  = 90 * 24 * time.Hour
	maxListed  = 10_000
	prunedRows = 1000 // at once
)

// Taken is what somebody has reported to us about one policy of a domain of
// ours. Nobody has proven that he is who he says.
type Taken struct {
	Received     time.Time
	Sender       string // the reverse-path
	Organization string
	Contact      string
	ID           string
	From, Until  time.Time
	tlsrpt.Summary
}

// taken is Taken as its row has it.
type taken struct {
	Received     time.Time      `json:"received"`
	Sender       string         `json:"sender"`
	Organization string         `json:"organization"`
	Contact      string         `json:"contact"`
	ID           string         `json:"id"`
	From         time.Time      `json:"from"`
	Until        time.Time      `json:"until"`
	Summary      tlsrpt.Summary `json:"summary"`
}

func takenPrefix() kv.Key { return kv.NewKey(kv.OthersShard()).Uint8('i') }

// Take looks whether an arrival that was laid down is a report of TLS (RFC 8460
// §5.3) about domains of ours, and keeps what it says. The arrival stays as it
// is. It fails only in the log.
func (r *Reporter) Take(ctx context.Context, a *mail.Arrival) {
	if a.Size > maxMail {
		return
	}
	rep, err := r.find(ctx, a)
	if err == nil {
		err = r.keep(ctx, a, rep)
	}
	if !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Invalid) {
		r.tell(ctx, err)
	}
}

// find reads the report in a message.
func (r *Reporter) find(ctx context.Context, a *mail.Arrival) (rep tlsrpt.Report, err error) {
	content, err := r.o.Blobs.Open(ctx, a.Content)
	if err != nil {
		return rep, err
	}
	defer func() { _ = content.Close() }()
	ix, err := message.Parse(content, a.Size)
	if err != nil {
		return rep, err
	}
	var part *message.Part
	ix.Walk(func(_ []int, p *message.Part) bool {
		if p.Type == "application" && strings.HasPrefix(p.Subtype, "tlsrpt+") {
			part = p
		}
		return part == nil
	})
	if part == nil {
		return rep, fault.New(fault.NotFound, "report.find", "no report")
	}
	return unpackReport(message.DecodeBody(io.NewSectionReader(content, part.BodyStart, part.Size()), part.Encoding), part.Subtype)
}

// unpackReport reads JSON, packed or not.
func unpackReport(body io.Reader, subtype string) (tlsrpt.Report, error) {
	const op = "report.unpack"
	if subtype == "tlsrpt+gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return tlsrpt.Report{}, fault.As(fault.Invalid, op, err)
		}
		body = z
	}
	text, err := io.ReadAll(io.LimitReader(body, tlsrpt.MaxReport+1))
	if err != nil {
		return tlsrpt.Report{}, fault.As(fault.Invalid, op, err)
	}
	return tlsrpt.Parse(text)
}

// keep writes what a report says about domains of ours. The same report again
// takes its own place.
func (r *Reporter) keep(ctx context.Context, a *mail.Arrival, rep tlsrpt.Report) error {
	rows := map[string][]byte{}
	for _, s := range rep.Policies {
		ours, err := r.o.IsLocal(ctx, s.Policy.Domain)
		if err != nil {
			return err
		}
		if !ours || len(rows) == maxTaken {
			continue
		}
		sum := sha256.Sum256([]byte(rep.Organization + "\x00" + rep.ID + "\x00" + s.Policy.Key()))
		k := takenPrefix().Uint32(uint32(day(a.At))).Text(string(s.Policy.Domain)).Fixed(sum[:8])
		t := taken{a.At, a.Envelope.From.String(), short(rep.Organization), short(rep.Contact), short(rep.ID), rep.From, rep.Until, s}
		if rows[string(k)], err = encodeTaken(t); err != nil {
			return err
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return r.o.DB.Update(ctx, []kv.Shard{kv.OthersShard()}, func(tx kv.Tx) error {
		for k, b := range rows {
			n := 0
			for _, err := range tx.Scan(kv.Range{From: []byte(k[:len(k)-8]), To: kv.PrefixEnd([]byte(k[:len(k)-8])), Limit: maxTaken}) {
				if err != nil {
					return err
				}
				n++
			}
			if n < maxTaken {
				tx.Set([]byte(k), b)
			}
		}
		return nil
	})
}

// short keeps what a stranger calls himself within bounds.
func short(s string) string { return strings.ToValidUTF8(s[:min(len(s), 300)], "") }

// encodeTaken writes a row: without what has no room there.
func encodeTaken(t taken) ([]byte, error) {
	t.Summary.Failures = t.Summary.Failures[:min(len(t.Summary.Failures), 100)]
	b, err := json.Marshal(t)
	if len(b) > kv.MaxValue/2 {
		t.Summary.Failures, t.Summary.Policy.Text, t.Summary.Policy.MX = nil, nil, nil
		b, err = json.Marshal(t)
	}
	return append([]byte{format1}, b...), err
}

// List gives what was reported since a day about a domain of ours, "" for all,
// the latest first.
func (r *Reporter) List(ctx context.Context, d mail.Domain, since time.Time) ([]Taken, error) {
	var all []Taken
	err := r.o.DB.View(ctx, kv.OthersShard(), func(rd kv.Reader) error {
		all = nil
		scan := kv.Range{From: takenPrefix().Uint32(uint32(max(day(since), 0))), To: kv.PrefixEnd(takenPrefix()), Reverse: true, Limit: maxListed}
		for p, err := range rd.Scan(scan) {
			if err != nil {
				return err
			}
			var t taken
			if len(p.Value) == 0 || p.Value[0] != format1 || json.Unmarshal(p.Value[1:], &t) != nil || d != "" && t.Summary.Policy.Domain != d {
				continue
			}
			all = append(all, Taken{t.Received, t.Sender, t.Organization, t.Contact, t.ID, t.From, t.Until, t.Summary})
		}
		return nil
	})
	slices.SortStableFunc(all, func(a, b Taken) int { return cmp.Compare(b.Received.Unix(), a.Received.Unix()) })
	return all, fault.Wrap("report.List", err)
}

// prune forgets what was reported long ago.
func (r *Reporter) prune(ctx context.Context, now time.Time) error {
	old := kv.Range{From: takenPrefix(), To: takenPrefix().Uint32(uint32(day(now.Add(-keepTaken)))), Limit: prunedRows}
	return r.o.DB.Update(kv.Freeing(ctx), []kv.Shard{kv.OthersShard()}, func(tx kv.Tx) error {
		var keys [][]byte
		for p, err := range tx.Scan(old) {
			if err != nil {
				return err
			}
			keys = append(keys, p.Key)
		}
		for _, k := range keys {
			tx.Delete(k)
		}
		return nil
	})
}
