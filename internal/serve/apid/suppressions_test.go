package apid_test

import "testing"

// TestSuppressions is the life of an entry, and of the settings about it.
func TestSuppressions(t *testing.T) {
	open(t).play([]step{
		{"GET /domains/x.test/suppressions", "", 404, "not one of this server's"},
		{"POST /domains", `{"name":"x.test"}`, 201, `"suppress":false`},
		{"GET /domains/x.test/suppressions", "", 200, `"items":[]`},
		{"POST /domains/x.test/suppressions", `{"address":"Bob@far.test","note":"asked us to stop"}`, 201, `"manual":true`},
		{"POST /domains/x.test/suppressions", `{"address":"carl@far.test","for":"24h"}`, 201, `"until":"`},
		{"POST /domains/x.test/suppressions", `{"address":"nobody","for":"24h"}`, 400, "not an address"},
		{"POST /domains/x.test/suppressions", `{"address":"a@b.test","for":"soon"}`, 400, "not a duration"},
		{"GET /domains/x.test/suppressions?limit=1", "", 200, `"more":true`},
		{"GET /domains/x.test/suppressions?after=bob@far.test", "", 200, `"address":"carl@far.test"`},
		{"DELETE /domains/x.test/suppressions/bOB@far.test", "", 200, "asked us to stop"},
		{"DELETE /domains/x.test/suppressions/bob@far.test", "", 404, "does send to"},
		{"PATCH /domains/x.test", `{"reports":{"language":"ja","suppress":true,"suppress_days":7}}`, 200, `"suppress_days":7`},
		{"GET /domains/x.test", "", 200, `"signed":true`},
		{"PATCH /domains/x.test", `{"reports":{"language":"fr"}}`, 422, "language"},
		{"PATCH /domains/x.test", `{"screening":{"dmarc":"ignore","junk_at":-1}}`, 200, `"screening":{"dmarc":"ignore","junk_at":-1,"reject_at":0}`},
		{"PATCH /domains/x.test", `{"screening":{"dmarc":"perhaps"}}`, 422, "dmarc"},
		{"POST /accounts", `{"address":"ann@x.test","password":"correct horse"}`, 201, `"language":""`},
		{"PATCH /accounts/ann@x.test", `{"reports":{"language":"en","signed":true}}`, 200, `"language":"en","signed":true`},
	})
}
