package app

import (
	"strings"
	"testing"
)

// TestCheckTrust: what outside is made of is refused where it cannot work, or
// would believe anybody.
func TestCheckTrust(t *testing.T) {
	for _, c := range []struct {
		change func(*Outbound)
		want   string // "": it is good
	}{
		{func(o *Outbound) { o.HTTPSPort = 0 }, "https_port: 0"},
		{func(o *Outbound) { o.ReportsFrom = "tls@example.com" }, ""},
		{func(o *Outbound) { o.ReportsFrom = "tls" }, "tls_reports_from"},
	} {
		o := Default().Outbound
		c.change(&o)
		err := o.checkTrust()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
