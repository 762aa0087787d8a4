package webd

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
	"strings"
	"text/template"
)

// Site is what the https door has for a domain that is ours.
type Site struct {
	Domain string
	Policy string // its MTA-STS policy; "" if it has none
}

// The labels of the host names that programs look at for a domain.
const (
	LabelPolicy       = "mta-sts"      // RFC 8461 §3.3
	LabelAutoconfig   = "autoconfig"   // Thunderbird and those that follow it
	LabelAutodiscover = "autodiscover" // Outlook
)

// maxAutodiscover is the octets of a question of Outlook that are read.
const maxAutodiscover = 16 << 10

// wellKnown answers what programs ask by fixed paths, and says whether it was that.
func (s *Server) wellKnown(w http.ResponseWriter, r *http.Request) bool {
	host := strings.ToLower(bare(r.Host))
	label, domain, _ := strings.Cut(host, ".")
	path := strings.ToLower(r.URL.Path)
	switch {
	case path == "/.well-known/mta-sts.txt" && label == LabelPolicy:
		s.policy(w, r, domain)
	case path == "/mail/config-v1.1.xml" && label == LabelAutoconfig:
		s.autoconfig(w, r, domain)
	case path == "/.well-known/autoconfig/mail/config-v1.1.xml":
		s.autoconfig(w, r, strings.TrimPrefix(host, LabelAutoconfig+"."))
	case path == "/autodiscover/autodiscover.xml":
		s.autodiscover(w, r, strings.TrimPrefix(host, LabelAutodiscover+"."))
	default:
		return false
	}
	return true
}

// site finds a domain, or says that it is not here.
func (s *Server) site(w http.ResponseWriter, r *http.Request, domain string) (Site, bool) {
	harden(w.Header())
	if s.o.Site != nil {
		if site, ok := s.o.Site(r.Context(), domain); ok {
			return site, true
		}
	}
	http.Error(w, "There is nothing here.", http.StatusNotFound)
	return Site{}, false
}

// policy gives the MTA-STS policy (RFC 8461 §3.2).
func (s *Server) policy(w http.ResponseWriter, r *http.Request, domain string) {
	site, ok := s.site(w, r, domain)
	if !ok {
		return
	}
	if site.Policy == "" {
		http.Error(w, "The domain has no policy.", http.StatusNotFound)
		return
	}
	give(w, "text/plain; charset=utf-8", []byte(site.Policy))
}

// autoconfig gives the settings as Thunderbird reads them. The address is not needed:
// every account's settings are the same, and a name to log in with is the address.
func (s *Server) autoconfig(w http.ResponseWriter, r *http.Request, domain string) {
	if site, ok := s.site(w, r, domain); ok {
		s.render(w, autoconfigXML, site, "%EMAILADDRESS%")
	}
}

// autodiscover gives the settings as Outlook reads them (MS-OXDSCLI, POX).
func (s *Server) autodiscover(w http.ResponseWriter, r *http.Request, domain string) {
	var asked struct {
		Address string `xml:"Request>EMailAddress"`
	}
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAutodiscover))
		if err != nil || xml.Unmarshal(body, &asked) != nil {
			http.Error(w, "This is no question of Autodiscover.", http.StatusBadRequest)
			return
		}
	}
	if _, of, ok := strings.Cut(asked.Address, "@"); ok {
		domain = strings.ToLower(of)
	}
	if site, ok := s.site(w, r, domain); ok {
		s.render(w, autodiscoverXML, site, asked.Address)
	}
}

// settings are what the files are made of.
type settings struct {
	Site
	Hostname, Login string
	Offers          []offer
}

// offer is a door that programs are told of: one with TLS at once, which is safest
// (RFC 8314 §3).
type offer struct {
	Way, Type, Name string
	Port            int
}

// offers are those of the doors that are open, in the order of preference.
func offers(doors []Door) []offer {
	var all []offer
	for _, o := range [...]struct{ door, way, kind string }{
		{"imaps", "incoming", "imap"}, {"pop3s", "incoming", "pop3"}, {"submissions", "outgoing", "smtp"},
	} {
		for _, d := range doors {
			if d.Name == o.door {
				all = append(all, offer{o.way, o.kind, strings.ToUpper(o.kind), d.Port})
			}
		}
	}
	return all
}

func (s *Server) render(w http.ResponseWriter, t *template.Template, site Site, login string) {
	var b bytes.Buffer
	if err := t.Execute(&b, settings{site, s.o.Hostname, login, offers(s.o.Doors)}); err != nil {
		panic(err) // the templates are the program's own, and a test makes them
	}
	give(w, "text/xml; charset=utf-8", b.Bytes())
}

func give(w http.ResponseWriter, media string, b []byte) {
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	h.Set("Cache-Control", "max-age=300")
	_, _ = w.Write(b) // a client that is gone needs no answer
}

// escape is what text must be in XML.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

var funcs = template.FuncMap{"x": escape}

var autoconfigXML = template.Must(template.New("autoconfig").Funcs(funcs).Parse(`<?xml version="1.0" encoding="UTF-8"?>
<clientConfig version="1.1">
  <emailProvider id="{{x .Domain}}">
    <domain>{{x .Domain}}</domain>
    <displayName>{{x .Domain}}</displayName>
    <displayShortName>{{x .Domain}}</displayShortName>
{{- range .Offers}}
    <{{.Way}}Server type="{{.Type}}">
      <hostname>{{x $.Hostname}}</hostname>
      <port>{{.Port}}</port>
      <socketType>SSL</socketType>
      <authentication>password-cleartext</authentication>
      <username>{{x $.Login}}</username>
    </{{.Way}}Server>
{{- end}}
  </emailProvider>
</clientConfig>
`))

var autodiscoverXML = template.Must(template.New("autodiscover").Funcs(funcs).Parse(`<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006">
  <Response xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a">
    <Account>
      <AccountType>email</AccountType>
      <Action>settings</Action>
{{- range .Offers}}
      <Protocol>
        <Type>{{.Name}}</Type>
        <Server>{{x $.Hostname}}</Server>
        <Port>{{.Port}}</Port>
        <LoginName>{{x $.Login}}</LoginName>
        <SSL>on</SSL>
        <SPA>off</SPA>
        <AuthRequired>on</AuthRequired>
      </Protocol>
{{- end}}
    </Account>
  </Response>
</Autodiscover>
`))
