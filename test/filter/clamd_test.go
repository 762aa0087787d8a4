package filter

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/test/blackbox"
)

// eicar is the test file of all virus scanners, in two pieces so that this file
// is none.
const eicar = `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`

// TestClamd has clamd with a database of one signature.
func TestClamd(t *testing.T) {
	t.Parallel()
	blackbox.Need(t, "clamd")
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o755); err != nil {
		t.Fatal(err)
	}
	blackbox.WriteFile(t, dir, "db/own.hdb", fmt.Sprintf("%x:%d:Eicar-Own\n", md5.Sum([]byte(eicar)), len(eicar)))
	socket := filepath.Join(dir, "clamd.sock")
	config := blackbox.WriteFile(t, dir, "clamd.conf", fmt.Sprintf("DatabaseDirectory %s/db\nLocalSocket %s\nForeground yes\nStreamMaxLength 1M\n", dir, socket))
	blackbox.StartTool(t, []string{"clamd", "-c", config}, blackbox.There(socket))
	s := serve(t, fmt.Sprintf("[[filter]]\nname = \"clamd\"\nkind = \"clamd\"\naddress = \"unix:%s\"\nmax_size = 2000000\n", socket))

	attached := "--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(eicar)) + "\r\n--b--"
	text := strings.Replace(letter("virus", attached), "text/plain; charset=us-ascii", "multipart/mixed; boundary=b", 1)
	code, reply := send(t, s, "smtp", "v@elsewhere.test", text)
	if code != 554 || !strings.Contains(reply, "5.7.0") || !strings.Contains(reply, "Eicar-Own") {
		t.Errorf("a virus: %s", reply)
	}
	_, ref, _ := strings.Cut(reply, "(ref ")
	traced(t, s, strings.TrimSuffix(ref, ")"), "refused", "judged", "reject", "clamd: reject (Eicar-Own.UNOFFICIAL)")
	if code, reply := send(t, s, "smtp", "c@elsewhere.test", letter("clean", strings.Repeat("clean\r\n", 1000))); code != 250 {
		t.Errorf("a clean one: %s", reply)
	}
	traced(t, s, "c@elsewhere.test", "delivered", "clamd: ok")
	// What clamd cannot look at whole is not taken, and will not be later.
	for _, n := range []int{30_000, 60_000} {
		body := strings.Repeat(strings.Repeat("x", 48)+"\r\n", n)
		if code, reply := send(t, s, "smtp", "l@elsewhere.test", letter("large", body)); code != 552 {
			t.Errorf("%d octets: %s", len(body), reply)
		}
	}
	if got := len(s.Messages("bob", "INBOX")); got != 1 {
		t.Errorf("%d messages came, and one was clean", got)
	}
}
