package imapd

import (
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/imap"
)

// Languages that we speak to a person (RFC 5646). iDefault is English that
// everyone can display (RFC 2277 §4.5).
const (
	iDefault = "i-default"
	english  = "en"
	japanese = "ja"
)

// languages are those there are, in the order in which they are listed.
var languages = []string{english, japanese, iDefault}

// language is LANGUAGE (RFC 5255 §3.2). All text for people is in the language
// from the LANGUAGE response on, and in UTF-8 but for i-default.
func (c *session) language(cmd *imap.LanguageCommand) (reply, error) {
	if len(cmd.Ranges) == 0 {
		c.enc.Untagged().Raw("LANGUAGE ").Words(languages).CRLF()
		return ok("LANGUAGE done"), nil
	}
	for _, r := range cmd.Ranges {
		if l := lookup(r); l != "" {
			c.enc.Untagged().Raw("LANGUAGE ").Words([]string{l}).CRLF()
			c.speak(l)
			return ok("LANGUAGE done"), nil
		}
	}
	return no("that language is not spoken here"), nil
}

// lookup finds the language for a range, by lookup (RFC 4647 §3.4): the range is
// shortened until it is one of ours. "" if there is none.
func lookup(r string) string {
	if strings.EqualFold(r, "default") {
		return iDefault
	}
	for r != "" {
		if i := slices.IndexFunc(languages, func(l string) bool { return strings.EqualFold(l, r) }); i >= 0 {
			return languages[i]
		}
		r = r[:max(0, strings.LastIndexByte(r, '-'))]
		if len(r) > 1 && r[len(r)-2] == '-' { // what a singleton begins goes with it
			r = r[:len(r)-2]
		}
	}
	return ""
}

// speak says what is for people in a language from now on.
func (c *session) speak(language string) {
	c.enc.Speak = nil
	if language == japanese {
		c.enc.Speak = inJapanese
	}
}

// inJapanese translates a text. What is not known stays as it is.
func inJapanese(text string) string {
	if t, known := japaneseTexts[text]; known {
		return t
	}
	if name, done := strings.CutSuffix(text, " done"); done {
		return name + "を完了しました"
	}
	if name, found := strings.CutSuffix(text, " needs a selected mailbox"); found {
		return name + "の前にメールボックスを選択してください"
	}
	if name, found := strings.CutSuffix(text, " needs a login"); found {
		return name + "の前にログインしてください"
	}
	return text
}
