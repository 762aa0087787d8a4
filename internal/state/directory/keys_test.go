package directory_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
)

// states is keys in short.
func states(keys []directory.Key) string {
	var all []string
	for _, k := range keys {
		all = append(all, k.Selector+" "+string(k.State))
	}
	return strings.Join(all, ", ")
}

// TestRotate lives through a year of a domain: at every moment one key of each kind
// signs, none signs that was not published long enough, and none is taken away that
// signed lately.
func TestRotate(t *testing.T) {
	r := directory.DefaultRotation()
	now := time.Unix(1_800_000_000, 0)
	var keys []directory.Key
	var story []string
	last := map[string]time.Time{}  // that a key signed
	found := map[string]time.Time{} // since when a key is published
	n := 0
	for day := range 400 {
		at := now.Add(time.Duration(day) * 24 * time.Hour)
		after, wanted := r.Rotate(keys, at)
		for _, k := range keys {
			gone := true
			for _, a := range after {
				gone = gone && a.Selector != k.Selector
			}
			if gone && at.Sub(last[k.Selector]) < r.Keep {
				t.Errorf("day %d: %s is gone after %v", day, k.Selector, at.Sub(last[k.Selector]))
			}
		}
		first := len(keys) == 0
		for _, kind := range wanted {
			n++
			k := directory.Key{Selector: fmt.Sprint(kind, n), Kind: kind, State: directory.KeyPublished, Made: at.Unix(), Since: at.Unix()}
			if first {
				k.State = directory.KeyActive
			}
			found[k.Selector] = at
			after = append(after, k)
		}
		if s := states(after); s != states(keys) {
			story = append(story, fmt.Sprintf("%d: %s", day, s))
		}
		keys = after
		signing := map[string]int{}
		for _, k := range keys {
			if k.State == directory.KeyActive {
				signing[k.Kind]++
				last[k.Selector] = at
				if day > 0 && !strings.HasSuffix(k.Selector, "1") && k.Selector != "ed255192" && at.Sub(found[k.Selector]) < r.Spread {
					t.Errorf("day %d: %s signs too early", day, k.Selector)
				}
			}
		}
		if signing[directory.KeyRSA] != 1 || signing[directory.KeyEd25519] != 1 {
			t.Fatalf("day %d: %v", day, signing)
		}
	}
	want := `0: rsa1 active, ed255192 active
180: rsa1 active, ed255192 active, rsa3 published, ed255194 published
182: rsa1 retired, ed255192 retired, rsa3 active, ed255194 active
196: rsa3 active, ed255194 active
362: rsa3 active, ed255194 active, rsa5 published, ed255196 published
364: rsa3 retired, ed255194 retired, rsa5 active, ed255196 active
378: rsa5 active, ed255196 active`
	if got := strings.Join(story, "\n"); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestKeys(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	add := func(selector string) error {
		_, err := s.UpdateKeys(ctx, "example.test", func(all []directory.Key) ([]directory.Key, error) {
			return append(all, directory.Key{Selector: selector, Kind: directory.KeyRSA, State: directory.KeyActive}), nil
		})
		return err
	}
	if err := add("a"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a key of a domain that is not ours: %v", err)
	}
	if err := s.AddDomain(ctx, "example.test"); err != nil {
		t.Fatal(err)
	}
	if err := add("a"); err != nil {
		t.Fatal(err)
	}
	if err := add("a"); !fault.Is(err, fault.Exists) {
		t.Errorf("the same selector: %v", err)
	}
	for i := range 15 {
		if err := add(fmt.Sprint("k", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := add("more"); !fault.Is(err, fault.Invalid) {
		t.Errorf("too many: %v", err)
	}
	if err := s.RemoveDomain(ctx, "example.test"); err != nil {
		t.Fatal(err)
	}
	if err := s.AddDomain(ctx, "example.test"); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Keys(ctx, "example.test"); err != nil || len(all) != 0 {
		t.Errorf("%d keys of the domain that was: %v", len(all), err)
	}
}
