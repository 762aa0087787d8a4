package trust

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// pyspfCheck evaluates policies against a zone; both come as JSON.
const pyspfCheck = `
import sys, json, spf
job = json.load(sys.stdin)
zone = {}
for line in job["zone"]:
    name, ttl, cls, t, data = line.split(None, 4)
    data = data.strip('"')
    if t == "TXT": v = (data.encode(),)
    elif t == "MX":
        pref, host = data.split(); v = (int(pref), host.rstrip("."))
    elif t in ("A",): v = data
    elif t == "AAAA":
        import ipaddress; v = ipaddress.ip_address(data).packed
    else: v = data.rstrip(".")
    zone.setdefault((name.rstrip(".").lower(), t), []).append(v)
def lookup(name, qtype, tcpfallback=True, timeout=30):
    return [((name, qtype), v) for v in zone.get((name.rstrip(".").lower(), qtype), [])]
spf.DNSLookup = lookup
for q in job["queries"]:
    print(spf.check2(i=q["ip"], s=q["from"], h=q["helo"])[0])
`

// TestPySPF evaluates policies with pyspf and with us.
func TestPySPF(t *testing.T) {
	t.Parallel()
	needModules(t, "spf")
	zone := []string{
		"mx.p.test. 60 IN A 192.0.2.10", "mx.p.test. 60 IN AAAA 2001:db8::10", "p.test. 60 IN MX 10 mx.p.test.", "p.test. 60 IN A 192.0.2.20",
		"10.2.0.192.in-addr.arpa. 60 IN PTR mx.p.test.", "a.b._spf.p.test. 60 IN A 127.0.0.1", "inc.test. 60 IN TXT \"v=spf1 ip4:192.0.2.30 -all\"",
	}
	policies := []string{
		"v=spf1 -all", "v=spf1 mx -all", "v=spf1 a mx ~all", "v=spf1 a:mx.p.test ?all", "v=spf1 ip4:192.0.2.0/28 -all", "v=spf1 ip6:2001:db8::/64 -all",
		"v=spf1 include:inc.test -all", "v=spf1 include:none.test -all", "v=spf1 redirect=inc.test", "v=spf1 redirect=none.test", "v=spf1 exists:%{l}.%{l1r-}.x._spf.p.test -all",
		"v=spf1 exists:%{l-}._spf.p.test -all", "v=spf1 ptr:p.test -all", "v=spf1 mx/30 a/24 -all", "v=spf1 mx:p.test//64 -all", "v=spf1 a:none1.test a:none2.test -all",
		"v=spf1 a:none1.test a:none2.test a:none3.test -all", "v=spf1 +all", "v=spf1", "v=spf1 foo -all", "v=spf1 ip4:192.0.2.300 -all", "v=spf1 mx -all mx", "v=spf1 all: -all",
		"v=spf2.0/pra -all", "v=spf1 a:%{d} -all", "v=spf1 -exists:%{ir}.none.test +all", "v=spf1 exp=x.test redirect=inc.test exp=y.test", "v=spf1 a:p -all",
	}
	type query struct {
		IP   string `json:"ip"`
		From string `json:"from"`
		Helo string `json:"helo"`
	}
	var queries []query
	for i, p := range policies {
		domain := fmt.Sprintf("d%d.test", i)
		zone = append(zone, fmt.Sprintf("%s. 60 IN TXT %q", domain, p))
		if strings.Contains(p, "mx") || strings.Contains(p, " a") {
			zone = append(zone, domain+". 60 IN MX 10 mx.p.test.", domain+". 60 IN A 192.0.2.20")
		}
		for _, ip := range []string{"192.0.2.10", "192.0.2.20", "192.0.2.30", "198.51.100.1", "2001:db8::10"} {
			queries = append(queries, query{ip, "a-b@" + domain, "mx.p.test"})
		}
	}
	job, err := json.Marshal(map[string]any{"zone": zone, "queries": queries})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	theirs := strings.Fields(blackbox.Run(t, dir, string(job), python, "-c", pyspfCheck))
	if len(theirs) != len(queries) {
		t.Fatalf("%d results for %d queries", len(theirs), len(queries))
	}
	d := blackbox.StartDNS(t, zone...)
	results := map[string]int{}
	for i, q := range queries {
		out := blackbox.Run(t, dir, "", blackbox.Binary(t), "verify", "spf", "--resolver", d.Addr, "--ip", q.IP, "--from", q.From, "--helo", q.Helo)
		ours := strings.Fields(out)[0]
		results[ours]++
		if ours != theirs[i] {
			t.Errorf("%s, %s: %s, pyspf says %s", policies[i/5], q.IP, strings.TrimSpace(out), theirs[i])
		}
	}
	if len(results) < 6 {
		t.Errorf("only %v", results)
	}
}

// TestRspamd has rspamd verify what the server signed, as it is and changed.
func TestRspamd(t *testing.T) {
	t.Parallel()
	blackbox.Need(t, "rspamd")
	s, d := start(t)
	host, port, _ := strings.Cut(d.Addr, ":")
	dir := t.TempDir()
	worker := fmt.Sprintf("127.0.0.1:%d", blackbox.FreePort(t, "127.0.0.1"))
	config := blackbox.WriteFile(t, dir, "rspamd.conf", strings.NewReplacer("DIR", dir, "WORKER", worker, "DNS", host+":"+port, "TLD", blackbox.WriteFile(t, dir, "tld", "com\ntest\n")).Replace(`
options {
  filters = "dkim";
  disable_hyperscan = true; url_tld = "TLD"; pidfile = "DIR/pid"; control_socket = "DIR/control.sock mode=0600";
  hs_cache_dir = "DIR"; stats_file = "DIR/stats"; history_file = "DIR/history"; local_addrs = [];
  dns { nameserver = ["DNS"]; timeout = 1s; retransmits = 3; }
}
logging { type = "console"; level = "notice"; }
actions { reject = 150; add_header = 60; }
worker "normal" { bind_socket = "WORKER"; count = 1; }
dkim { check_local = true; }
`))
	blackbox.StartTool(t, []string{"rspamd", "-f", "-i", "-c", config, "--var=DBDIR=" + dir, "--var=RUNDIR=" + dir}, func() bool {
		resp, err := http.Get("http://" + worker + "/ping")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil
	})
	look := func(text string) string {
		r, err := http.NewRequest(http.MethodPost, "http://"+worker+"/checkv2", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		var found struct {
			Symbols map[string]struct {
				Options []string
			}
		}
		if err := json.NewDecoder(resp.Body).Decode(&found); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(found.Symbols)
	}
	got := own(submit(t, s, letter("Alice <alice@example.test>", "signed", "Hi.\r\n")))
	for _, c := range []struct{ text, want, ours string }{
		{got, "R_DKIM_ALLOW:{[example.test:s=r", "dkim=pass"},
		{got, "example.test:s=e", "dkim=pass (256-bit key)"},
		{strings.Replace(got, "Hi.", "Ha.", 1), "R_DKIM_REJECT:{[example.test:s=r", "dkim=fail"},
		{strings.Replace(got, "\nFrom: Alice", "\nFrom: Malice", 1), "R_DKIM_REJECT:{[example.test:s=r", "dkim=fail"},
	} {
		if said := look(c.text); !strings.Contains(said, c.want) {
			t.Errorf("rspamd says %s, want %s", said, c.want)
		}
		ours := blackbox.Run(t, dir, c.text, blackbox.Binary(t), "verify", "message", "--resolver", d.Addr)
		if !strings.Contains(ours, c.ours) {
			t.Errorf("we say %s, want %s", ours, c.ours)
		}
	}
}
