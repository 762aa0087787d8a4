package apid_test

import (
	"testing"

	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// TestKeys is the life of a domain's signing keys.
func TestKeys(t *testing.T) {
	h := open(t)
	h.o.Sign = true
	h.handler = apid.New(h.o)
	h.play([]step{
		{"GET /domains/x.test/keys", "", 404, "not one of this server's"},
		{"POST /domains", `{"name":"x.test"}`, 201, `"x.test"`},
		{"GET /domains/x.test/keys", "", 200, `"kind":"rsa","state":"active"`},
		{"GET /domains/x.test/keys", "", 200, `"kind":"ed25519","state":"active"`},
		{"GET /domains/x.test/keys", "", 200, `._domainkey.x.test","record":"v=DKIM1; k=rsa; p=`},
		{"POST /domains/x.test/keys", `{"kind":"ed25519"}`, 201, `"state":"published"`},
		{"POST /domains/x.test/keys", `{"kind":"dsa"}`, 422, "kind"},
		{"POST /domains/x.test/keys/rotate", `{}`, 200, `"state":"published"`},
		{"POST /domains/x.test/keys/rotate", `{"now":true}`, 200, `"state":"retired"`},
		{"DELETE /domains/x.test/keys/nothing", "", 404, "no key of the selector"},
	})
}
