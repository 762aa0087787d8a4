package apid_test

import (
	"context"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/zone"
)

// zones is a store whose records are drawn from little.
func zones(db kv.DB, d *directory.Store) *zone.Store {
	return zone.NewStore(zone.Options{
		DB: db, Server: func() zone.Server { return zone.Server{Hostname: "mx.x.test"} },
		Facts: func(ctx context.Context, name mail.Domain) (zone.Facts, error) {
			_, err := d.Domain(ctx, name)
			return zone.Facts{Domain: name}, err
		},
	})
}

// TestZones is the life of a zone: drawn, changed, written to by hand, and gone.
func TestZones(t *testing.T) {
	open(t).play([]step{
		{"POST /domains", `{"name":"x.test"}`, 201, ""},
		{"GET /zones", "", 200, `"items":[]`},
		{"GET /zones/x.test", "", 404, "there is no zone"},
		{"POST /zones", `{"name":"x.test"}`, 201, `"domain":"x.test"`},
		{"POST /zones", `{"name":"x.test"}`, 409, "is there already"},
		{"POST /zones", `{"name":"test"}`, 201, `"name":"test","reverse"`},
		{"POST /zones", `{"name":"y.test","domain":"y.test"}`, 404, "not one of this server's"},
		{"POST /zones", `{"name":"_dmarc.x.test","domain":"x.test"}`, 201, `"entry":true`},
		{"POST /zones", `{"name":"2.0.192.in-addr.arpa","reverse":true,"plain":true}`, 201, `"signed":false`},
		{"GET /zones?limit=2", "", 200, `"more":true`},
		{"GET /zones?after=test", "", 200, `"name":"x.test"`},
		{"GET /zones/X.test/records", "", 200, `v=spf1 mx -all`},
		{"GET /zones/_dmarc.x.test/records", "", 200, `v=DMARC1; p=quarantine`},
		{"PUT /zones/x.test/records", `{"name":"www","type":"A","data":["192.0.2.1"]}`, 200, `"name":"www.x.test"`},
		{"PUT /zones/x.test/records", `{"name":"@","type":"txt","data":["\"v=spf1 include:o.test -all\""]}`, 200, `"panel":"v=spf1 include:o.test -all"`},
		{"PUT /zones/x.test/records", `{"name":"www","type":"A","data":["not an address"]}`, 400, "is no data of a record of type A"},
		{"PUT /zones/x.test/records", `{"name":"www","type":"HAT","data":["x"]}`, 400, "no type of records"},
		{"PUT /zones/x.test/records", `{"name":"www","type":"CNAME","data":["x.test."]}`, 400, "beside a CNAME"},
		{"GET /zones/x.test", "", 200, `"own":2`},
		{"PUT /zones/x.test/records", `{"name":"www","type":"A","data":[]}`, 200, ""},
		{"GET /zones/x.test", "", 200, `"own":1`},
		{"PUT /zones/x.test/file", `{"text":"a 60 IN A 192.0.2.1\nb IN TXT \"x\"\n@ IN SOA a b 1 2 3 4 5\n"}`, 200, `"name":"b.x.test"`},
		{"PUT /zones/x.test/file", `{"text":"a 60 IN A none\n"}`, 400, "line: 1"},
		{"PUT /zones/x.test/file", `{"text":"$INCLUDE /etc/passwd\n"}`, 400, ""},
		{"GET /zones/x.test", "", 200, `"own":2`},
		{"PATCH /zones/x.test", `{"follows":true,"transfer":["192.0.2.0/24","key:second"],"notify":["192.0.2.1:53"]}`, 200, `"follows":true`},
		{"PATCH /zones/x.test", `{"transfer":["somebody"]}`, 400, "neither a network nor key:NAME"},
		{"POST /transfer-keys", `{"name":"second"}`, 201, `"algorithm":"hmac-sha256."`},
		{"POST /transfer-keys", `{"name":"third","secret":"no!"}`, 400, "base64"},
		{"POST /transfer-keys", `{"name":"third","algorithm":"hmac-md5.sig-alg.reg.int"}`, 501, "not an algorithm"},
		{"DELETE /transfer-keys/second", "", 200, `"name":"second."`},
		{"DELETE /transfer-keys/second", "", 404, "no such key"},
		{"POST /zones/x.test/roll", "", 200, `"tag"`},
		{"POST /zones/x.test/roll", "", 412, "under way"},
		{"GET /domains/x.test/records", "", 200, `"line":"x.test.\t3600\tIN\tMX\t10 mx.x.test."`},
		{"DELETE /zones/x.test", "", 200, `"name":"x.test"`},
		{"GET /zones/x.test/records", "", 404, "there is no zone"},
	})
}
