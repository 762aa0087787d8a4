package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/app"
)

// peerFlags say where a message came from.
type peerFlags struct {
	Resolver string `placeholder:"HOST:PORT" help:"Where DNS questions go; without it, we look names up ourselves, from the root down."`
	Anchor   string `name:"trust-anchor" type:"existingfile" placeholder:"FILE" help:"A lab's own DNSSEC trust anchor."`
	Hints    string `name:"root-hints" type:"existingfile" placeholder:"FILE" help:"A lab's own DNS root."`
	IP       string `name:"ip" placeholder:"ADDR" help:"The address of the server that brought the message."`
	Helo     string `placeholder:"NAME" help:"The name by which it greeted."`
	From     string `placeholder:"ADDR" help:"The reverse-path (MAIL FROM); without it, the null one."`
	Time     string `placeholder:"T" help:"When it is to be judged, in RFC 3339 or Unix seconds; without it, now."`
}

// examination reads the flags.
func (f *peerFlags) examination() (app.Examination, error) {
	x := app.Examination{Resolver: f.Resolver, Anchor: f.Anchor, Hints: f.Hints, Helo: f.Helo, From: strings.Trim(f.From, "<>")}
	if f.Resolver != "" {
		at, err := net.ResolveUDPAddr("udp", f.Resolver) // "localhost:53" is fine too
		if err != nil || at.IP == nil {
			return x, usageError{fmt.Errorf("--resolver: %q is not host:port", f.Resolver)}
		}
		x.Resolver = at.AddrPort().String()
	}
	var err error
	if f.IP != "" {
		if x.IP, err = netip.ParseAddr(f.IP); err != nil {
			return x, usageError{fmt.Errorf("--ip: %q is not an IP address", f.IP)}
		}
	}
	if f.Time != "" {
		if x.Time, err = moment(f.Time); err != nil {
			return x, usageError{err}
		}
	}
	return x, nil
}

// moment reads RFC 3339 or Unix seconds.
func moment(s string) (time.Time, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(n, 0), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("--time: %q is neither RFC 3339 nor Unix seconds", s)
	}
	return t, nil
}

type verifyMessageCmd struct{ peerFlags }

// Run prints what is found out about a message.
func (c *verifyMessageCmd) Run() error {
	x, err := c.examination()
	if err != nil {
		return err
	}
	if !x.IP.IsValid() && (x.Helo != "" || x.From != "") {
		return usageError{errors.New("--helo and --from say nothing without --ip")}
	}
	ctx, stop := untilSignal()
	defer stop()
	field, err := x.Message(ctx, os.Stdin)
	if err != nil {
		return err
	}
	fmt.Print(strings.ReplaceAll(field, "\r\n", "\n"))
	return nil
}

type verifySPFCmd struct{ peerFlags }

// Run prints the result, and why it is so.
func (c *verifySPFCmd) Run() error {
	x, err := c.examination()
	if err != nil {
		return err
	}
	if !x.IP.IsValid() || x.Helo == "" && x.From == "" {
		return usageError{errors.New("--ip is needed, and --from or --helo")}
	}
	ctx, stop := untilSignal()
	defer stop()
	r, err := x.SPF(ctx)
	if err != nil {
		return err
	}
	words := []string{string(r.Code)}
	if r.Mechanism != "" {
		words = append(words, fmt.Sprintf("(by %s)", r.Mechanism))
	}
	if r.Problem != "" {
		words = append(words, "("+r.Problem+")")
	}
	if r.Explanation != "" {
		words = append(words, strconv.Quote(r.Explanation))
	}
	fmt.Println(strings.Join(words, " "))
	return nil
}
