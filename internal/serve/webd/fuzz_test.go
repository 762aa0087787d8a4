package webd

import (
	"net/url"
	"testing"
)

// FuzzHost leads nobody to a place that is no https URL with a host.
func FuzzHost(f *testing.F) {
	s := New(Options{Hostname: "mx.example.com", HTTPS: 10443})
	for _, seed := range []string{"", "a.example", "a.example:80", "[::1]:80", "a@b", "a/b", "[::1", ":", "a:b:c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		u, err := url.Parse("https://" + s.httpsHost(host) + "/")
		if err != nil || u.Hostname() == "" || u.Port() != "10443" || u.Path != "/" || u.User != nil {
			t.Errorf("%q leads to %v, %v", host, u, err)
		}
	})
}

// FuzzLanguage always gives one of the two.
func FuzzLanguage(f *testing.F) {
	for _, seed := range []string{"", "ja", "en;q=0.3, ja;q=0.7", ";q=,", "ja;q=NaN", "ja;q=Inf"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		if l := language([]string{field}); l != "en" && l != "ja" {
			t.Errorf("%q: %s", field, l)
		}
	})
}
