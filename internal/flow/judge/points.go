package judge

import (
	"fmt"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/trust/arc"
	"github.com/ekiden-mail/ekiden/internal/trust/dkim"
	"github.com/ekiden-mail/ekiden/internal/trust/dmarc"
	"github.com/ekiden-mail/ekiden/internal/trust/iprev"
	"github.com/ekiden-mail/ekiden/internal/trust/spf"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// What speaks against a sender, in points. None of it alone is enough where
// DefaultJunkAt counts, but a message that shows different authors to different
// readers.
const (
	DefaultJunkAt = 5

	pointsAuthors  = 5   // several From fields, or too many domains in one
	pointsNoAuthor = 2   // no From field with an address
	pointsSPFFail  = 3   // the domain says that its mail does not come from there
	pointsSPFSoft  = 1   // it is not quite sure
	pointsNoName   = 1   // the address has no name
	pointsWrong    = 0.5 // a name that does not lead back
	pointsBadHelo  = 1   // a greeting that is no host's name
)

// point is a reason with its weight.
type point struct {
	Reason
	score float64
}

// points are what speaks against and for a sender. A failure of the DNS is worth
// nothing either way.
func (s *Sender) points() []point {
	var all []point
	add := func(score float64, source, format string, args ...any) {
		all = append(all, point{Reason{source, fmt.Sprintf(format, args...)}, score})
	}
	switch {
	case s.From > 1:
		add(pointsAuthors, "author", "the message has %d From fields", s.From)
	case s.Authors > dmarc.MaxAuthors:
		add(pointsAuthors, "author", "%s", s.DMARC.Problem)
	case s.DMARC.Code == dmarc.PermError:
		add(pointsNoAuthor, "author", "%s", s.DMARC.Problem)
	}
	if s.DMARC.Code != dmarc.Pass { // who is vouched for may come by any way
		r := s.SPF
		if s.MailFrom == "" {
			r = s.HeloSPF
		}
		switch r.Code {
		case spf.Fail:
			add(pointsSPFFail, "spf", "%s says that its mail does not come from %s", r.Domain, s.IP)
		case spf.SoftFail:
			add(pointsSPFSoft, "spf", "%s says that its mail should not come from %s", r.Domain, s.IP)
		}
	}
	switch s.Reverse.Code {
	case iprev.PermError:
		add(pointsNoName, "iprev", "the address %s has no name", s.IP)
	case iprev.Fail:
		add(pointsWrong, "iprev", "the name %s of %s does not lead back to it", s.Reverse.Name, s.IP)
	}
	switch s.Helo.Code {
	case iprev.PermError:
		add(pointsBadHelo, "helo", "the server greeted as %.80q, which is no host's name", s.Greeting)
	case iprev.Fail:
		add(pointsWrong, "helo", "the server greeted as %.80q, which is elsewhere", s.Greeting)
	}
	for _, l := range s.Listed {
		if l.Score != 0 {
			add(l.Score, "list", "%s", l)
		}
	}
	return all
}

// judge weighs who sent a message and who wrote it.
func (s *Sender) judge(set *Settings) Verdict {
	v := s.byPolicy(set)
	all := s.points()
	var sum float64
	for _, p := range all {
		sum += p.score
		v.Because = append(v.Because, Reason{p.Source, fmt.Sprintf("%s (%+g)", p.Text, p.score)})
	}
	switch {
	case set.RejectAt > 0 && sum >= set.RejectAt && v.Action < Reject:
		v.Action = Reject
		v.Reply = smtp.Answer(550, smtp.Enhanced{5, 7, 1}, "the message is not wanted here: %s", worst(all))
	case set.JunkAt > 0 && sum >= set.JunkAt && v.Action < Junk:
		v.Action = Junk
	}
	return v
}

// worst is the text of the weightiest point.
func worst(all []point) string {
	var w point
	for _, p := range all {
		if p.score > w.score {
			w = p
		}
	}
	return w.Text
}

// byPolicy does what the author's domain wants (RFC 9989 §5.3.6), and says in any
// case who vouches for the message.
func (s *Sender) byPolicy(set *Settings) Verdict {
	d := s.DMARC
	var v Verdict
	because := func(format string, args ...any) {
		v.Because = append(v.Because, Reason{"dmarc", fmt.Sprintf(format, args...)})
	}
	switch d.Code {
	case dmarc.Pass:
		because("%s vouches for the message, %s", d.Author, s.vouched())
	case dmarc.Absent:
		switch by := s.signers(); {
		case len(by) > 0:
			because("%s has no policy; the message is signed by %s", d.Author, strings.Join(by, ", "))
		case s.MailFrom != "" && s.SPF.Code == spf.Pass:
			because("%s has no policy; %s says that its mail comes from %s", d.Author, s.SPF.Domain, s.IP)
		default:
			because("%s has no policy, so that nothing shows whether the message is from there", d.Author)
		}
	case dmarc.TempError:
		because("it is not known now whether %s vouches for the message: %s", d.Author, d.Problem)
	case dmarc.Fail:
		why := fmt.Sprintf("neither SPF nor DKIM shows that the message is from %s", d.Author)
		switch sealer := s.sealer(set); {
		case d.Policy != dmarc.Reject && d.Policy != dmarc.Quarantine:
			because("%s, which does not mind", why)
		case set.IgnoreDMARC:
			because("%s, whose policy (%s) is not heeded here", why, d.Policy)
		case sealer != "":
			because("%s, but %s says that it was in order (ARC)", why, sealer)
		case d.Policy == dmarc.Quarantine:
			v.Action = Junk
			because("%s, which wants such mail to be set aside", why)
		default:
			v.Action = Reject
			v.Reply = smtp.Answer(550, smtp.Enhanced{5, 7, 26}, "refused by the DMARC policy of %s: %s", d.Domain, why) // RFC 7372 §3.3
			because("%s, which wants such mail to be refused", why)
		}
	}
	return v
}

// signers are the domains whose signatures hold.
func (s *Sender) signers() []string {
	var all []string
	for _, d := range s.DKIM {
		if d.Code == dkim.Pass {
			all = append(all, d.Domain)
		}
	}
	return all
}

// sealer is the trusted server that says that DMARC passed before (RFC 8617 §7.2.1);
// "" if there is none. All who sealed before it count for nothing: it is it that we
// believe, and it must have been the last.
func (s *Sender) sealer(set *Settings) string {
	if s.ARC.Code != arc.Pass {
		return ""
	}
	last := s.ARC.Sealers[len(s.ARC.Sealers)-1]
	for _, trusted := range set.Sealers {
		if strings.EqualFold(last, trusted) && message.ResultOf(s.ARC.Results, "dmarc") == string(dmarc.Pass) {
			return last
		}
	}
	return ""
}

// String is what was found out, in one line, for the history.
func (s *Sender) String() string {
	var words []string
	for _, r := range s.Results() {
		w := r.Method + " " + r.Result
		for _, p := range r.Props {
			if p.Value != "" && (p.Name == "mailfrom" || p.Name == "helo" || p.Name == "d" || p.Name == "from" || p.Name == "iprev") {
				w += " " + p.Value
			}
		}
		if r.Reason != "" {
			w += " (" + r.Reason + ")"
		}
		words = append(words, w)
	}
	if s.Over > 0 {
		words = append(words, fmt.Sprintf("%d more signatures", s.Over))
	}
	return strings.Join(append(words, s.Unasked...), ", ")
}
