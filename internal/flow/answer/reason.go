package answer

import (
	"strings"

	"github.com/ekiden-mail/ekiden/internal/wire/dsn"
)

// reason is a sentence about why, in both languages. %s is the domain.
type reason struct {
	english, japanese string
}

// The reasons a person meets.
var (
	unknownUser = reason{
		"There is no such address at %s. Please check how it is written.",
		"%s にはこの宛先がありません。アドレスの書き方を確かめてください。"}
	mailboxFull = reason{
		"The recipient's mailbox is full. Please try again later, or reach them in another way.",
		"受信者のメールボックスがいっぱいです。しばらくしてから送り直すか、ほかの方法で連絡してください。"}
	mailboxOff = reason{
		"The recipient's mailbox is out of use.",
		"受信者のメールボックスは現在使われていません。"}
	noHost = reason{
		"The domain %s was not found, or has no mail server. Please check how the address is written.",
		"ドメイン %s が見つからないか、メールサーバーがありません。アドレスの書き方を確かめてください。"}
	noMail = reason{
		"The domain %s takes no mail.",
		"ドメイン %s はメールを受け取りません。"}
	noLine = reason{
		"The mail server of %s could not be reached: it refused the connection or did not answer.",
		"%s のメールサーバーにつながりませんでした（接続の拒否、または応答なし）。"}
	noDNS = reason{
		"The domain name system gave no answer about %s.",
		"%s について DNS から応答がありませんでした。"}
	asSpam = reason{
		"The receiving server took the message for spam, or does not trust where it comes from.",
		"受信側のサーバーが、このメールを迷惑メールと判断したか、送信元を信用しませんでした。"}
	notProven = reason{
		"The receiving server could not verify the sender (SPF, DKIM or DMARC).",
		"受信側のサーバーが送信者を確認できませんでした（SPF、DKIM、DMARC）。"}
	notAllowed = reason{
		"The receiving server does not permit this message for this recipient.",
		"受信側のサーバーの方針により、この宛先へのメールは許可されませんでした。"}
	tooLarge = reason{
		"The message is too large for the receiving server. Please send it with smaller attachments.",
		"メールが大きすぎるため、受信側のサーバーが受け取りませんでした。添付ファイルを小さくして送り直してください。"}
	noTLS = reason{
		"The connection to %s could not be secured (TLS) as it must be, so the message was not sent over it.",
		"%s への接続を必要な方法で保護（TLS）できなかったため、送信しませんでした。"}
	looping = reason{
		"The message went round in a circle between servers.",
		"メールがサーバーの間を循環していました。"}
	noUTF8 = reason{
		"The receiving server cannot take addresses or headers that are not ASCII (SMTPUTF8).",
		"受信側のサーバーは、ASCII 以外の文字を含むアドレスやヘッダー（SMTPUTF8）に対応していません。"}
	tooLong = reason{
		"Delivery was tried for as long as we keep trying.",
		"再送の期限まで配信を試みましたが、届けられませんでした。"}
	busy = reason{
		"The receiving server does not take the message just now.",
		"受信側のサーバーが、現在このメールを受け取れない状態です。"}
	refused = reason{
		"The receiving server refused the message.",
		"受信側のサーバーがメールを拒否しました。"}
	ours = reason{
		"The message could not be delivered here.",
		"このサーバーで配信できませんでした。"}
)

// byStatus knows the codes by subject and detail (RFC 3463, and the registry's
// newer ones); the class says only for how long.
var byStatus = map[string]reason{
	"1.1": unknownUser, "1.2": noHost, "1.3": unknownUser, "1.6": unknownUser, "1.10": noMail,
	"2.1": mailboxOff, "2.2": mailboxFull, "2.3": tooLarge, "3.1": mailboxFull, "3.4": tooLarge,
	"4.1": noLine, "4.2": noLine, "4.3": noDNS, "4.4": noHost, "4.6": looping, "4.7": tooLong,
	"6.7": noUTF8, "7.4": noTLS, "7.5": noTLS, "7.10": noTLS, "7.11": noTLS, "7.30": noTLS,
	"7.20": notProven, "7.21": notProven, "7.22": notProven, "7.23": notProven, "7.24": notProven,
	"7.25": notProven, "7.26": notProven, "7.27": notAllowed, "7.28": asSpam,
}

// byWords are what replies say that have no code or too wide a one, in lower
// case; the first that is found counts.
var byWords = []struct {
	words  string
	reason reason
}{
	{"spf", notProven}, {"dkim", notProven}, {"dmarc", notProven}, {"unauthenticated", notProven},
	{"starttls", noTLS}, {"tls", noTLS}, {"certificate", noTLS},
	{"spam", asSpam}, {"blacklist", asSpam}, {"blocklist", asSpam}, {"block list", asSpam}, {"blocked", asSpam},
	{"reputation", asSpam}, {"dnsbl", asSpam}, {"spamhaus", asSpam}, {"unsolicited", asSpam},
	{"over quota", mailboxFull}, {"quota exceeded", mailboxFull}, {"mailbox full", mailboxFull}, {"mailbox is full", mailboxFull},
	{"user unknown", unknownUser}, {"unknown user", unknownUser}, {"no such user", unknownUser}, {"does not exist", unknownUser},
	{"no such recipient", unknownUser}, {"recipient unknown", unknownUser}, {"no mailbox", unknownUser}, {"unknown recipient", unknownUser},
	{"too large", tooLarge}, {"size limit", tooLarge}, {"maximum size", tooLarge}, {"too big", tooLarge},
	{"host not found", noHost}, {"no such domain", noHost}, {"connection refused", noLine}, {"timeout", noLine}, {"timed out", noLine},
	{"loop", looping},
}

// why finds the reason: by the code where it is one that says something, then
// by the words, then by who spoke.
func why(r dsn.Recipient) reason {
	class, rest, _ := strings.Cut(r.Status, ".")
	if found, ok := byStatus[rest]; ok {
		return found
	}
	words := strings.ToLower(r.Diagnostic)
	for _, w := range byWords {
		if hasWord(words, w.words) {
			return w.reason
		}
	}
	switch {
	case strings.HasPrefix(rest, "7."):
		return notAllowed
	case r.RemoteMTA == "" && r.Action == dsn.Failed:
		return ours
	case class == "4" || strings.HasPrefix(words, "4"):
		return busy
	}
	return refused
}

// hasWord finds w where it does not begin or end in the middle of a word.
func hasWord(s, w string) bool {
	for at := 0; ; {
		i := strings.Index(s[at:], w)
		if i < 0 {
			return false
		}
		from, to := at+i, at+i+len(w)
		if (from == 0 || !isLetter(s[from-1])) && (to == len(s) || !isLetter(s[to])) {
			return true
		}
		at = to
	}
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
