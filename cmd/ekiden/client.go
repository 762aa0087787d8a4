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

// RoundTrip serves r; the answer streams. Its body is to be closed.
func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	out, in := io.Pipe()
	w := &streamed{header: http.Header{}, body: in, begun: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.serve(p.handler, r)
	}()
	<-w.begun
	return &http.Response{
		StatusCode: w.status, Header: w.sent, Body: &closer{out, done}, Request: r, ContentLength: -1, ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

// closer is the body of an answer; Close waits until its handler has ended.
type closer struct {
	*io.PipeReader
	done <-chan struct{}
}

// Close lets go of what was not read.
func (c *closer) Close() error {
	err := c.PipeReader.Close()
	<-c.done
	return err
}

// streamed is a response on its way.
type streamed struct {
	header, sent http.Header
	status       int
	body         *io.PipeWriter
	begun        chan struct{}
}

func (s *streamed) serve(h http.Handler, r *http.Request) {
	defer func() {
		s.WriteHeader(http.StatusOK)
		_ = r.Body.Close()
		switch v := recover(); v {
		case nil:
			_ = s.body.Close()
		case http.ErrAbortHandler:
			_ = s.body.CloseWithError(errCutOff)
		default:
			panic(v)
		}
	}()
	h.ServeHTTP(s, r)
}

// Header gives the header fields.
func (s *streamed) Header() http.Header { return s.header }

// WriteHeader sets the status, once.
func (s *streamed) WriteHeader(status int) {
	if s.status == 0 {
		s.status, s.sent = status, s.header.Clone()
		close(s.begun)
	}
}

// Write sends a part of the body.
func (s *streamed) Write(b []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	return s.body.Write(b)
}

var errCutOff = errors.New("the answer was cut off; the server's log says why")

// maxAnswer bounds what is read of an answer, in octets.
const maxAnswer = 256 << 20

// call makes one request; out takes the answer.
func (a *At) call(method, path string, in, out any) (err error) {
	ctx, stop := untilSignal()
	defer stop()
	c, err := a.connect(ctx, method == http.MethodGet)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	return c.call(ctx, method, path, in, out)
}

// connection is a way to the server for several requests.
type connection struct {
	http.Client
	close func() error
}

// connect finds the server.
func (a *At) connect(ctx context.Context, reads bool) (*connection, error) {
	transport, closer, err := a.transport(ctx, reads)
	if err != nil {
		return nil, err
	}
	return &connection{http.Client{Transport: transport}, closer}, nil
}

// call sends in as JSON; out takes the answer.
func (c *connection) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	answer, err := c.send(ctx, method, path, "application/json", body)
	if err != nil {
		return err
	}
	return decode(answer, out)
}

// decode reads an answer in JSON and closes it.
func decode(answer io.ReadCloser, out any) error {
	defer answer.Close()
	b, err := io.ReadAll(io.LimitReader(answer, maxAnswer))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, out)
}

// send streams a request, and gives its answer to be read and closed.
func (c *connection) send(ctx context.Context, method, path, kind string, body io.Reader) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://ekiden"+apid.Root+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", kind)
	}
	resp, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 400 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	return nil, complaint(resp, b)
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

// pages asks for all pages of a list. path is what the cursor is added to, and name
// gives the cursor behind an item.
func pages[T any](ask func(method, path string, in, out any) error, path string, name func(T) string) (items[T], error) {
	all := items[T]{Items: []T{}}
	for more, after := true, ""; more; {
		var page struct {
			items[T]
			More bool `json:"more"`
		}
		if err := ask(http.MethodGet, path+url.QueryEscape(after), nil, &page); err != nil {
			return all, err
		}
		all.Items = append(all.Items, page.Items...)
		if more = page.More && len(page.Items) > 0; more {
			after = name(page.Items[len(page.Items)-1])
		}
	}
	return all, nil
}

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
