package main

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/app"
	"github.com/ekiden-mail/ekiden/internal/mail"
)

// demoAccount is an account as the demo tells of it.
type demoAccount struct {
	Address  string `json:"address"`
	Password string `json:"password"`
}

// rememberedFile keeps the passwords that the demo made up, so that a second
// start over the same data can tell them again.
const rememberedFile = "demo-accounts.json"

// accounts gives what the flags ask for, or alice and bob at the first domain.
func (d *demoCmd) accounts(data string, domain mail.Domain) ([]app.NewAccount, []demoAccount, error) {
	lines := d.Account
	if d.AccountsFile != "" {
		more, err := readLines(d.AccountsFile)
		if err != nil {
			return nil, nil, err
		}
		lines = append(lines, more...)
	}
	if len(lines) == 0 {
		return madeUp(data, domain)
	}
	var accounts []app.NewAccount
	var told []demoAccount
	for _, line := range lines {
		a, err := parseAccount(line)
		if err != nil {
			return nil, nil, usageError{err}
		}
		accounts = append(accounts, a)
		told = append(told, demoAccount{a.Address.String(), a.Password})
	}
	return accounts, told, nil
}

// parseAccount reads ADDR:PASSWORD, where an argon2id hash in PHC form, bare or
// in braces, may stand for the password.
func parseAccount(line string) (app.NewAccount, error) {
	addr, secret, ok := strings.Cut(line, ":")
	if !ok || secret == "" {
		return app.NewAccount{}, fmt.Errorf("account %.100q: want ADDR:PASSWORD", addr)
	}
	a, err := mail.ParseAddress(addr)
	if err != nil {
		return app.NewAccount{}, err
	}
	hash := secret
	if inner, ok := strings.CutPrefix(hash, "{"); ok {
		hash = strings.TrimSuffix(inner, "}")
	}
	if strings.HasPrefix(hash, "$argon2id$") {
		return app.NewAccount{Address: a, Hash: hash}, nil
	}
	return app.NewAccount{Address: a, Password: secret}, nil
}

// readLines reads a file of accounts; empty lines and those with a # in front
// are passed over.
func readLines(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []string
	s := bufio.NewScanner(f)
	for s.Scan() {
		if line := strings.TrimSpace(s.Text()); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines, s.Err()
}

// madeUp gives alice and bob, with the passwords they were given at the first
// start.
func madeUp(data string, domain mail.Domain) ([]app.NewAccount, []demoAccount, error) {
	path := filepath.Join(data, rememberedFile)
	var told []demoAccount
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, nil, err
	default:
		if err := json.Unmarshal(b, &told); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	var accounts []app.NewAccount
	var now []demoAccount
	for _, name := range []string{"alice", "bob"} {
		a := demoAccount{Address: name + "@" + string(domain), Password: strings.ToLower(rand.Text()[:12])}
		for _, old := range told {
			if old.Address == a.Address {
				a = old
			}
		}
		now = append(now, a)
		accounts = append(accounts, app.NewAccount{Address: mail.Address{Local: name, Domain: domain}, Password: a.Password})
	}
	if b, err = json.Marshal(now); err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	return accounts, now, err
}
