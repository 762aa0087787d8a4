package policies

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
	"github.com/ekiden-mail/ekiden/internal/trust/tlsrpt"
	"github.com/ekiden-mail/ekiden/internal/wire/dns/dnstest"
)

// bed is a store with a domain whose record and policy the test sets.
type bed struct {
	*testing.T
	o       Options
	dns     *dnstest.Resolver
	policy  string
	media   string
	err     error
	fetched int
}

func newBed(t *testing.T) *bed {
	b := &bed{T: t, dns: dnstest.New(""), media: "text/plain"}
	b.o = Options{
		DB: memkv.New(memkv.Options{Rerun: true}), Resolver: b.dns,
		Fetch: func(_ context.Context, url string, _ int64) ([]byte, string, error) {
			b.fetched++
			if url != "https://mta-sts.a.test/.well-known/mta-sts.txt" {
				t.Errorf("asked for %s", url)
			}
			return []byte(b.policy), b.media, b.err
		},
		Untrusted: func(err error) bool { return errors.Is(err, errUntrusted) },
		Failed:    func(_ context.Context, err error) { t.Error(err) },
	}
	return b
}

var errUntrusted = errors.New("unknown authority")

func (b *bed) publish(id, mode string, age int) {
	b.dns.Set(fmt.Sprintf("_mta-sts.a.test TXT v=STSv1; id=%s;", id))
	b.policy = fmt.Sprintf("version: STSv1\nmode: %s\nmx: mx.a.test\nmax_age: %d\n", mode, age)
}

// want looks at what counts now, and how often the policy was fetched for it.
func (b *bed) want(s *Store, what, want string) {
	b.Helper()
	b.fetched = 0
	k := s.Find(b.Context(), "a.test")
	got := "none"
	if k.There() {
		got = fmt.Sprintf("%s %s", k.ID, k.Mode)
	}
	if k.Trouble != "" {
		got += " " + string(k.Trouble)
	}
	if got = fmt.Sprintf("%s, %d fetched", got, b.fetched); got != want {
		b.Errorf("%s: %s, want %s", what, got, want)
	}
}

// TestFind: a policy counts until its time is over, whatever becomes of the
// domain's record and of its web server, and whatever becomes of us.
func TestFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		s := New(b.o)
		b.want(s, "no record", "none, 0 fetched")
		b.publish("1", "enforce", 7*86400)
		b.want(s, "first", "1 enforce, 1 fetched")
		b.want(s, "known", "1 enforce, 0 fetched")
		b.dns.Set("")
		b.want(s, "the record is gone", "1 enforce, 0 fetched")
		b.dns.Set("_mta-sts.a.test SERVFAIL")
		b.want(New(b.o), "bogus, after a restart", "1 enforce, 0 fetched")
		b.publish("2", "none", 86400)
		b.err = errors.New("timeout")
		b.want(s, "a new one that cannot be fetched", "1 enforce sts-policy-fetch-error, 1 fetched")
		b.want(s, "nor a moment later", "1 enforce sts-policy-fetch-error, 0 fetched")
		time.Sleep(retryAfter)
		b.err = errUntrusted
		b.want(s, "from somebody else", "1 enforce sts-webpki-invalid, 1 fetched")
		time.Sleep(retryAfter)
		b.err, b.media = nil, "text/html"
		b.want(s, "as a page", "1 enforce sts-policy-invalid, 1 fetched")
		time.Sleep(retryAfter)
		b.media = "text/plain"
		b.want(s, "taken back", "2 none, 1 fetched")
		time.Sleep(86400 * time.Second)
		b.err = errors.New("timeout")
		b.want(s, "expired", "none sts-policy-fetch-error, 1 fetched")
		if k := s.Cached(b.Context(), "a.test"); k.There() {
			t.Errorf("cached: %+v", k)
		}
	})
}

// TestSweep: policies in use are fetched again before their time is over; those
// that nobody needs run out and go.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		s := New(b.o)
		b.publish("1", "enforce", 3*86400)
		b.want(s, "first", "1 enforce, 1 fetched")
		sweep := func() {
			b.fetched = 0
			if err := s.Sweep(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if sweep(); b.fetched != 0 {
			t.Error("fetched at once")
		}
		for day := range 30 {
			time.Sleep(25 * time.Hour)
			if sweep(); b.fetched != 1 {
				t.Fatalf("day %d: fetched %d times", day, b.fetched)
			}
		}
		if k := New(b.o).Cached(t.Context(), "a.test"); !k.There() || k.Trouble != "" || time.Until(k.Until()) < 2*24*time.Hour {
			t.Errorf("%+v", k)
		}
		b.err = errors.New("timeout")
		for range 40 {
			time.Sleep(25 * time.Hour)
			sweep()
		}
		n := 0
		_ = b.o.DB.View(t.Context(), kv.OthersShard(), func(r kv.Reader) error {
			for range r.Scan(kv.Prefix(prefix())) {
				n++
			}
			return nil
		})
		if n != 0 {
			t.Errorf("%d rows are left", n)
		}
		b.want(s, "gone", "none sts-policy-fetch-error, 1 fetched")
	})
}

// TestUnused: a policy that nobody needs is not fetched for ever.
func TestUnused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		s := New(b.o)
		b.publish("1", "enforce", 365*86400)
		b.want(s, "first", "1 enforce, 1 fetched")
		time.Sleep(unusedFor + time.Hour)
		b.fetched = 0
		if err := s.Sweep(t.Context(), time.Now()); err != nil || b.fetched != 0 {
			t.Errorf("fetched %d times, %v", b.fetched, err)
		}
		b.want(s, "still in force", "1 enforce, 0 fetched")
		if err := s.Sweep(t.Context(), time.Now()); err != nil || b.fetched != 1 {
			t.Errorf("fetched %d times, %v", b.fetched, err)
		}
	})
}

// FuzzDecode reads any row.
func FuzzDecode(f *testing.F) {
	f.Add(encode(Known{ID: "1", Fetched: time.Unix(1e9, 0)}, time.Unix(1e9, 0)))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, used, err := decode(b)
		if err != nil {
			return
		}
		again, _, err := decode(encode(k, used))
		if err != nil || again.ID != k.ID || again.Policy.String() != k.Policy.String() || k.Trouble != tlsrpt.Result("") {
			t.Errorf("%+v, %v", again, err)
		}
	})
}
