package filter

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// gtube is the test message of all spam filters; its first letter says what is
// to become of it.
const gtube = "JS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

// rspamd runs rspamd with next to no rules, and gives where its worker and its
// milter listen.
func rspamd(t *testing.T) (worker, proxy string) {
	t.Helper()
	blackbox.Need(t, "rspamd")
	dir := t.TempDir()
	worker = fmt.Sprintf("127.0.0.1:%d", blackbox.FreePort(t, "127.0.0.1"))
	proxy = fmt.Sprintf("127.0.0.1:%d", blackbox.FreePort(t, "127.0.0.1"))
	config := blackbox.WriteFile(t, dir, "rspamd.conf", strings.NewReplacer("DIR", dir, "WORKER", worker, "PROXY", proxy, "TLD", blackbox.WriteFile(t, dir, "tld", "com\ntest\n")).Replace(`
options {
  filters = "";
  enable_test_patterns = true;
  disable_hyperscan = true;
  url_tld = "TLD";
  pidfile = "DIR/pid";
  control_socket = "DIR/control.sock mode=0600";
  hs_cache_dir = "DIR";
  stats_file = "DIR/stats";
  history_file = "DIR/history";
  dns { nameserver = ["127.0.0.1:9"]; timeout = 0.1s; retransmits = 1; }
}
logging { type = "console"; level = "notice"; }
actions { reject = 15; add_header = 6; }
worker "normal" { bind_socket = "WORKER"; count = 1; }
worker "rspamd_proxy" {
  bind_socket = "PROXY"; milter = yes; timeout = 10s; count = 1;
  upstream "local" { default = yes; self_scan = yes; }
}
modules { path = "/usr/share/rspamd/plugins/milter_headers.lua"; }
milter_headers { use = ["x-spamd-result"]; skip_local = false; skip_authenticated = false; }
`))
	blackbox.StartTool(t, []string{"rspamd", "-f", "-i", "-c", config, "--var=DBDIR=" + dir, "--var=RUNDIR=" + dir}, func() bool {
		resp, err := http.Get("http://" + worker + "/ping")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil
	})
	return worker, proxy
}

// TestRspamd asks rspamd over HTTP and by its milter: both say the same.
func TestRspamd(t *testing.T) {
	t.Parallel()
	worker, proxy := rspamd(t)
	for _, table := range []string{
		fmt.Sprintf("[[filter]]\nname = \"rspamd\"\nkind = \"rspamd\"\naddress = \"http://%s\"\ndirections = [\"inbound\", \"submission\"]\n", worker),
		fmt.Sprintf("[[filter]]\nname = \"rspamd\"\nkind = \"milter\"\naddress = \"%s\"\ndirections = [\"inbound\", \"submission\"]\njunk_if = \"X-Spam: Yes\"\n", proxy),
	} {
		s := serve(t, table)
		for _, door := range []string{"smtp", "submissions"} {
			if code, reply := send(t, s, door, "alice@example.test", letter("gtube", "X"+gtube)); code != 554 && code != 550 || !strings.Contains(reply, "5.7.1") {
				t.Errorf("%s: GTUBE: %s", table, reply)
			}
		}
		traced(t, s, "alice@example.test", "judged", "reject", "rspamd: reject")
		if code, reply := send(t, s, "smtp", "x@elsewhere.test", letter("ham", "hello")); code != 250 {
			t.Errorf("%s: no spam: %s", table, reply)
		}
		b := string(s.WaitFor("bob", "INBOX", "Subject: ham", blackbox.Soon))
		if !strings.Contains(b, "X-Spamd-Result: default: False [") {
			t.Errorf("%s: rspamd's field is missing: %s", table, b)
		}
		traced(t, s, "x@elsewhere.test", "delivered", "rspamd: ok", "add field X-Spamd-Result")
		if code, reply := send(t, s, "smtp", "j@elsewhere.test", letter("junk", "Y"+gtube)); code != 250 {
			t.Errorf("junk: %s", reply)
		}
		s.WaitFor("bob", "Junk", "Subject: junk", blackbox.Soon)
		traced(t, s, "j@elsewhere.test", "judged", "junk", "rspamd: junk")
	}
}
