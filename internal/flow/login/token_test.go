package login

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/sasl"
)

// issuer knows tokens that are called after whom they are for.
type issuer struct {
	asked int
	down  bool
}

func (i *issuer) Verify(_ context.Context, token string) (Token, error) {
	i.asked++
	local, ok := strings.CutPrefix(token, "for-")
	switch {
	case i.down:
		return Token{}, fault.New(fault.Unavailable, "issuer", "down")
	case !ok:
		return Token{}, fault.New(fault.Unauthenticated, "issuer", "a token from nowhere")
	}
	return Token{Address: mail.Address{Local: local, Domain: "x.test"}, Expires: time.Now().Add(time.Hour), Believe: 5 * time.Minute}, nil
}

func (i *issuer) Hint() (scope, configuration string) { return "mail", "https://id.x.test/.well-known" }

func TestToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, j := open(t, small)
		i := &issuer{}
		l.o.Tokens = i
		for _, client := range []func(user, token string) sasl.Client{sasl.OAuthBearerClient, sasl.XOAuth2Client} {
			for _, c := range []struct{ name, user, token, reason string }{
				{"right", "alice@x.test", "for-alice", ""},
				{"another's", "alice@x.test", "for-bob", "the token is bob@x.test's"},
				{"of nobody here", "carol@x.test", "for-carol", "unknown account"},
				{"wrong", "alice@x.test", "x", "a token from nowhere"},
			} {
				l.guesses.succeeded(alice, at("127.0.0.1:9").Addr.Addr())
				who, err := come(l, at("127.0.0.1:9"), client(c.user, c.token))
				if (err == nil) != (c.reason == "") || err == nil && (who.Address != alice || who.Until.IsZero()) {
					t.Errorf("%s: %+v, %v", c.name, who, err)
				}
				if got := j.take(); c.reason != "" && (!fault.Is(err, fault.Unauthenticated) || !strings.HasSuffix(got, "reason="+c.reason)) {
					t.Errorf("%s: %s, %v", c.name, got, err)
				}
			}
		}
		l.guesses.succeeded(alice, at("127.0.0.1:9").Addr.Addr())
		i.asked = 0
		who, err := come(l, at("127.0.0.1:9"), sasl.OAuthBearerClient("alice@x.test", "for-alice"))
		if err != nil || i.asked != 0 {
			t.Errorf("a token that was just right was asked about %d times: %v", i.asked, err)
		}
		time.Sleep(6 * time.Minute)
		if ok, err := l.Still(context.Background(), who); !ok || err != nil {
			t.Error("the session ended with the belief, not with the token", err)
		}
		i.down = true
		if _, err := come(l, at("127.0.0.1:9"), sasl.OAuthBearerClient("alice@x.test", "for-alice")); !fault.Is(err, fault.Unavailable) || i.asked != 1 {
			t.Errorf("an issuer that is down: %v after %d questions", err, i.asked)
		}
		time.Sleep(time.Hour)
		if ok, _ := l.Still(context.Background(), who); ok {
			t.Error("a session outlives its token")
		}
		if _, err := l.Start(context.Background(), Attempt{Door: "imap"}, "oauthbearer"); !fault.Is(err, fault.Unsupported) {
			t.Errorf("without TLS: %v", err)
		}
	})
}

// others know carol's password, and dave's who is not to come in.
type others struct {
	asked int
	down  bool
}

func (o *others) Serves(d mail.Domain) bool { return d == "away.test" }
func (o *others) Believe() time.Duration    { return time.Minute }
func (o *others) Check(_ context.Context, a mail.Address, password string) (Entry, error) {
	o.asked++
	if o.down {
		return Entry{}, fault.New(fault.Internal, "others", "down")
	}
	if a.Local != "carol" || password != "pencil" {
		return Entry{}, fault.New(fault.Unauthenticated, "others", "")
	}
	return Entry{Quota: 1000}, nil
}

func (o *others) Find(_ context.Context, a mail.Address) (Entry, error) {
	switch {
	case o.down:
		return Entry{}, fault.New(fault.Unavailable, "others", "down")
	case a.Local == "carol" || a.Local == "dave":
		return Entry{}, nil
	}
	return Entry{}, fault.New(fault.NotFound, "others", "nobody")
}

func TestElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, j := open(t, small)
		o := &others{}
		l.o.Elsewhere = o
		ctx := context.Background()
		if err := l.o.Directory.AddDomain(ctx, "away.test"); err != nil {
			t.Fatal(err)
		}
		here, carol := at("127.0.0.1:9"), mail.Address{Local: "carol", Domain: "away.test"}
		for _, password := range []string{"chalk", ""} {
			if _, err := l.Password(ctx, here, "carol@away.test", password); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("%q: %v", password, err)
			}
		}
		if _, err := l.o.Directory.Account(ctx, carol); !fault.Is(err, fault.NotFound) {
			t.Error("a wrong password made an account")
		}
		who, err := l.Password(ctx, here, "Carol@away.test", "pencil")
		if err != nil || who.Address != carol {
			t.Fatal(who, err)
		}
		if a, err := l.o.Directory.Account(ctx, carol); err != nil || a.Quota != 1000 {
			t.Error(a, err)
		}
		o.asked, o.down = 0, true
		if _, err := l.Password(ctx, here, "carol@away.test", "pencil"); err != nil || o.asked != 0 {
			t.Errorf("a remembered password: %v, asked %d times", err, o.asked)
		}
		phone := l.add(t, carol, time.Time{}, "imap")
		for _, c := range []sasl.Client{sasl.PlainClient("carol@away.test", phone.Password), scram256("carol@away.test", phone.Password)} {
			if _, err := come(l, here, c); err != nil || o.asked != 0 {
				t.Errorf("an app password: %v, asked %d times", err, o.asked)
			}
		}
		if _, err := come(l, here, scram256("carol@away.test", "pencil")); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("SCRAM: %v", err)
		}
		time.Sleep(time.Minute)
		if _, err := l.Password(ctx, here, "carol@away.test", "pencil"); !fault.Is(err, fault.Unavailable) || o.asked != 1 {
			t.Errorf("down, after the time of belief: %v, asked %d times", err, o.asked)
		}
		if !strings.Contains(j.take(), "internal.failed") {
			t.Error("the operator is not told that the directory is down")
		}
	})
}

func TestMissing(t *testing.T) {
	l, _ := open(t, small)
	o := &others{}
	l.o.Elsewhere = o
	ctx := context.Background()
	if err := l.o.Directory.AddDomain(ctx, "away.test"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		local string
		d     mail.Domain
		found bool
	}{{"dave", "away.test", true}, {"Dave", "away.test", true}, {"erin", "away.test", false}, {"carol", "x.test", false}} {
		if ok, err := l.Missing(ctx, mail.Address{Local: c.local, Domain: c.d}); ok != c.found || err != nil {
			t.Errorf("%s@%s: %v, %v", c.local, c.d, ok, err)
		}
	}
	if o.down = true; true {
		if ok, err := l.Missing(ctx, mail.Address{Local: "frank", Domain: "away.test"}); ok || !fault.Is(err, fault.Unavailable) {
			t.Error(ok, err)
		}
	}
}
