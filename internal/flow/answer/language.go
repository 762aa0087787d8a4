package answer

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"unicode"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// Preference is in which language somebody wants to be written to: "en", "ja" or
// "both"; "" says nothing.
type Preference struct {
	Account string // the sender's own wish
	Domain  string // his domain's, which counts where the message tells nothing
}

// Prefer asks for the wishes of a sender. Without an answer both languages are
// written.
func (a *Answerer) Prefer(ctx context.Context, sender mail.Address) Preference {
	if a.o.Prefer == nil {
		return Preference{}
	}
	return a.o.Prefer(ctx, sender)
}

// languages are those that a report is written in: the sender's wish, or else the
// language that his message seems to be in, or else his domain's wish, or both.
func (p Preference) languages(h message.Header, begin []byte) []int {
	for _, wish := range []string{p.Account, spoken(h, begin), p.Domain} {
		switch wish {
		case "en":
			return []int{englishLang}
		case "ja":
			return []int{japanese}
		case "both":
			return []int{englishLang, japanese}
		}
	}
	return []int{englishLang, japanese}
}

// spoken guesses the language of a message: by what it says (RFC 3282), by a
// charset that only one language uses, or by kana in its subject or in its
// sender's name. It does not take what it does not know for English.
func spoken(h message.Header, begin []byte) string {
	for tag := range strings.SplitSeq(strings.ToLower(h.Get("Content-Language")), ",") {
		switch tag, _, _ = strings.Cut(strings.TrimSpace(tag), "-"); tag {
		case "ja", "en":
			return tag
		}
	}
	lower := bytes.ToLower(begin)
	for _, charset := range []string{"iso-2022-jp", "shift_jis", "shift-jis", "euc-jp", "windows-31j", "cp932"} {
		for _, form := range []string{"charset=", `charset="`, "=?"} {
			if bytes.Contains(lower, []byte(form+charset)) {
				return "ja"
			}
		}
	}
	for _, name := range []string{"Subject", "From"} {
		if slices.ContainsFunc([]rune(message.DecodeHeader(h.Get(name))), func(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Katakana) }) {
			return "ja"
		}
	}
	return ""
}
