package dnssec

import (
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Verified is what a signature that holds says of its set.
type Verified struct {
	TTL      uint32    // in seconds: the original one, no longer than the signature holds (RFC 4035 §5.3.3)
	Until    time.Time // when the signature ends
	Wildcard string    // the wildcard that the set was drawn from; "" if it stands for itself
	Labels   int       // of the name, the wildcard's star not counted
}

// Verify checks a set of records with the signatures that came with it and a zone's
// keys (RFC 4035 §5.3). One signature that holds is enough.
func (w *Work) Verify(set []dns.RR, sigs []*dns.RRSIG, zone string, keys []*dns.DNSKEY, now time.Time) (Verified, error) {
	if len(set) == 0 {
		return Verified{}, bogus(CodeBogus, "nothing to verify")
	}
	owner := set[0].Header()
	why := bogus(SignatureMissing, "%s %s is not signed by %s", owner.Name, dns.Type(owner.Rrtype), zone)
	tried := 0
	for _, sig := range sigs {
		if !fits(sig, owner, zone) {
			continue
		}
		if err := current(sig, now); err != nil {
			why = err
			continue
		}
		if tried++; tried > maxTries {
			return Verified{}, bogus(CodeBogus, "%s has more than %d signatures that do not hold", owner.Name, maxTries)
		}
		err := w.try(set, sig, keys)
		if err == nil {
			return verified(owner, sig, now), nil
		}
		why = err
	}
	return Verified{}, why
}

// fits says whether a signature can cover a set (RFC 4035 §5.3.1).
func fits(sig *dns.RRSIG, owner *dns.RR_Header, zone string) bool {
	return sig.TypeCovered == owner.Rrtype && sig.Hdr.Class == owner.Class && strings.EqualFold(sig.Hdr.Name, owner.Name) &&
		strings.EqualFold(sig.SignerName, zone) && dns.IsSubDomain(zone, owner.Name) && int(sig.Labels) <= labelCount(owner.Name)
}

// labelCount is the number of labels of a name as a signature counts them: a
// leading star does not (RFC 4034 §3.1.3).
func labelCount(name string) int {
	n := dns.CountLabel(name)
	if strings.HasPrefix(name, "*.") {
		n--
	}
	return n
}

func current(sig *dns.RRSIG, now time.Time) error {
	// Serial arithmetic (RFC 4034 §3.1.5): the difference counts, modulo 2^32.
	t := uint32(now.Unix())
	switch {
	case int32(sig.Expiration-sig.Inception) < 0:
		return bogus(SignatureExpired, "the signature of %s ends before it begins", sig.Hdr.Name)
	case int32(t-sig.Expiration) > 0:
		return bogus(SignatureExpired, "the signature of %s %s ended %s", sig.Hdr.Name, dns.Type(sig.TypeCovered), dns.TimeToString(sig.Expiration))
	case int32(t-sig.Inception) < 0:
		return bogus(SignatureNotYetValid, "the signature of %s %s begins %s", sig.Hdr.Name, dns.Type(sig.TypeCovered), dns.TimeToString(sig.Inception))
	}
	return nil
}

// try checks one signature with the keys it may be of. Tags can be made to collide,
// so that only a few are tried.
func (w *Work) try(set []dns.RR, sig *dns.RRSIG, keys []*dns.DNSKEY) error {
	why := bogus(KeyMissing, "%s has no key %d of algorithm %d", sig.SignerName, sig.KeyTag, sig.Algorithm)
	same := 0
	for _, k := range keys {
		if k.Algorithm != sig.Algorithm || k.KeyTag() != sig.KeyTag || !Supported(k.Algorithm) {
			continue
		}
		if same++; same > maxSameTag {
			break
		}
		if w.Signatures++; w.Signatures > MaxSignatures {
			return bogus(CodeBogus, "more than %d signatures for one question", MaxSignatures)
		}
		err := sig.Verify(k, set)
		if err == nil {
			return nil
		}
		why = bogus(CodeBogus, "the signature of %s %s by key %d does not hold: %v", sig.Hdr.Name, dns.Type(sig.TypeCovered), sig.KeyTag, err)
	}
	return why
}

func verified(owner *dns.RR_Header, sig *dns.RRSIG, now time.Time) Verified {
	left := sig.Expiration - uint32(now.Unix())
	v := Verified{TTL: min(owner.Ttl, sig.OrigTtl, left), Until: now.Add(time.Duration(left) * time.Second), Labels: int(sig.Labels)}
	if v.Labels < labelCount(owner.Name) {
		v.Wildcard = wildcard(Suffix(owner.Name, v.Labels))
	}
	return v
}

// Keys finds the keys of a zone: its DNSKEY set, signed by a key that its parent
// vouches for by a digest (RFC 4035 §5.2). It gives ErrUnsupported where none of the
// digests is of a kind that we know.
func (w *Work) Keys(zone string, set []dns.RR, sigs []*dns.RRSIG, ds []*dns.DS, now time.Time) ([]*dns.DNSKEY, Verified, error) {
	ds = usable(ds)
	if len(ds) == 0 {
		return nil, Verified{}, ErrUnsupported
	}
	keys := zoneKeys(set)
	if len(keys) == 0 {
		return nil, Verified{}, bogus(KeyMissing, "%s has no keys", zone)
	}
	var entry []*dns.DNSKEY
	for _, k := range keys {
		if slices.ContainsFunc(ds, func(d *dns.DS) bool { return Matches(d, k) }) {
			entry = append(entry, k)
		}
	}
	if len(entry) == 0 {
		return nil, Verified{}, bogus(KeyMissing, "no key of %s is one that its parent names", zone)
	}
	v, err := w.Verify(set, sigs, zone, entry, now)
	if err != nil {
		return nil, v, err
	}
	return slices.DeleteFunc(keys, func(k *dns.DNSKEY) bool { return k.Flags&dns.REVOKE != 0 || !Supported(k.Algorithm) }), v, nil
}

// zoneKeys are the keys of a set that may sign a zone (RFC 4034 §2.1.1).
func zoneKeys(set []dns.RR) []*dns.DNSKEY {
	var keys []*dns.DNSKEY
	for _, rr := range set {
		if k, ok := rr.(*dns.DNSKEY); ok && k.Flags&dns.ZONE != 0 && k.Protocol == 3 && len(keys) < maxKeys {
			keys = append(keys, k)
		}
	}
	return keys
}

// usable leaves the digests that count: of algorithms that we know, and SHA-1 only
// where there is nothing better (RFC 4509 §3).
func usable(ds []*dns.DS) []*dns.DS {
	var good, weak []*dns.DS
	for _, d := range ds[:min(len(ds), maxDS)] {
		switch {
		case !Supported(d.Algorithm) || !supportedDigest(d.DigestType):
		case d.DigestType == dns.SHA1:
			weak = append(weak, d)
		default:
			good = append(good, d)
		}
	}
	if len(good) > 0 {
		return good
	}
	return weak
}

// Matches says whether a digest is a key's.
func Matches(d *dns.DS, k *dns.DNSKEY) bool {
	if d.Algorithm != k.Algorithm || d.KeyTag != k.KeyTag() || !supportedDigest(d.DigestType) {
		return false
	}
	own := k.ToDS(d.DigestType)
	return own != nil && strings.EqualFold(own.Digest, d.Digest)
}
