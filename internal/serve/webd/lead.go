package webd

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// challenges is the path of what authorities ask for (RFC 8555 §8.3). It is
// never led away: what is not known here is not known there.
const challenges = "/.well-known/acme-challenge/"

// lead answers authorities, and sends everybody else to the same place by https.
func (s *Server) lead(w http.ResponseWriter, r *http.Request) {
	if s.o.Challenge(w, r) {
		return
	}
	harden(w.Header())
	switch {
	case strings.HasPrefix(r.URL.Path, challenges), s.o.HTTPS == 0:
		http.Error(w, "There is nothing here.", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		// What was sent has been read by others on the way: say so, and do not send
		// it again.
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Send this by https only.", http.StatusMethodNotAllowed)
	default:
		to := *r.URL
		to.Scheme, to.Host, to.User = "https", s.httpsHost(r.Host), nil
		http.Redirect(w, r, to.String(), http.StatusPermanentRedirect)
	}
}

// httpsHost is the host that was asked for with the port of https.
func (s *Server) httpsHost(asked string) string {
	host := bare(asked)
	if host == "" {
		host = s.o.Hostname
	}
	if s.o.HTTPS != 443 {
		return net.JoinHostPort(host, strconv.Itoa(s.o.HTTPS))
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// bare takes the port and the brackets of an IPv6 address from a Host field; ""
// if it is not a host name or an address.
func bare(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if a, err := netip.ParseAddr(host); err == nil {
		return a.WithZone("").String()
	}
	for _, c := range host {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-':
		default:
			return ""
		}
	}
	return host
}

// harden sets the fields that keep browsers from doing more than showing what
// they got.
func harden(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
}
