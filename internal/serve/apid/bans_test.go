package apid_test

import "testing"

// TestBans is the life of a ban and of an allowed network.
func TestBans(t *testing.T) {
	open(t).play([]step{
		{"GET /bans", "", 200, `"items":[]`},
		{"POST /bans", `{"net":"192.0.2.77/24","reason":"abuse"}`, 201, `"net":"192.0.2.0/24"`},
		{"POST /bans", `{"net":"2001:db8::1","for":"24h"}`, 201, `"until":"`},
		{"POST /bans", `{"net":"10.0.0.0/4"}`, 400, "too wide"},
		{"POST /bans", `{"net":"127.0.0.1"}`, 400, "this machine itself"},
		{"POST /bans", `{"net":"example.com"}`, 400, "neither an address nor a network"},
		{"POST /bans", `{"net":"192.0.2.1","for":"soon"}`, 400, "not a duration"},
		{"GET /bans", "", 200, `"reason":"abuse"`},
		{"DELETE /bans/192.0.2.0%2F24", "", 200, `"net":"192.0.2.0/24"`},
		{"DELETE /bans/192.0.2.0%2F24", "", 404, "is not banned"},
		{"GET /bans?all=true", "", 200, `2001:db8::1/128`},
		{"POST /allowed", `{"net":"198.51.100.0/24","note":"the office"}`, 201, `"note":"the office"`},
		{"GET /allowed", "", 200, `"net":"198.51.100.0/24"`},
		{"DELETE /allowed/198.51.100.0%2F24", "", 200, `198.51.100.0/24`},
		{"DELETE /allowed/198.51.100.0%2F24", "", 404, "is not on the list"},
	})
}
