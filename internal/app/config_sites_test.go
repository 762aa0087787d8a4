package app

import (
	"strings"
	"testing"
)

func TestSiteRules(t *testing.T) {
	c := &Config{Sites: []Site{{Name: "gmail", PerMinute: 7}, {Name: "ours", MX: []string{".in.test"}, Connections: 2}}}
	all, err := c.siteRules()
	if err != nil {
		t.Fatal(err)
	}
	gmail := 0
	for _, r := range all {
		if r.Name == "gmail" {
			gmail++
		}
	}
	if all[0].PerMinute != 7 || len(all[0].MX) == 0 || all[1].Connections != 2 || gmail != 1 || len(all) < 9 {
		t.Errorf("%+v", all)
	}
	for want, s := range map[string][]Site{
		"no name":      {{MX: []string{"a.test"}}},
		"needs mx":     {{Name: "unheard"}},
		"is there":     {{Name: "a", MX: []string{"a.test"}}, {Name: "a", MX: []string{"b.test"}}},
		"bound is bel": {{Name: "gmail", Connections: -1}},
	} {
		if _, err := (&Config{Sites: s}).siteRules(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
