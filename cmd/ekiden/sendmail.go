package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/app"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/apid"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
	"github.com/ekiden-mail/ekiden/internal/wire/sendmail"
)

// sendmailCmd is `ekiden sendmail`. Its command line is not of the other
// commands' kind, so that it is read before theirs; what stands here is for the
// help.
type sendmailCmd struct {
	Args []string `arg:"" optional:"" passthrough:"" help:"As every sendmail has them: -t (the recipients of the header, whose Bcc goes), -i (a dot alone ends nothing), -f ADDR, -F NAME, -N never|success,failure,delay, -R full|hdrs, -V ENVID, -C FILE (the server's configuration), and recipients."`
}

// Run sends.
func (c *sendmailCmd) Run() error { os.Exit(runSendmail(c.Args)); return nil }

// asSendmail says whether a program was called by the name of sendmail, and
// gives its arguments.
func asSendmail(argv []string) ([]string, bool) {
	switch name := filepath.Base(argv[0]); {
	case name == "sendmail":
		return argv[1:], true
	case name == "newaliases":
		return append([]string{"-bi"}, argv[1:]...), true
	case len(argv) > 1 && argv[1] == "sendmail" && !(len(argv) > 2 && argv[2] == "--help"):
		return argv[2:], true
	}
	return nil, false
}

// exitError is an error with its exit code of sysexits.h.
type exitError struct {
	code int
	error
}

func exits(code int, format string, args ...any) error {
	return exitError{code, fmt.Errorf(format, args...)}
}

// runSendmail carries out one command line. Whatever keeps it from reaching the
// server is for the time being: the caller still has the message.
func runSendmail(args []string) int {
	c, err := sendmail.ParseArgs(args)
	if err != nil {
		err = exitError{sendmail.Usage, err}
	} else if c.Mode == sendmail.Deliver {
		err = sendLetter(c, os.Stdin)
	}
	if err == nil {
		return sendmail.OK
	}
	fmt.Fprintln(os.Stderr, "sendmail:", clean(publicText(err)))
	var exit exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	return sendmail.TempFail
}

// maxHeader bounds what is kept of a message before it is sent, in octets.
const maxHeader = message.MaxHeader

// sendLetter reads a message and sends it.
func sendLetter(c sendmail.Command, in io.Reader) error {
	lines := sendmail.NewLines(in, 0, !c.IgnoreDot)
	body := io.Reader(lines)
	if c.Header {
		header, err := readHeader(lines)
		if err != nil {
			return unfit(err)
		}
		more, err := sendmail.Recipients(header)
		if err != nil {
			return exitError{sendmail.DataErr, err}
		}
		c.To = append(c.To, more...)
		body = io.MultiReader(bytes.NewReader(header), lines)
	}
	if len(c.To) == 0 {
		return exits(sendmail.Usage, "no recipients: the header names none")
	}
	whole, done, err := spool(body)
	if err != nil {
		if lines.Err() != nil {
			return unfit(err)
		}
		return err
	}
	defer done()
	sent, err := postLetter(c, whole)
	if err != nil {
		return err
	}
	return sentCode(sent)
}

// maxMemory is how much of a message is held in memory, in octets; a larger one
// goes into a file that nobody else sees.
const maxMemory = 1 << 20

// spool reads a message to its end before the server hears of it, however slowly
// its program writes: what is sent is whole.
func spool(r io.Reader) (whole io.Reader, done func(), err error) {
	var head bytes.Buffer
	if _, err := io.CopyN(&head, r, maxMemory); err == io.EOF {
		return &head, func() {}, nil
	} else if err != nil {
		return nil, nil, err
	}
	f, err := os.CreateTemp("", "ekiden-sendmail-")
	if err != nil {
		return nil, nil, err
	}
	_ = os.Remove(f.Name())
	done = func() { _ = f.Close() }
	if _, err = io.Copy(f, io.MultiReader(&head, r)); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return f, done, nil
}

// unfit is a message that cannot be read, or cannot be sent as it is.
func unfit(err error) error {
	return exits(sendmail.DataErr, "the message cannot be sent: %w", err)
}

// readHeader reads up to the end of the header, and perhaps a bit more.
func readHeader(r io.Reader) ([]byte, error) {
	var head message.HeaderScanner
	var all []byte
	chunk := make([]byte, 16<<10)
	for !head.Done() {
		n, err := r.Read(chunk)
		all = append(all, chunk[:n]...)
		_, _ = head.Write(chunk[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(all) > maxHeader+len(chunk) {
			return nil, fmt.Errorf("the header is over %d octets", maxHeader)
		}
	}
	return all, nil
}

// postLetter hands the message to the server that runs.
func postLetter(c sendmail.Command, body io.Reader) (apid.Sent, error) {
	var sent apid.Sent
	dial, err := sendmailSocket(c)
	if err != nil {
		return sent, err
	}
	ctx, stop := untilSignal()
	defer stop()
	query := url.Values{"to": c.To}
	for key, value := range map[string]string{"from": strings.Trim(c.From, "<>"), "name": c.Name, "envid": c.EnvelopeID, "notify": notifyWords(c.Notify)} {
		if value != "" {
			query.Set(key, value)
		}
	}
	if c.From == "<>" {
		query.Set("from", "<>")
	}
	if c.HeadersRet {
		query.Set("ret", "hdrs")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://ekiden"+apid.Root+"/submissions?"+query.Encode(), io.NopCloser(body))
	if err != nil {
		return sent, err
	}
	r.Header.Set("Content-Type", "message/rfc822")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}}
	resp, err := client.Do(r)
	if err != nil {
		return sent, fmt.Errorf("the server cannot be reached: %w", cmp.Or(errors.Unwrap(err), err))
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return sent, err
	case resp.StatusCode < 300:
		return sent, json.Unmarshal(b, &sent)
	}
	codes := map[int]int{
		http.StatusForbidden: sendmail.NoPerm, http.StatusBadRequest: sendmail.DataErr, http.StatusUnprocessableEntity: sendmail.DataErr,
		http.StatusRequestEntityTooLarge: sendmail.DataErr,
	}
	if code := codes[resp.StatusCode]; code != 0 {
		return sent, exitError{code, complaint(resp, b)}
	}
	return sent, complaint(resp, b)
}

// defaultSocket is where programs look for the server if nothing else is said.
const defaultSocket = "/run/ekiden/sendmail.sock"

// sendmailSocket says how to reach the server: by -C or EKIDEN_CONFIG, the
// server's configuration; by EKIDEN_SENDMAIL, a socket or a data directory; else
// at the usual places.
func sendmailSocket(c sendmail.Command) (func(context.Context) (net.Conn, error), error) {
	at := os.Getenv("EKIDEN_SENDMAIL")
	if path := cmp.Or(c.Config, os.Getenv("EKIDEN_CONFIG")); path != "" {
		conf, err := app.Load(path)
		if err != nil {
			return nil, exitError{sendmail.Config, err}
		}
		at = cmp.Or(conf.Sending.SendmailSocket, conf.Data)
	}
	if at == "" {
		at = app.Default().Data
		if i, err := os.Stat(defaultSocket); err == nil && i.Mode()&os.ModeSocket != 0 {
			at = defaultSocket
		}
	}
	if i, err := os.Stat(at); err == nil && i.IsDir() {
		return func(ctx context.Context) (net.Conn, error) { return app.DialSocket(ctx, at) }, nil
	}
	return func(ctx context.Context) (net.Conn, error) { return app.DialSendmail(ctx, at) }, nil
}

// notifyWords writes when a report is wanted.
func notifyWords(n mail.Notify) string {
	var words []string
	for i, w := range []string{"never", "success", "failure", "delay"} {
		if n&(1<<i) != 0 {
			words = append(words, w)
		}
	}
	return strings.Join(words, ",")
}

// sentCode says which exit code the worst reply is worth. Each refusal is told.
func sentCode(sent apid.Sent) error {
	worst := error(nil)
	rank := 0
	for _, r := range sent.Recipients {
		code, rk := 0, 0
		switch {
		case r.Code/100 == 2:
			continue
		case r.Code/100 == 4:
			code, rk = sendmail.TempFail, 9
		case strings.HasPrefix(r.Status, "5.7."):
			code, rk = sendmail.NoPerm, 4
		case strings.HasPrefix(r.Status, "5.6."), strings.HasPrefix(r.Status, "5.3.4"):
			code, rk = sendmail.DataErr, 3
		case strings.HasPrefix(r.Status, "5.1."):
			code, rk = sendmail.NoUser, 2
		default:
			code, rk = sendmail.Unavailable, 1
		}
		err := exits(code, "%s: %d %s %s", r.Recipient, r.Code, r.Status, r.Text)
		if rk > rank {
			worst, err, rank = err, worst, rk
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "sendmail:", clean(err.Error()))
		}
	}
	return worst
}
