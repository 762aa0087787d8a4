package main

import (
	"testing"
)

func TestDomainSettings(t *testing.T) {
	r := listen(t)
	play(t, r.dir, []line{
		{"domain add example.test", "", 0, `added`},
		{"domain add other.test", "", 0, `added`},
		{"account add alice@example.test --password-stdin", "pencil\n", 0, `added`},
		{"domain show example.test", "", 0, `(?s)sub-addresses behind +\+\n$`},
		{"domain set example.test", "", 2, `nothing to set`},
		{"domain set example.test --separator +-", "", 0, `^domain example.test changed\n$`},
		{"domain set example.test --separator ab", "", 1, `different characters out of`},
		{"domain set example.test --seperator -", "", 2, `did you mean "--separator"`},
		{"domain set example.test --catch-all alice@example.test", "", 0, `changed`},
		{"alias list", "", 0, `@example.test +alice@example.test`},
		{"domain set example.test --relay 10.0.0.9:25 --relay inner.test --relay-unsure accept --hide-client", "", 0, `changed`},
		{"domain show example.test", "", 0, `(?s)behind +\+-\ncatch-all +alice@example.test\nunknown recipients go to +10.0.0.9:25, inner.test \(asked for each recipient; unsure: accept\)\nclient's address +hidden\n`},
		{"domain set example.test --relay mx --relay inner.test", "", 1, `mx stands alone`},
		{"domain set example.test --relay-unsure perhaps", "", 2, `must be one of`},
		{"domain set example.test --relay none --catch-all none --no-hide-client --separator none", "", 0, `changed`},
		{"domain show example.test", "", 0, `(?s)behind +none\n$`},
		{"domain set other.test --alias-of example.test", "", 0, `changed`},
		{"domain set example.test --alias-of other.test", "", 1, `itself another name`},
		{"domain show other.test", "", 0, `another name of +example.test`},
		{"domain set other.test --alias-of none", "", 0, `changed`},
		{"domain set other.test --catch-all rubbish", "", 2, `not an address`},
		{"domain set example.test --max-recipients 500 --max-new-recipients none", "", 0, `changed`},
		{"domain show example.test", "", 0, `an account sends in 24 hours +messages default, recipients 500, new recipients none`},
		{"domain set example.test --max-recipients 0", "", 2, `not a number over 0`},
		{"domain show example.test --json", "", 0, `"relay":\{"to":\[\],"ask":true,"unsure":"defer"\},"sending":\{"messages":0,"recipients":500,"new_recipients":-1\}`},
	})
}

func TestGrantCommands(t *testing.T) {
	r := listen(t)
	play(t, r.dir, []line{
		{"domain add example.test", "", 0, `added`},
		{"account add alice@example.test --password-stdin", "pencil\n", 0, `added`},
		{"account grant add alice@example.test sales@example.test", "", 0, `^alice@example.test may send as sales@example.test\n$`},
		{"account grant add alice@example.test @lists.test", "", 0, `may send as @lists.test`},
		{"account grant add alice@example.test @lists.test", "", 1, `already`},
		{"account grant add bob@example.test @lists.test", "", 1, `there is no account`},
		{"account grant add alice@example.test rubbish", "", 2, `not an address`},
		{"account grant list alice@example.test", "", 0, `^MAY SEND AS +SINCE\nsales@example.test +\d{4}-.*\n@lists.test +\d{4}`},
		{"account grant remove alice@example.test @lists.test", "", 0, `no more`},
		{"account grant remove alice@example.test @lists.test", "", 1, `was not granted`},
		{"account set alice@example.test --max-messages-sent 50", "", 0, `changed`},
		{"account show alice@example.test", "", 0, `sends in 24 hours +messages 50, recipients default`},
		{"account hold alice@example.test --reason stolen?", "", 0, `is held in the queue`},
		{"account hold alice@example.test", "", 1, `held already`},
		{"account show alice@example.test", "", 0, `held +\d{4}-.*, because stolen\?`},
		{"account release alice@example.test", "", 0, `^account alice@example.test may send again; 0 held deliveries released\n$`},
		{"account show alice@example.test --json", "", 0, `^\{"id":1,[^h]*"sending"`},
	})
}
