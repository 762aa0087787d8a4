package main

import (
	"testing"
)

func TestAppPasswordCommands(t *testing.T) {
	r := listen(t)
	play(t, r.dir, []line{
		{"domain add example.test", "", 0, `added`},
		{"account add alice@example.test --password-stdin", "pencil\n", 0, `added`},
		{"account app-password list alice@example.test", "", 0, `^ID +NAME +FOR +ADDED +EXPIRES +USED\n$`},
		{"account app-password add alice@example.test phone --for imap --expires 24h", "", 0, `(?s)^app password \w{8} of alice@example.test for imap\npassword: [a-z2-7]{5}-[a-z2-7]{5}-[a-z2-7]{5}-[a-z2-7]{5}\n$`},
		{"account app-password add alice@example.test --for smtp,telnet", "", 1, `"telnet" is none of imap`},
		{"account app-password add bob@example.test x", "", 1, `no account`},
		{"account app-password add alice@example.test x --expires=-1h", "", 2, `a time to come`},
		{"account app-password list alice@example.test", "", 0, `(?s)phone +imap +\d{4}-\d\d-\d\d +\d{4}-\d\d-\d\d +never\n$`},
		{"account app-password list alice@example.test --json", "", 0, `"name":"phone","scopes":\["imap"\]`},
		{"account app-password require alice@example.test", "", 0, `need an app password`},
		{"account totp show alice@example.test", "", 0, `(?s)one-time codes +off\napp passwords +1 +needed by mail programs\nSCRAM +SCRAM-SHA-256, SCRAM-SHA-512`},
		{"account app-password require alice@example.test --off", "", 0, `may use the main password`},
		{"account app-password remove alice@example.test phone", "", 0, `^app password \w{8} of alice@example.test revoked\n$`},
		{"account app-password remove alice@example.test phone", "", 1, `there is no app password`},
		{"account totp confirm alice@example.test 000000", "", 1, `no secret was given out`},
		{"account totp enrol alice@example.test", "", 0, `(?s)^secret: [A-Z2-7]{32}\notpauth://totp/example.test:alice@example.test\?issuer=example.test&secret=[A-Z2-7]{32}\n`},
		{"account totp confirm alice@example.test abc", "", 1, `that code is wrong`},
		{"account totp remove alice@example.test", "", 0, `are off`},
		{"account totp remove alice@example.test", "", 1, `has no one-time codes`},
	})
}

func TestNoSCRAMCommands(t *testing.T) {
	r := listen(t)
	play(t, r.dir, []line{
		{"domain add example.test", "", 0, `added`},
		{"domain set example.test --no-scram", "", 0, `changed`},
		{"domain show example.test", "", 0, `SCRAM +no verifiers are kept`},
		{"account add alice@example.test --password-stdin", "pencil\n", 0, `added`},
		{"account totp show alice@example.test", "", 0, `SCRAM *\n$`},
		{"domain set example.test --scram", "", 0, `changed`},
		{"account set alice@example.test --password-stdin", "chalk\n", 0, `changed`},
		{"account totp show alice@example.test", "", 0, `SCRAM +SCRAM-SHA-256, SCRAM-SHA-512\n$`},
	})
}
