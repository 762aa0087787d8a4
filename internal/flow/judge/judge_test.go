package judge

import (
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

func opinions(all ...Opinion) *Evidence { return &Evidence{Filters: all} }

func TestJudge(t *testing.T) {
	ok := Opinion{Filter: "a"}
	junk := Opinion{Filter: "b", Wants: Junk, Reason: "7 of 15"}
	hold := Opinion{Filter: "c", Wants: Hold, Reason: "odd"}
	later := Opinion{Filter: "d", Wants: Defer}
	discard := Opinion{Filter: "e", Wants: Discard}
	reject := Opinion{Filter: "f", Wants: Reject, Reason: "bad"}
	virus := Opinion{Filter: "g", Wants: Reject, Reply: smtp.Answer(554, smtp.Enhanced{5, 7, 0}, "a virus")}
	silent := Opinion{Filter: "h", Failed: true, Reason: "timeout"}
	large := Opinion{Filter: "h", Failed: true, TooLarge: true}
	const unwanted, closed = "550 5.7.1 the message is not wanted here", "451 4.7.1 the message cannot be examined now; please try again later"
	for _, c := range []struct {
		name     string
		at       Stage
		e        *Evidence
		required string
		want     Action
		reply    string
		why      string
	}{
		{"nobody was asked", AtData, opinions(), "", Accept, "", ""},
		{"no objection", AtData, opinions(ok, ok), "", Accept, "", ""},
		{"one says junk", AtData, opinions(ok, junk), "", Junk, "", "b: 7 of 15"},
		{"hold outweighs junk", AtData, opinions(hold, junk), "", Hold, "", "c: odd; b: 7 of 15"},
		{"defer outweighs hold", AtData, opinions(hold, later), "", Defer, "451 4.7.1 the message is not taken now; please try again later", "c: odd; d"},
		{"discard outweighs defer", AtData, opinions(later, discard), "", Discard, "", "d; e"},
		{"reject outweighs discard", AtData, opinions(discard, reject), "", Reject, unwanted, "e; f: bad"},
		{"the first of two has the word", AtData, opinions(virus, reject), "", Reject, "554 5.7.0 a virus", "g; f: bad"},
		{"silence is no objection", AtData, opinions(silent, junk), "", Junk, "", "b: 7 of 15"},
		{"silence of one that is required", AtData, opinions(silent, junk), "h", Defer, closed, "h: timeout; b: 7 of 15"},
		{"too large", AtData, opinions(large), "", Accept, "", ""},
		{"too large where it is required", AtData, opinions(large), "h", Reject, "552 5.3.4 the message is too large to be examined", "h"},
		{"junk at MAIL is for later", AtMail, opinions(junk, discard), "", Accept, "", ""},
		{"a refusal at MAIL", AtMail, opinions(hold, reject), "", Reject, unwanted, "f: bad"},
		{"silence at RCPT", AtRcpt, opinions(silent), "h", Defer, closed, "h: timeout"},
	} {
		var s Settings
		if c.required != "" {
			s.Required = []string{"x", c.required}
		}
		v := Judge(c.at, c.e, &s)
		reply := ""
		if !v.Reply.IsZero() {
			reply = v.Reply.String()
		}
		if v.Action != c.want || reply != c.reply || v.Why() != c.why || v.Refuses() != (reply != "") {
			t.Errorf("%s: %s %q %q", c.name, v.Action, reply, v.Why())
		}
	}
}

// TestWords has filters word refusals of their own.
func TestWords(t *testing.T) {
	for _, c := range []struct {
		wants Action
		reply smtp.Reply
		want  string
	}{
		{Reject, smtp.Answer(571, smtp.Enhanced{5, 7, 9}, "go away"), "571 5.7.9 go away"},
		{Reject, smtp.Answer(550, smtp.Enhanced{}, "go away"), "550 5.7.1 go away"},
		{Reject, smtp.Answer(550, smtp.Enhanced{4, 0, 0}, "go away"), "550 5.7.1 go away"},
		{Reject, smtp.Answer(550, smtp.Enhanced{5, 1, 1}, " "), "550 5.1.1 the message is not wanted here"},
		{Reject, smtp.Answer(450, smtp.Enhanced{4, 7, 1}, "later"), "550 5.7.1 the message is not wanted here"},
		{Reject, smtp.Answer(250, smtp.Enhanced{2, 0, 0}, "fine"), "550 5.7.1 the message is not wanted here"},
		{Defer, smtp.Answer(421, smtp.Enhanced{4, 7, 0}, "not now"), "421 4.7.0 not now"},
		{Defer, smtp.Answer(550, smtp.Enhanced{5, 7, 1}, "never"), "451 4.7.1 the message is not taken now; please try again later"},
	} {
		if v := Judge(AtData, opinions(Opinion{Wants: c.wants, Reply: c.reply}), &Settings{}); v.Reply.String() != c.want {
			t.Errorf("%s %v: %q, want %q", c.wants, c.reply, v.Reply, c.want)
		}
	}
}

func TestEvidenceInWords(t *testing.T) {
	e := opinions(
		Opinion{Filter: "rspamd", Wants: Junk, Reason: "add header, 7.00 of 15.00", Took: 12345 * time.Microsecond},
		Opinion{Filter: "dkim", Changes: []string{"insert field DKIM-Signature"}, Took: 3 * time.Millisecond},
		Opinion{Filter: "clamd", Failed: true, Reason: "connection refused"},
		Opinion{Filter: "hook", Failed: true, TooLarge: true},
		Opinion{Filter: "many", Changes: []string{"1", "2", "3", "4", "5", "6", "7"}},
	)
	want := "rspamd: junk (add header, 7.00 of 15.00), 12ms; dkim: ok [insert field DKIM-Signature], 3ms; " +
		"clamd: failed (connection refused); hook: not asked; many: ok [1, 2, 3, 4, 5 and 2 more]"
	if got := e.String(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
