package imapd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// The table of house.md §9, kind by kind.
const faultTable = `
internal           NO [SERVERBUG]
unavailable        NO [UNAVAILABLE]
corrupt            NO [CORRUPTION]
invalid            BAD
unsupported        NO [CANNOT]
not found          NO [NONEXISTENT]
expunged           NO [EXPUNGEISSUED]
exists             NO [ALREADYEXISTS]
unauthenticated    NO [AUTHENTICATIONFAILED]
denied             NO [NOPERM]
conflict           NO [INUSE]
over quota         NO [OVERQUOTA]
too large          NO [TOOBIG]
too many           NO [LIMIT]
cross shard        NO [SERVERBUG]
`

func TestFaultTable(t *testing.T) {
	var got strings.Builder
	for _, k := range fault.Kinds() {
		r := refusal(fault.New(k, "test", ""))
		code := ""
		if r.code != "" {
			code = " [" + r.code + "]"
		}
		fmt.Fprintf(&got, "%-18s %s%s\n", k, r.status, code)
		if r.text == "" {
			t.Errorf("%s: no words for the client", k)
		}
	}
	if got.String() != strings.TrimPrefix(faultTable, "\n") {
		t.Errorf("got\n%s", got.String())
	}
}
