package sim

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/testkit/mutant"
)

// enough is how many seeds must be enough to find any one thing taken out.
const enough = 30

func mutants() []mutant.Mutant {
	const (
		attempt  = "internal/flow/relay/attempt.go"
		idle     = "internal/flow/relay/idle.go"
		secure   = "internal/flow/relay/secure.go"
		settling = "internal/flow/relay/settle.go"
		demand   = "internal/flow/route/demand.go"
		sites    = "internal/flow/route/sites.go"
		success  = "internal/flow/deliver/success.go"
		policy   = "internal/state/policies/row.go"
		settle   = "internal/state/queue/settle.go"
		plan     = "internal/state/queue/plan.go"
		rows     = "internal/state/queue/queue.go"
		steps    = "internal/state/queue/pace.go"
	)
	return []mutant.Mutant{
		{Name: "a report is not laid down", File: settling, Edits: []string{
			"if err := l.commit(tx, s.m, s.at); err != nil {", "if err := error(nil); l == nil || err != nil {"}},
		{Name: "a row that has ended stays", File: rows, Edits: []string{
			"\t\ttx.Delete(deliveryKey(d.Ref()))\n", "\t\t_ = d\n"}},
		{Name: "a link that broke behind the dot is a success", File: attempt, Edits: []string{
			"d.put(smtp.Answer(451, smtp.Enhanced{4, 4, 2}, \"the connection broke behind", "d.put(smtp.Answer(250, smtp.Enhanced{2, 4, 2}, \"the connection broke behind"}},
		{Name: "one recipient's answer is all recipients'", File: attempt, Edits: []string{
			"reply := res.Rcpt[i]; {", "reply := res.Rcpt[i*0]; {"}},
		{Name: "a commit that fails is not repeated", File: settling, Edits: []string{
			"case <-time.After(pause):", "case <-time.After(pause):\n\t\t\treturn false"}},
		{Name: "a null sender is told", File: settling, Edits: []string{
			"if s.m.From.IsNull() { // RFC 5321 §4.5.5: nobody is ever told\n\t\treturn nil", "if s.m.From.IsNull() {\n\t\ts.m.From = s.parts[0].To"}},
		{Name: "members of an alias are told of nothing", File: success, Edits: []string{
			"if r.Notify == mail.NotifySuccess {", "if r.Notify == mail.NotifySuccess || r.Notify == 0 {"}},
		{Name: "nothing is given up", File: settle, Edits: []string{
			"if !now.Before(giveUp) {", "if !now.Before(giveUp.Add(10 * 24 * time.Hour)) {"}},
		{Name: "what is due later is due at once", File: rows, Edits: []string{
			"case d.Due.After(now):", "case d.Due.After(now.Add(24 * time.Hour)):"}},
		{Name: "an idle connection does not make room", File: idle, Edits: []string{
			"\t\t\tp.yield(k)\n", ""}},
		{Name: "one that leaves is not waited for", File: idle, Edits: []string{
			"\t\t<-gone\n", ""}},
		{Name: "a connection is used for ever", File: idle, Edits: []string{
			"|| l.used >= p.most(k) ||", "||"}},
		{Name: "a site gets one connection more", File: plan, Edits: []string{
			"case s.busy >= n:", "case s.busy > n:"}},
		{Name: "senders do not take turns", File: "internal/state/queue/flow.go", Edits: []string{
			"\ts.enqueue(f)\n\tif f.count == 0 &&",
			"\tif s.enqueue(f); f.queued {\n\t\ts.turn = append([]*flow{f}, s.turn[:len(s.turn)-1]...)\n\t}\n\tif f.count == 0 &&"}},
		{Name: "messages a minute are not counted", File: steps, Edits: []string{
			"\tp.tokens--\n", ""}},
		{Name: "nobody is suspended", File: steps, Edits: []string{
			"p.pause = min(max(2*p.pause, firstPause), longPause)", "p.pause = time.Second"}},
		{Name: "a domain that has moved counts as where it was", File: sites, Edits: []string{
			"\ts.keep(d, learned{site, now, now.Add(learnedFor)})\n\treturn true", "\treturn false"}},
		{Name: "DANE is not asked for", File: demand, Edits: []string{
			"\t\tif route.Secure {\n", "\t\tif route.Secure && r == nil {\n"}},
		{Name: "TLSA records that fail are none", File: demand, Edits: []string{
			"\t\tcase err != nil:\n\t\t\treturn nil, \"\", err\n\t\tcase a.Secure:\n\t\t\treturn a.Records", "\t\tcase err != nil:\n\t\tcase a.Secure:\n\t\t\treturn a.Records"}},
		{Name: "a host that the policy does not name is used", File: demand, Edits: []string{
			"\th.Barred = why\n", ""}},
		{Name: "policies are not kept", File: policy, Edits: []string{
			"\t\ttx.Set(key(d), row)\n", "\t\t_ = row\n"}},
		{Name: "STARTTLS may be stripped", File: secure, Edits: []string{
			"if o.TLS == smtpc.Opportunistic && s.demand.Mandatory() {", "if false {"}},
		{Name: "a certificate need not fit", File: secure, Edits: []string{
			"\t\t\tif !strict {\n", "\t\t\tif !strict || !t.mustProve() {\n"}},
		{Name: "what wants proven TLS goes over any line", File: attempt, Edits: []string{
			"if m.RequireTLS && !m.From.IsNull() && !l.verified {", "if m.RequireTLS && m.From.IsNull() && !l.verified {"}},
		{Name: "a line that was not to be secure is used for all", File: attempt, Edits: []string{
			"return !l.lax || !m.RequireTLS && m.TLSOptional", "return true"}},
	}
}

// TestMutants takes out one thing at a time, and wants the simulator to find it.
func TestMutants(t *testing.T) {
	if os.Getenv("EKIDEN_MUTANTS") == "" {
		t.Skip("needs no tool: it takes many minutes, with EKIDEN_MUTANTS=1")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			out, err := m.Test(t, root, "internal/sim", "^TestTwoWeeks$", "EKIDEN_LONG=", "EKIDEN_SIM_SEEDS="+strconv.Itoa(enough))
			var exit *exec.ExitError
			found := caught.FindSubmatch(out)
			switch {
			case err == nil:
				t.Errorf("%d seeds did not find it", enough)
			case !errors.As(err, &exit) || found == nil:
				t.Errorf("it did not run: %v\n%s", err, out)
			default:
				t.Logf("found by seed %s, %v: %s", found[1], time.Since(began).Round(time.Second/10), found[2])
			}
		})
	}
}

var caught = regexp.MustCompile(`seed (\d+); replay with: .*\n.*_test.go:\d+:\s+(.*)\n`)
