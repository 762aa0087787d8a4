package main

import "testing"

func TestSuppressionCommands(t *testing.T) {
	r := listen(t)
	play(t, r.dir, []line{
		{"domain add example.test", "", 0, `added`},
		{"account add alice@example.test --password-stdin", "pencil\n", 0, `added`},
		{"suppression list example.test", "", 0, `^ADDRESS +REASON +SINCE +UNTIL +DETAIL\n$`},
		{"suppression add example.test Bob@far.test --note stop!", "", 0, `^example.test does not send to Bob@far.test any more\n$`},
		{"suppression add example.test carl@far.test --for 48h", "", 0, `any more`},
		{"suppression add example.test rubbish", "", 2, `not an address`},
		{"suppression add other.test bob@far.test", "", 1, `not one of this server's`},
		{"suppression list example.test", "", 0, `(?s)bob@far.test +other +\d{4}-\S+ +removed +stop!\ncarl@far.test +other +\d{4}-\S+ +\d{4}-`},
		{"suppression remove example.test bob@far.test", "", 0, `^example.test sends to bob@far.test again\n$`},
		{"suppression remove example.test bob@far.test", "", 1, `does send to`},
		{"domain set example.test --suppress --suppress-for 7 --report-language ja", "", 0, `changed`},
		{"domain show example.test", "", 0, `(?s)language of reports +ja\nreturn paths +signed\nwho does not exist +is suppressed for 7 days\n`},
		{"domain set example.test --report-language fr", "", 2, `must be one of`},
		{"domain set example.test --no-suppress --report-language default", "", 0, `changed`},
		{"domain show example.test", "", 0, `(?s)behind +\+\n$`},
		{"account set alice@example.test --report-language en --signed-paths", "", 0, `changed`},
		{"account show alice@example.test", "", 0, `(?s)language of reports +en\nreturn paths +signed\n`},
	})
}
