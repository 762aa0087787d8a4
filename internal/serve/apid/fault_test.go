package apid

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// table is how each kind of error leaves by this door.
const table = `internal 500 urn:ekiden:internal
unavailable 503 urn:ekiden:unavailable
corrupt 500 urn:ekiden:corrupt
invalid 400 urn:ekiden:invalid
unsupported 501 urn:ekiden:unsupported
not found 404 urn:ekiden:not-found
expunged 404 urn:ekiden:expunged
exists 409 urn:ekiden:exists
unauthenticated 401 urn:ekiden:unauthenticated
denied 403 urn:ekiden:denied
conflict 412 urn:ekiden:conflict
over quota 507 urn:ekiden:over-quota
too large 413 urn:ekiden:too-large
too many 429 urn:ekiden:too-many
cross shard 500 urn:ekiden:cross-shard
`

func TestFaults(t *testing.T) {
	var got strings.Builder
	for _, k := range fault.Kinds() {
		p := problem(fault.As(k, "here", fmt.Errorf("secret cause")))
		fmt.Fprintln(&got, p.Title, p.Status, p.Type)
		if p.Detail == "" || strings.Contains(p.Detail, "secret") {
			t.Errorf("%v is told as %q", k, p.Detail)
		}
	}
	if got.String() != table {
		t.Errorf("got\n%swant\n%s", got.String(), table)
	}
}
