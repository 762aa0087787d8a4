package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ekiden-mail/ekiden/internal/app"
)

// serveCmd runs the server.
type serveCmd struct {
	Config string `short:"c" required:"" type:"path" placeholder:"FILE" help:"The configuration (TOML)."`
}

// Run serves until SIGTERM or SIGINT; at SIGHUP it looks at its certificates.
func (s serveCmd) Run() error {
	c, err := app.Load(s.Config)
	if err != nil {
		return err
	}
	log := app.NewLogger(c.Log, os.Stderr)
	server, err := app.Open(c, version, log)
	if err != nil {
		return err
	}
	server.ReloadOnHangup()
	ctx, stop := untilSignal()
	defer stop()
	return server.Run(ctx, func() { log.Info("server.ready", "version", version, "ports", server.Ports()) })
}

// untilSignal gives a context that ends at the first SIGTERM or SIGINT; a
// second one ends the process at once.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, cancel)
	return ctx, cancel
}

// checkCmd groups what can be checked.
type checkCmd struct {
	Config checkConfigCmd `cmd:"" help:"Read a configuration and say what in it cannot work."`
	Domain checkDomainCmd `cmd:"" help:"See a domain's mail, ours or not, as the world does: names, signatures, policies, TLS, lists. No mail is sent."`
	Host   checkHostCmd   `cmd:"" help:"See whether mail can leave this host: other servers' port 25, smart hosts, and our own names. No mail is sent."`
}

// checkConfigCmd checks a file.
type checkConfigCmd struct {
	Config string `short:"c" required:"" type:"path" placeholder:"FILE" help:"The configuration (TOML)."`
	JSON   bool   `name:"json" help:"Answer in JSON."`
}

// Run reads the file and the certificates it names.
func (k checkConfigCmd) Run() error {
	var told []string
	c, err := app.Load(k.Config)
	if err == nil {
		told, err = c.CheckFiles(time.Now())
	}
	if k.JSON {
		answer := struct {
			Good    bool     `json:"good"`
			Problem string   `json:"problem,omitempty"`
			Told    []string `json:"warnings,omitempty"`
		}{Good: err == nil, Told: told}
		if err != nil {
			answer.Problem = publicText(err)
		}
		return errors.Join(json.NewEncoder(os.Stdout).Encode(answer), err)
	}
	for _, t := range told {
		fmt.Println("warning:", t)
	}
	if err == nil {
		fmt.Println(k.Config, "is good")
	}
	return err
}
