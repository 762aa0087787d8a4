package answer

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/ekiden-mail/ekiden/internal/wire/dsn"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

const (
	maxQuoted   = 1000 // characters of a subject or reply in the text for people
	maxNamed    = 500  // recipients that the text names; the part for programs has all
	isoDate     = "2006-01-02 15:04:05 -0700"
	englishLang = 0
	japanese    = 1
)

// news is what is said of all recipients with the same action.
type news struct {
	action  dsn.Action
	subject [2]string
	opening [2]string // a line above their addresses
	closing [2]string // advice below
}

// allNews is in the order of importance: the first one there is, is the subject.
var allNews = []news{
	{dsn.Failed,
		[2]string{"Mail could not be delivered", "メールを配信できませんでした"},
		[2]string{"It could not be delivered to the following addresses, and we will not try again:", "次の宛先には配信できませんでした。これ以上の再送は行いません。"},
		[2]string{}},
	{dsn.Delayed,
		[2]string{"Mail is delayed", "メールの配信が遅れています"},
		[2]string{"It has not been delivered to the following addresses yet:", "次の宛先には、まだ配信できていません。"},
		[2]string{"We keep trying. You need not send it again.", "配信の試みを続けています。送り直す必要はありません。"}},
	{dsn.Delivered,
		[2]string{"Mail was delivered", "メールを配信しました"},
		[2]string{"It was delivered to the following addresses:", "次の宛先に配信しました。"},
		[2]string{}},
	{dsn.Expanded,
		[2]string{"Mail was passed on", "メールを転送しました"},
		[2]string{"It was passed on to several others behind the following addresses, of whom we will not hear:", "次の宛先の先にいる複数の受信者へ転送しました。その後の結果はお知らせできません。"},
		[2]string{}},
	{dsn.Relayed,
		[2]string{"Mail was relayed", "メールを中継しました"},
		[2]string{"It was handed to the next server for the following addresses. That server sends no reports of delivery:", "次の宛先への配信を次のサーバーに引き渡しました。そのサーバーは配信の結果を知らせません。"},
		[2]string{}},
}

// subject is the report's subject in some languages.
func subject(rcpts []dsn.Recipient, languages []int) string {
	for _, n := range allNews {
		for _, r := range rcpts {
			if r.Action == n.action {
				var all []string
				for _, l := range languages {
					all = append(all, n.subject[l])
				}
				return strings.Join(all, " / ")
			}
		}
	}
	return "Mail"
}

// text is the part for people, in one language or in one after the other.
func (a *Answerer) text(f Facts, rcpts []dsn.Recipient, h message.Header, languages []int) string {
	about := quote(message.DecodeHeader(h.Get("Subject")))
	came := f.Arrived.Format(isoDate)
	var b strings.Builder
	for i, lang := range languages {
		if i == 0 && len(languages) > 1 {
			b.WriteString("（日本語の説明は下にあります。）\n\n")
		} else if i > 0 {
			b.WriteString("\n----\n\n")
		}
		if lang == englishLang {
			fmt.Fprintf(&b, "This is the mail server %s.\nIt is about your message of %s", a.o.Hostname, came)
		} else {
			fmt.Fprintf(&b, "メールサーバー %s からのお知らせです。\n%s に受け付けた", a.o.Hostname, came)
		}
		if about != "" {
			fmt.Fprintf(&b, [2]string{" with the subject\n\n    %s\n", "次の件名のメールについてご連絡します。\n\n    %s\n"}[lang], about)
		} else {
			b.WriteString([2]string{".\n", "メールについてご連絡します。\n"}[lang])
		}
		told(&b, lang, f.Now, rcpts)
	}
	return b.String()
}

// told writes each kind of news with its recipients.
func told(b *strings.Builder, lang int, now time.Time, rcpts []dsn.Recipient) {
	for _, n := range allNews {
		named, left := 0, 0
		for _, r := range rcpts {
			switch {
			case r.Action != n.action:
				continue
			case named == maxNamed:
				left++
				continue
			case named == 0:
				b.WriteString("\n" + n.opening[lang] + "\n")
			}
			named++
			one(b, lang, now, r)
		}
		if left > 0 {
			fmt.Fprintf(b, [2]string{"\n  and %d more.\n", "\n  ほか %d 件\n"}[lang], left)
		}
		if named > 0 && n.closing[lang] != "" {
			b.WriteString("\n" + n.closing[lang] + "\n")
		}
	}
}

// one writes what is known of one recipient.
func one(b *strings.Builder, lang int, now time.Time, r dsn.Recipient) {
	fmt.Fprintf(b, "\n  <%s>\n", quote(r.Final.String()))
	if r.Action == dsn.Failed || r.Action == dsn.Delayed {
		for _, w := range why(r) {
			b.WriteString("    " + strings.ReplaceAll(w[lang], "%s", string(r.Final.Domain)) + "\n")
		}
	}
	if r.Diagnostic != "" {
		if r.RemoteMTA != "" {
			fmt.Fprintf(b, [2]string{"    The server %s said:\n", "    サーバー %s の応答:\n"}[lang], quote(r.RemoteMTA))
		} else {
			b.WriteString([2]string{"    In detail:\n", "    詳細:\n"}[lang])
		}
		b.WriteString("      " + quote(r.Diagnostic) + "\n")
	}
	if r.Action == dsn.Delayed && r.RetryUntil.After(now) {
		fmt.Fprintf(b, [2]string{"    We will try until %s.\n", "    %s まで配信を試みます。\n"}[lang], r.RetryUntil.Format(isoDate))
	}
}

// quote makes foreign text fit for one line.
func quote(s string) string {
	n := 0
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if n++; n > maxQuoted {
			return -1
		}
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
}
