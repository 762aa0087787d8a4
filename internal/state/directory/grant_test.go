package directory_test

import (
	"testing"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

func TestGrants(t *testing.T) {
	s := house(t)
	alice, err := s.Account(t.Context(), address("alice@one.test"))
	must(t, err)
	may := func(want bool, as ...string) {
		t.Helper()
		for _, a := range as {
			if got, err := s.MayUse(t.Context(), alice.ID, address(a)); got != want || err != nil {
				t.Errorf("%s: %v, %v", a, got, err)
			}
		}
	}
	may(false, "bob@one.test", "zoe@two.test", "any@away.example", "boss@far.example")
	must(t, s.AddGrant(t.Context(), address("alice@one.test"), address("Bob@one.test")))
	must(t, s.AddGrant(t.Context(), address("alice@one.test"), address("@away.example")))
	must(t, s.AddGrant(t.Context(), address("alice@one.test"), address("boss@far.example")))
	wantKind(t, s.AddGrant(t.Context(), address("ALICE@one.test"), address("bob@one.test")), fault.Exists)
	wantKind(t, s.AddGrant(t.Context(), address("nobody@one.test"), address("bob@one.test")), fault.NotFound)
	wantKind(t, s.AddGrant(t.Context(), address("alice@one.test"), mail.Address{Local: "x"}), fault.Invalid)
	may(true, "bob@one.test", "BOB+lists@one.test", "any@away.example", "boss@far.example", "boss+x@far.example", "alice@one.test")
	may(false, "other@far.example", "zoe@two.test", "boss", "", "any@sub.away.example")
	all, err := s.Grants(t.Context(), address("alice@one.test"))
	if err != nil || len(all) != 3 || all[0].Address != address("@away.example") || all[1].Address != address("boss@far.example") {
		t.Errorf("%+v, %v", all, err)
	}
	must(t, s.RemoveGrant(t.Context(), address("alice@one.test"), address("@away.example")))
	wantKind(t, s.RemoveGrant(t.Context(), address("alice@one.test"), address("@away.example")), fault.NotFound)
	may(false, "any@away.example")

	// A name that goes away takes with it what was granted of it: whoever has it
	// next is another.
	must(t, s.RemoveAccount(t.Context(), address("bob@one.test")))
	account(t, s, "bob@one.test")
	may(false, "bob@one.test")
	must(t, s.AddGrant(t.Context(), address("alice@one.test"), address("pm@one.test")))
	must(t, s.RemoveAlias(t.Context(), address("pm@one.test")))
	may(false, "pm@one.test")
	must(t, s.AddGrant(t.Context(), address("alice@one.test"), address("@bare.test")))
	must(t, s.RemoveDomain(t.Context(), "bare.test"))
	may(false, "x@bare.test")
	must(t, s.RemoveAccount(t.Context(), address("alice@one.test")))
	account(t, s, "alice@one.test")
	if all, err := s.Grants(t.Context(), address("alice@one.test")); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}
