// Package returnpath signs reverse-paths under our own domains and reads them
// when reports come back to them: SRS for mail that is sent on, and tokens that
// name a message.
//
// The forms are, at a domain of ours:
//
//	SRS0=MAC=TT=domain=local            who sent what we send on
//	SRS1=MAC=domain=…                   the same, where somebody has rewritten it before
//	bounce+TOKEN                        a message of ours: day, id and MAC
//
// A MAC covers all behind it and the domain of ours, without regard to case:
// hosts on the way may change that. None of these local parts is over 64 octets
// (RFC 5321 §4.5.3.1.1): what does not fit into SRS is for a token.
package returnpath

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// MaxAge is how long a signed path is good. Queues keep mail for 5 days as a
// rule (RFC 5321 §4.5.4.1), and what comes back may wait as long.
const MaxAge = 21 * 24 * time.Hour

// Keys are secrets of at least 16 octets. The first one signs; all verify.
type Keys [][]byte

// Path is what a signed path means: either an address, or a message.
type Path struct {
	To mail.Address   // of SRS: where what comes back is sent
	ID mail.ArrivalID // of a token
}

// Lengths of what a path is made of, in characters.
const (
	macLen   = 8 // 40 bits: an SRS path has no room for more, and a guess costs a transaction
	stampLen = 2
	tokenMAC = 12 // octets; with the rest a multiple of five, so that no bit is left over
	tokenLen = (2 + 16 + tokenMAC) * 8 / 5
	tokenTag = "bounce+"
)

// alphabet is in lower case and has no letter that means two things.
const alphabet = "abcdefghijklmnopqrstuvwxyz234567"

func coding() *base32.Encoding {
	return base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)
}

// Forward rewrites the reverse-path of mail that is sent on by a domain of ours,
// so that it is proven by SPF as coming from there. The null one stays. It is
// false where the form has no room: a local part that is not made of letters of
// ASCII and dots, or too long.
func Forward(keys Keys, now time.Time, from mail.Address, by mail.Domain) (mail.Address, bool) {
	if from.IsNull() {
		return from, true
	}
	if len(keys) == 0 || !isPlain(from.Local) || from.Domain == "" || from.Domain.IsLiteral() {
		return mail.Address{}, false
	}
	var local string
	if rest, ok := cutTag(from.Local, "srs0"); ok {
		local = seal(keys[0], "SRS1=", string(from.Domain)+"="+rest, by)
	} else if kept, ok := forwarded(from.Local); ok {
		local = seal(keys[0], "SRS1=", kept, by)
	} else {
		local = seal(keys[0], "SRS0=", stamp(now)+"="+string(from.Domain)+"="+from.Local, by)
	}
	return mail.Address{Local: local, Domain: by}, len(local) <= mail.MaxLocalPart
}

// Token makes a path that names a message.
func Token(keys Keys, now time.Time, id mail.ArrivalID, by mail.Domain) (mail.Address, bool) {
	if len(keys) == 0 {
		return mail.Address{}, false
	}
	day := days(now)
	b := append([]byte{byte(day >> 8), byte(day)}, id[:]...)
	b = append(b, sum(keys[0], "token", string(b), by)[:tokenMAC]...)
	return mail.Address{Local: tokenTag + coding().EncodeToString(b), Domain: by}, true
}

// Looks says whether a has one of the forms, whether or not we signed it. It is
// cheap.
func Looks(a mail.Address) bool {
	if len(a.Local) == len(tokenTag)+tokenLen && strings.EqualFold(a.Local[:len(tokenTag)], tokenTag) {
		return true
	}
	_, zero := cutTag(a.Local, "srs0")
	_, one := cutTag(a.Local, "srs1")
	return zero || one
}

// Read says what a path means. Its errors are fault.NotFound where it has none
// of the forms, or that of a token that is none of ours, which may be a
// sub-address; and fault.Denied where it is forged or too old.
func Read(keys Keys, now time.Time, a mail.Address) (Path, error) {
	const op = "returnpath.Read"
	if len(a.Local) == len(tokenTag)+tokenLen && strings.EqualFold(a.Local[:len(tokenTag)], tokenTag) {
		return readToken(keys, now, a)
	}
	for _, tag := range []string{"srs0", "srs1"} {
		rest, ok := cutTag(a.Local, tag)
		if !ok {
			continue
		}
		mac, signed, ok := strings.Cut(rest[1:], "=")
		if !ok || !verify(keys, strings.ToUpper(tag)+"=", mac, signed, a.Domain) {
			return Path{}, fault.New(fault.Denied, op, "this return path is not one that was given out here")
		}
		if tag == "srs1" {
			return readAgain(signed)
		}
		return readFirst(signed, now)
	}
	return Path{}, fault.New(fault.NotFound, op, "not a return path of ours")
}

func readToken(keys Keys, now time.Time, a mail.Address) (Path, error) {
	const op = "returnpath.Read"
	b, err := coding().DecodeString(strings.ToLower(a.Local[len(tokenTag):]))
	if err != nil || len(b) != 2+16+tokenMAC {
		return Path{}, fault.New(fault.NotFound, op, "not a token")
	}
	body, mac := b[:len(b)-tokenMAC], b[len(b)-tokenMAC:]
	for _, k := range keys {
		if !hmac.Equal(sum(k, "token", string(body), a.Domain)[:tokenMAC], mac) {
			continue
		}
		if old(uint16(body[0])<<8|uint16(body[1]), days(now), 1<<16) {
			return Path{}, fault.New(fault.Denied, op, "this return path has expired")
		}
		var p Path
		copy(p.ID[:], body[2:])
		return p, nil
	}
	return Path{}, fault.New(fault.NotFound, op, "not a token of ours")
}

// readFirst reads TT=domain=local.
func readFirst(s string, now time.Time) (Path, error) {
	const op = "returnpath.Read"
	when, rest, _ := strings.Cut(s, "=")
	domain, local, ok := strings.Cut(rest, "=")
	d, err := mail.ParseDomain(domain)
	day, good := unstamp(when)
	switch {
	case !ok || err != nil || local == "" || !good:
		return Path{}, fault.New(fault.Denied, op, "this return path is damaged")
	case old(day, days(now)%1024, 1024):
		return Path{}, fault.New(fault.Denied, op, "this return path has expired")
	}
	return Path{To: mail.Address{Local: local, Domain: d}}, nil
}

// readAgain reads domain=…, where … begins with the separator that the first
// forwarder used.
func readAgain(s string) (Path, error) {
	domain, rest, ok := strings.Cut(s, "=")
	d, err := mail.ParseDomain(domain)
	if !ok || err != nil || rest == "" || len(rest)+len("SRS0") > mail.MaxLocalPart {
		return Path{}, fault.New(fault.Denied, "returnpath.Read", "this return path is damaged")
	}
	return Path{To: mail.Address{Local: "SRS0" + rest, Domain: d}}, nil
}

// forwarded gives what another forwarder has signed, without its MAC, in place of
// which ours stands.
func forwarded(local string) (string, bool) {
	rest, ok := cutTag(local, "srs1")
	if !ok {
		return "", false
	}
	_, kept, _ := strings.Cut(rest[1:], "=")
	_, err := readAgain(kept)
	return kept, err == nil
}

// cutTag takes SRS0 or SRS1 off; what it gives begins with the separator, one of
// = + and -.
func cutTag(local, tag string) (string, bool) {
	if len(local) <= len(tag)+1 || !strings.EqualFold(local[:len(tag)], tag) || strings.IndexByte("=+-", local[len(tag)]) < 0 {
		return "", false
	}
	return local[len(tag):], true
}

func seal(key []byte, tag, rest string, by mail.Domain) string {
	return tag + shortMAC(key, tag, rest, by) + "=" + rest
}

func verify(keys Keys, tag, mac, rest string, by mail.Domain) bool {
	good := false
	for _, k := range keys {
		good = hmac.Equal([]byte(shortMAC(k, tag, rest, by)), []byte(strings.ToLower(mac))) || good
	}
	return good
}

func shortMAC(key []byte, tag, rest string, by mail.Domain) string {
	return coding().EncodeToString(sum(key, tag, strings.ToLower(rest), by))[:macLen]
}

// sum is the MAC of a text for one use under one domain.
func sum(key []byte, use, text string, by mail.Domain) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(use + "\x00" + string(by) + "\x00" + text))
	return h.Sum(nil)
}

// days are whole days since 1970.
func days(t time.Time) uint16 { return uint16(t.Unix() / (24 * 60 * 60)) }

// old says whether a day of a circle of days is longer ago than MaxAge; one in
// the future, but for tomorrow where a clock is wrong, is too.
func old(day, today uint16, circle uint32) bool {
	age := (uint32(today) + circle - uint32(day)) % circle
	return age > uint32(MaxAge/(24*time.Hour)) && age != circle-1
}

func stamp(now time.Time) string {
	d := days(now) % 1024
	return string([]byte{alphabet[d>>5], alphabet[d&31]})
}

func unstamp(s string) (uint16, bool) {
	if len(s) != stampLen {
		return 0, false
	}
	s = strings.ToLower(s)
	high, low := strings.IndexByte(alphabet, s[0]), strings.IndexByte(alphabet, s[1])
	return uint16(high<<5 | low), high >= 0 && low >= 0
}

// isPlain says whether a local part needs neither quotes nor SMTPUTF8.
func isPlain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 || s[i] != '.' && !mail.IsAtext(s[i]) {
			return false
		}
	}
	return s != ""
}
