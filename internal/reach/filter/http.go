package filter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// HTTPOptions say where a filter with an HTTP interface is.
type HTTPOptions struct {
	URL     string        // http or https; "unix:/path" for a socket, with HTTP in it
	Timeout time.Duration // of the whole request
}

const (
	maxAnswer = 4 << 20 // octets of an answer that are read
	idleTime  = 30 * time.Second
	idleConns = 8
)

// CheckURL says whether u can be an HTTPOptions.URL.
func CheckURL(u string) error {
	if path, ok := strings.CutPrefix(u, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return errors.New("a socket's path begins with /")
		}
		return nil
	}
	p, err := url.Parse(u)
	if err != nil || p.Scheme != "http" && p.Scheme != "https" || p.Host == "" || p.User != nil || p.Fragment != "" {
		return errors.New("want http://host:port/…, https://…, or unix:/path")
	}
	return nil
}

// web is the client of one filter. It follows no redirection, asks no proxy, and
// keeps a few connections for a while.
type web struct {
	base   string
	o      HTTPOptions
	client http.Client
}

func newWeb(o HTTPOptions) *web {
	w := &web{base: o.URL, o: o}
	t := &http.Transport{
		MaxIdleConnsPerHost: idleConns, IdleConnTimeout: idleTime, DisableCompression: true, TLSHandshakeTimeout: o.Timeout,
		DialContext: (&net.Dialer{Timeout: o.Timeout}).DialContext,
	}
	if path, ok := strings.CutPrefix(o.URL, "unix:"); ok {
		w.base = "http://localhost"
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, "unix", path, o.Timeout) }
	}
	w.client = http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return w
}

// post sends a body of known size and gives the answer, of which the status is
// 200 or, with nothing in it, 204.
func (w *web) post(ctx context.Context, path string, h http.Header, body io.Reader, size int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, w.o.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(w.base, "/")+path, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	req.Header = h
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > maxAnswer:
		return nil, fmt.Errorf("an answer of over %d octets", maxAnswer)
	case resp.StatusCode == http.StatusNoContent:
		return nil, nil
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("HTTP status %d: %s", resp.StatusCode, short(string(b[:min(len(b), 200)])))
	}
	return b, nil
}
