package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/ekiden-mail/ekiden/internal/app"
	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/apid"
)

// At says which server a command is for, and how it answers. The commands of
// administration are clients of the REST API: over the socket of the server
// that runs, or, while none does, of one made in this process over its store.
type At struct {
	Config string `short:"c" type:"path" xor:"at" placeholder:"FILE" help:"The server's configuration."`
	Data   string `type:"path" xor:"at" placeholder:"DIR" help:"The server's data directory, instead of a configuration."`
	JSON   bool   `name:"json" help:"Answer in JSON."`
}

func (a *At) config() (app.Config, error) {
	if a.Config != "" {
		return app.Load(a.Config)
	}
	c := app.Default()
	if a.Data != "" {
		c.Data = a.Data
	}
	return c, nil
}

// transport finds the server. Whoever only reads makes no store.
func (a *At) transport(ctx context.Context, reads bool) (http.RoundTripper, func() error, error) {
	c, err := a.config()
	if err != nil {
		return nil, nil, err
	}
	conn, err := app.DialSocket(ctx, c.Data)
	if err == nil {
		_ = conn.Close()
		t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return app.DialSocket(ctx, c.Data) }}
		return t, func() error { t.CloseIdleConnections(); return nil }, nil
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
		return nil, nil, fmt.Errorf("the server over %s cannot be reached: %w", c.Data, err)
	}
	if _, err := os.Stat(c.Data); err != nil && reads {
		return nil, nil, fmt.Errorf("there is no server over %s: %w (say which with -c FILE or --data DIR)", c.Data, err)
	}
	h, closer, err := app.Offline(c, version)
	if err != nil {
		return nil, nil, err
	}
	return inProcess{h}, closer, nil
}

// inProcess hands requests to a handler without a line between them.
type inProcess struct{ handler http.Handler }

// RoundTrip serves r.
func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := &kept{header: http.Header{}}
	p.handler.ServeHTTP(w, r)
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return &http.Response{
		StatusCode: w.status, Header: w.header, Body: io.NopCloser(&w.body), Request: r,
		ContentLength: int64(w.body.Len()), ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

// kept is a response that is kept.
type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header gives the header fields.
func (k *kept) Header() http.Header { return k.header }

// WriteHeader sets the status, once.
func (k *kept) WriteHeader(status int) {
	if k.status == 0 {
		k.status = status
	}
}

// Write takes a part of the body.
func (k *kept) Write(b []byte) (int, error) {
	k.WriteHeader(http.StatusOK)
	return k.body.Write(b)
}

// maxAnswer bounds what is read of an answer, in octets.
const maxAnswer = 256 << 20

// call makes one request; out takes the answer.
func (a *At) call(method, path string, in, out any) (err error) {
	ctx, stop := untilSignal()
	defer stop()
	transport, closer, err := a.transport(ctx, method == http.MethodGet)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closer()) }()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://ekiden"+apid.Root+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 400 {
		return complaint(resp, answer)
	}
	return json.Unmarshal(answer, out)
}

// complaint turns problem details (RFC 9457) into a sentence.
func complaint(resp *http.Response, body []byte) error {
	var p struct {
		Detail string
		Errors []struct{ Message, Location string }
	}
	if err := json.Unmarshal(body, &p); err != nil || p.Detail == "" {
		return fmt.Errorf("the server answered %s", http.StatusText(resp.StatusCode))
	}
	for i, e := range p.Errors {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		p.Detail += sep + strings.TrimPrefix(e.Location+" ", "body.") + e.Message
	}
	return errors.New(p.Detail)
}

// publicText is what the person at the terminal is told: the sentence that
// belongs to the error, or all of it where there is none.
func publicText(err error) string {
	if s, ok := fault.Sentence(err); ok {
		return s
	}
	return err.Error()
}

// print writes an answer, as JSON or by human.
func (a *At) print(answer any, human func(w io.Writer)) error {
	if a.JSON {
		e := json.NewEncoder(os.Stdout)
		e.SetEscapeHTML(false)
		return e.Encode(answer)
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	human(t)
	return t.Flush()
}

// row writes the cells of one line of a table. What strangers wrote must not
// steer the terminal.
func row(w io.Writer, cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(w, "\t")
		}
		fmt.Fprint(w, clean(fmt.Sprint(c)))
	}
	fmt.Fprintln(w)
}

func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			return ' '
		}
		return c
	}, s)
}

// say prints one sentence, or the answer as JSON.
func (a *At) say(answer any, format string, args ...any) error {
	return a.print(answer, func(w io.Writer) { fmt.Fprintln(w, clean(fmt.Sprintf(format, args...))) })
}

// at is the path of one resource.
func at(kind, name string) string { return "/" + kind + "/" + url.PathEscape(name) }

// mustAddress makes a bad address wrong usage. "@domain" is one where a
// catch-all can be meant.
func mustAddress(s string, catchAll bool) error {
	if d, ok := strings.CutPrefix(s, "@"); ok && catchAll {
		return mustDomain(d)
	}
	if _, err := mail.ParseAddress(s); err != nil {
		return usageError{err}
	}
	return nil
}

func mustDomain(s string) error {
	if _, err := mail.ParseDomain(s); err != nil {
		return usageError{err}
	}
	return nil
}
