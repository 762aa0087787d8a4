package webd

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Door is what the page tells of one.
type Door struct {
	Name string // as in the configuration: "imaps"
	Port int
}

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// page is the front page in each language, made once.
type page struct {
	o    Options
	made map[string][]byte // by language
	csp  string
}

func newPage(o Options) *page {
	sum := sha256.Sum256([]byte(pageCSS))
	p := &page{o: o, made: map[string][]byte{}, csp: "default-src 'none'; style-src 'sha256-" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
	t := template.Must(template.New("page").Parse(pageHTML))
	for _, w := range []words{english(), japanese()} {
		var b bytes.Buffer
		if err := t.Execute(&b, w.content(o)); err != nil {
			panic(err) // the page is the program's own, and a test makes it
		}
		p.made[w.Lang] = b.Bytes()
	}
	return p
}

// ServeHTTP shows the page at the root, and that there is nothing elsewhere.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	harden(h)
	if p.o.Strict && strings.EqualFold(bare(r.Host), p.o.Hostname) {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	switch {
	case r.URL.Path != "/":
		http.Error(w, "There is nothing here.", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "This page can be looked at only.", http.StatusMethodNotAllowed)
	default:
		lang := language(r.Header.Values("Accept-Language"))
		h.Set("Content-Security-Policy", p.csp)
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Language", lang)
		h.Set("Content-Length", strconv.Itoa(len(p.made[lang])))
		h.Set("Vary", "Accept-Language")
		h.Set("Cache-Control", "no-cache")
		_, _ = w.Write(p.made[lang]) // net/http leaves it out for HEAD
	}
}

// language is the better of English and Japanese for what a browser prefers
// (RFC 9110 §12.5.4); English, if it says nothing of either.
func language(fields []string) string {
	best, quality := "en", 0.0
	ranges := strings.Split(strings.Join(fields, ","), ",")
	for _, r := range ranges[:min(len(ranges), 50)] {
		tag, params, _ := strings.Cut(r, ";")
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(v, 64); err != nil {
				continue
			}
		}
		if (primary == "en" || primary == "ja") && q > quality {
			best, quality = primary, q
		}
	}
	return best
}

// content is what the page is made of.
type content struct {
	words
	Hostname string
	CSS      template.CSS
	Groups   []group // for users
	Incoming int     // the port for other servers; 0: none
}

// group is a part of the page's table.
type group struct {
	Title string
	Rows  []row
}

// row is a line of it.
type row struct {
	Name string
	Port int
	How  string
}

// words are the page's texts in a language.
type words struct {
	Lang, Title, Intro, Read, Send, AtOnce, Upgrade, Login, Servers string
}

func english() words {
	return words{
		Lang: "en", Title: "Mail server",
		Intro:  "This is a mail server. Mail programs reach it with these settings:",
		Read:   "To read mail",
		Send:   "To send mail",
		AtOnce: "TLS", Upgrade: "STARTTLS",
		Login:   "The user name is the whole mail address.",
		Servers: "Other mail servers deliver to port %d.",
	}
}

func japanese() words {
	return words{
		Lang: "ja", Title: "メールサーバー",
		Intro:  "これはメールサーバーです。メールソフトには次のように設定してください。",
		Read:   "受信",
		Send:   "送信",
		AtOnce: "TLS（SSL/TLS）", Upgrade: "STARTTLS",
		Login:   "ユーザー名はメールアドレス全体です。",
		Servers: "他のメールサーバーからの配送は %d 番ポートで受け付けます。",
	}
}

// content tells of the doors for users, those with TLS at once first, as
// RFC 8314 §3 has it, and of the one for servers.
func (w words) content(o Options) content {
	c := content{words: w, Hostname: o.Hostname, CSS: template.CSS(pageCSS)}
	port := func(door string) int {
		i := slices.IndexFunc(o.Doors, func(d Door) bool { return d.Name == door })
		if i < 0 {
			return 0
		}
		return o.Doors[i].Port
	}
	add := func(title string, rows ...row) {
		rows = slices.DeleteFunc(rows, func(r row) bool { return r.Port == 0 })
		if len(rows) > 0 {
			c.Groups = append(c.Groups, group{title, rows})
		}
	}
	add(w.Read, row{"IMAP", port("imaps"), w.AtOnce}, row{"IMAP", port("imap"), w.Upgrade},
		row{"POP3", port("pop3s"), w.AtOnce}, row{"POP3", port("pop3"), w.Upgrade})
	add(w.Send, row{"SMTP", port("submissions"), w.AtOnce}, row{"SMTP", port("submission"), w.Upgrade},
		row{"SMTP", port("submission_alt"), w.Upgrade})
	c.Incoming = port("smtp")
	return c
}
