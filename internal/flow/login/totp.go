package login

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6238's default, and all that authenticators know for sure
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
)

// The parameters of one-time codes: those that every authenticator knows.
const (
	codeDigits = 6
	codeStep   = 30 // seconds (RFC 6238 §5.2)
	codeDrift  = 1  // steps that a clock may be early or late
	secretSize = 20 // octets, as RFC 4226 §4 recommends
)

// codeAt is the code of one time step (RFC 4226 §5.3, RFC 6238 §4.2).
func codeAt(secret []byte, step uint64) string {
	h := hmac.New(sha1.New, secret)
	h.Write(binary.BigEndian.AppendUint64(nil, step))
	sum := h.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	n := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", codeDigits, n%1_000_000)
}

// checkCode gives the time step of a code that may be taken now; 0 if it is
// wrong, too old, or was taken before (RFC 6238 §5.2).
func checkCode(t directory.TOTP, code string, now time.Time) uint64 {
	here := uint64(now.Unix()) / codeStep
	var found uint64
	for step := here - codeDrift; step <= here+codeDrift; step++ {
		if subtle.ConstantTimeCompare([]byte(codeAt(t.Secret, step)), []byte(code)) == 1 && step > t.Last {
			found = step
		}
	}
	return found
}

// splitCode takes a password with a code behind it apart. The step is 0 if there
// is no code that may be taken.
func splitCode(t directory.TOTP, password string, now time.Time) (main string, step uint64) {
	cut := len(password) - codeDigits
	if cut <= 0 {
		return password, 0
	}
	return password[:cut], checkCode(t, password[cut:], now)
}

// spend notes that a code was taken, so that nobody uses it again; false if
// somebody did meanwhile.
func (l *Login) spend(ctx context.Context, c *claim, step uint64) (bool, error) {
	errSpent := errors.New("spent")
	err := l.o.Directory.UpdateSecrets(ctx, c.acct.ID, false, func(_ directory.Account, s *directory.Secrets) error {
		if step <= s.TOTP.Last {
			return errSpent
		}
		s.TOTP.Last = step
		return nil
	})
	if errors.Is(err, errSpent) {
		c.reason = "a one-time code that was used before"
		return false, nil
	}
	return err == nil, err
}

// Enrolment is what an authenticator needs to make an account's codes.
type Enrolment struct {
	Secret string // base32
	URI    string // otpauth://, as authenticators read from a QR code
}

// EnrolTOTP draws a secret of one-time codes, which counts once ConfirmTOTP has
// seen a code of it. issuer is what authenticators show beside the address.
// fault.NotFound; fault.Exists if codes are on already.
func (l *Login) EnrolTOTP(ctx context.Context, addr mail.Address, issuer string) (Enrolment, error) {
	const op = "login.EnrolTOTP"
	a, err := l.o.Directory.Account(ctx, addr)
	if err != nil {
		return Enrolment{}, fault.Wrap(op, err)
	}
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret)
	err = l.o.Directory.UpdateSecrets(ctx, a.ID, false, func(_ directory.Account, s *directory.Secrets) error {
		if s.TOTP.On {
			return fault.New(fault.Exists, op, "one-time codes are on already; turn them off first")
		}
		s.TOTP = directory.TOTP{Secret: secret}
		return nil
	})
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	q := url.Values{"secret": {text}, "issuer": {issuer}}
	uri := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + a.Address.String(), RawQuery: q.Encode()}
	return Enrolment{Secret: text, URI: uri.String()}, fault.Wrap(op, err)
}

// ConfirmTOTP turns one-time codes on, for which the account must show one.
// Whoever came in with the main password alone has to come in anew.
// fault.NotFound without EnrolTOTP before; fault.Unauthenticated for a wrong code.
func (l *Login) ConfirmTOTP(ctx context.Context, addr mail.Address, code string) error {
	const op = "login.ConfirmTOTP"
	a, err := l.o.Directory.Account(ctx, addr)
	if err != nil {
		return fault.Wrap(op, err)
	}
	return fault.Wrap(op, l.o.Directory.UpdateSecrets(ctx, a.ID, true, func(_ directory.Account, s *directory.Secrets) error {
		if len(s.TOTP.Secret) == 0 {
			return fault.New(fault.NotFound, op, "no secret was given out yet")
		}
		step := checkCode(s.TOTP, code, time.Now())
		if step == 0 {
			return fault.New(fault.Unauthenticated, op, "that code is wrong; is the clock right?")
		}
		s.TOTP.On, s.TOTP.Last = true, step
		return nil
	}))
}

// RemoveTOTP turns one-time codes off and forgets the secret. fault.NotFound.
func (l *Login) RemoveTOTP(ctx context.Context, addr mail.Address) error {
	const op = "login.RemoveTOTP"
	a, err := l.o.Directory.Account(ctx, addr)
	if err != nil {
		return fault.Wrap(op, err)
	}
	return fault.Wrap(op, l.o.Directory.UpdateSecrets(ctx, a.ID, true, func(_ directory.Account, s *directory.Secrets) error {
		if len(s.TOTP.Secret) == 0 {
			return fault.New(fault.NotFound, op, "the account has no one-time codes")
		}
		s.TOTP = directory.TOTP{}
		return nil
	}))
}
