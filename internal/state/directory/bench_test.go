package directory_test

import (
	"fmt"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

// BenchmarkResolveKinds is what each RCPT asks of a directory of 10,000 accounts.
func BenchmarkResolveKinds(b *testing.B) {
	db := memkv.New(memkv.Options{})
	defer db.Close()
	s := directory.New(db)
	if err := s.AddDomain(b.Context(), "example.test"); err != nil {
		b.Fatal(err)
	}
	for i := range 10_000 {
		a := mail.Address{Local: fmt.Sprintf("user%d", i), Domain: "example.test"}
		if _, err := s.AddAccount(b.Context(), a, directory.Credentials{}, 0); err != nil {
			b.Fatal(err)
		}
	}
	sales := mail.Address{Local: "sales", Domain: "example.test"}
	if err := s.AddAlias(b.Context(), sales, []mail.Address{{Local: "user1", Domain: "example.test"}, {Local: "user2", Domain: "example.test"}}); err != nil {
		b.Fatal(err)
	}
	for name, locals := range map[string][]string{
		"account": {"user1"}, "many": {"user%d"}, "sub-address": {"User1+lists"}, "alias": {"sales"}, "unknown": {"nobody"}, "not ASCII": {"用户"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				a := mail.Address{Local: locals[0], Domain: "example.test"}
				if name == "many" {
					a.Local = fmt.Sprintf(a.Local, i%10_000)
				}
				_, err := s.Resolve(b.Context(), a)
				if (err != nil) != (name == "unknown" || name == "not ASCII") {
					b.Fatal(err)
				}
			}
		})
	}
}
