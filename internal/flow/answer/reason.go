package answer

import (
	"slices"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/bounce"
	"github.com/ekiden-mail/ekiden/internal/wire/dsn"
)

// sentence is one in both languages. %s is the recipient's domain.
type sentence [2]string

// sentences say what each reason means to a person.
func sentences() map[bounce.Reason]sentence {
	return map[bounce.Reason]sentence{
		bounce.UnknownUser: {"There is no such address at %s. Please check how it is written.",
			"%s にはこの宛先がありません。アドレスの書き方を確かめてください。"},
		bounce.BadAddress: {"The mail server of %s cannot make sense of the address. Please check how it is written.",
			"%s のメールサーバーがこのアドレスを解釈できませんでした。アドレスの書き方を確かめてください。"},
		bounce.Moved: {"The recipient has another address now.",
			"受信者のアドレスが変わっています。"},
		bounce.Disabled: {"The recipient's mailbox is out of use.",
			"受信者のメールボックスは現在使われていません。"},
		bounce.MailboxFull: {"The recipient's mailbox is full.",
			"受信者のメールボックスがいっぱいです。"},
		bounce.Restricted: {"The recipient takes mail from some senders only, and you are not among them.",
			"受信者は特定の送信者からのメールだけを受け取る設定にしています。"},
		bounce.UserRate: {"The recipient gets too much mail just now.",
			"受信者に届くメールが一時的に多すぎます。"},
		bounce.UnknownDomain: {"The domain %s was not found, or has no mail server. Please check how the address is written.",
			"ドメイン %s が見つからないか、メールサーバーがありません。アドレスの書き方を確かめてください。"},
		bounce.NoMail: {"The domain %s takes no mail.",
			"ドメイン %s はメールを受け取りません。"},
		bounce.RelayDenied: {"The mail server that was reached is not responsible for %s.",
			"接続先のメールサーバーは %s 宛のメールを扱っていません。"},
		bounce.Unreachable: {"The mail server of %s could not be reached: it refused the connection or did not answer.",
			"%s のメールサーバーにつながりませんでした（接続の拒否、または応答なし）。"},
		bounce.DNSFailure: {"The domain name system gave no answer about %s.",
			"%s について DNS から応答がありませんでした。"},
		bounce.Broken: {"The connection to the mail server of %s broke.",
			"%s のメールサーバーとの接続が途中で切れました。"},
		bounce.Busy: {"The receiving server does not take the message just now.",
			"受信側のサーバーが、現在このメールを受け取れない状態です。"},
		bounce.HostFull: {"The receiving server has no space left.",
			"受信側のサーバーの空き容量が足りません。"},
		bounce.HostFault: {"The receiving server is out of order.",
			"受信側のサーバーに障害があります。"},
		bounce.Loop: {"The message went round in a circle between servers.",
			"メールがサーバーの間を循環していました。"},
		bounce.Expired: {"Delivery was tried for as long as we keep trying.",
			"再送の期限まで配信を試みましたが、届けられませんでした。"},
		bounce.NoTLS: {"The connection to %s could not be secured (TLS) as it must be, so the message was not sent over it.",
			"%s への接続を必要な方法で保護（TLS）できなかったため、送信しませんでした。"},
		bounce.NeedsTLS: {"The receiving server takes mail over secured connections (TLS) only.",
			"受信側のサーバーは、保護された接続（TLS）だけを受け付けています。"},
		bounce.NeedsAuth: {"The receiving server wants the sending server to log in.",
			"受信側のサーバーが、送信側のサーバーに認証を求めています。"},
		bounce.TooLarge: {"The message is too large for the receiving server. Please send it with smaller attachments.",
			"メールが大きすぎるため、受信側のサーバーが受け取りませんでした。添付ファイルを小さくして送り直してください。"},
		bounce.TooMany: {"The message has too many recipients for the receiving server.",
			"宛先の数が、受信側のサーバーの上限を超えています。"},
		bounce.Unsupported: {"The receiving server cannot take such content or addresses, as ones that are not ASCII (SMTPUTF8).",
			"受信側のサーバーは、この形式の内容やアドレス（ASCII 以外の文字を含む SMTPUTF8 など）に対応していません。"},
		bounce.Malformed: {"The receiving server finds faults in the form of the message.",
			"受信側のサーバーが、メールの形式に誤りがあると判断しました。"},
		bounce.Virus: {"The receiving server finds the message, or an attachment of it, dangerous.",
			"受信側のサーバーが、このメールまたは添付ファイルを危険なものと判断しました。"},
		bounce.Spam: {"The receiving server took the message for spam.",
			"受信側のサーバーが、このメールを迷惑メールと判断しました。"},
		bounce.Unproven: {"The receiving server could not verify the sender (SPF, DKIM or DMARC).",
			"受信側のサーバーが送信者を確認できませんでした（SPF、DKIM、DMARC）。"},
		bounce.BadSender: {"The receiving server does not take the sender's address.",
			"受信側のサーバーが、送信者のアドレスを受け付けませんでした。"},
		bounce.NoReverse: {"The receiving server wants the sending server's address to have a fitting name (reverse DNS).",
			"受信側のサーバーが、送信側のサーバーのアドレスの逆引き（DNS）を確認できませんでした。"},
		bounce.Blocklisted: {"The sending server, or the sender's domain, is on a list of senders that are not trusted.",
			"送信側のサーバーまたは送信者のドメインが、ブロックリストに登録されています。"},
		bounce.Reputation: {"The receiving server does not trust where the message comes from.",
			"受信側のサーバーが、送信元を信用しませんでした。"},
		bounce.RateLimited: {"The receiving server gets too much mail from here just now.",
			"こちらからのメールが一時的に多すぎると、受信側のサーバーが判断しました。"},
		bounce.Greylisted: {"The receiving server wants to be asked again later.",
			"受信側のサーバーが、時間をおいた再送を求めています。"},
		bounce.Policy: {"The receiving server does not permit this message for this recipient.",
			"受信側のサーバーの方針により、この宛先へのメールは許可されませんでした。"},
		bounce.Protocol: {"The receiving server did not understand what it was sent.",
			"受信側のサーバーとの通信の手順が合いませんでした。"},
		bounce.Other: {"The receiving server refused the message.",
			"受信側のサーバーがメールを拒否しました。"},
	}
}

// ours is said where no other server was asked.
func ours() sentence {
	return sentence{"The message could not be delivered here.", "このサーバーで配信できませんでした。"}
}

// reasonOf finds the reason. A delivery that was given up because of its age has
// one in what was said last.
func reasonOf(r dsn.Recipient) bounce.Reason {
	if isExpired(r.Status) {
		return bounce.Classify("", r.Diagnostic)
	}
	return bounce.Classify(r.Status, r.Diagnostic)
}

func isExpired(status string) bool { return strings.HasSuffix(status, ".4.7") }

// Doubted says whether a host would not have a message for what it is or where it
// comes from. A stranger as its sender may be forged, and is not told.
func Doubted(r dsn.Recipient) bool { return reasonOf(r).Distrust() }

// why is what a person is told of a failure: what it means, and what can be done
// where the host is one that we know.
func why(r dsn.Recipient) []sentence {
	var all []sentence
	reason := reasonOf(r)
	if isExpired(r.Status) && r.Action == dsn.Failed {
		all = append(all, sentences()[bounce.Expired])
		if reason == bounce.Other || reason == bounce.Busy {
			return all
		}
	}
	s, ok := sentences()[reason]
	if (reason == bounce.Other || reason == bounce.HostFault) && r.RemoteMTA == "" && r.Action == dsn.Failed {
		s = ours()
	} else if !ok {
		s = sentences()[bounce.Busy]
	}
	all = append(all, s)
	if reason == bounce.MailboxFull && r.Action == dsn.Failed {
		all = append(all, sentence{"Please try again later, or reach them in another way.", "しばらくしてから送り直すか、ほかの方法で連絡してください。"})
	}
	if a, ok := advise(reason, r); ok {
		all = append(all, a)
	}
	return all
}

// advice is what can be done about a refusal of one provider. It holds where the
// reason is among reasons, and the host or the recipient's domain is among at, or
// one of words stands in what was said.
type advice struct {
	reasons []bounce.Reason
	at      []string // domains; their hosts count too
	words   []string // in lower case
	says    sentence
}

// advices are few, and of what is known for sure.
func advices() []advice {
	unwanted := []bounce.Reason{bounce.Spam, bounce.Reputation, bounce.RateLimited, bounce.Blocklisted, bounce.Policy}
	return []advice{
		{[]bounce.Reason{bounce.Blocklisted}, nil, []string{"spamhaus"}, sentence{
			"For the administrator: https://check.spamhaus.org/ tells why the address is listed, and takes requests to remove it.",
			"管理者の方へ: 登録の理由の確認と削除の申請は https://check.spamhaus.org/ でできます。"}},
		{[]bounce.Reason{bounce.Blocklisted}, nil, []string{"spamcop"}, sentence{
			"For the administrator: https://www.spamcop.net/bl.shtml tells why the address is listed; it is removed by itself when the reports end.",
			"管理者の方へ: 登録の理由は https://www.spamcop.net/bl.shtml で確認できます。通報がなくなれば自動的に解除されます。"}},
		{[]bounce.Reason{bounce.Blocklisted}, nil, []string{"barracuda"}, sentence{
			"For the administrator: https://www.barracudacentral.org/lookups tells of the address, and takes requests to remove it.",
			"管理者の方へ: 確認と削除の申請は https://www.barracudacentral.org/lookups でできます。"}},
		{[]bounce.Reason{bounce.Unproven, bounce.NoReverse}, []string{"google.com", "gmail.com"}, nil, sentence{
			"Gmail takes mail only where SPF or DKIM proves its sender and the server has a reverse name. For the administrator: https://support.google.com/mail/answer/81126",
			"Gmail は、SPF または DKIM で送信者を確認でき、逆引きのあるサーバーからのメールだけを受け取ります。管理者の方へ: https://support.google.com/mail/answer/81126"}},
		{unwanted, []string{"google.com", "gmail.com"}, nil, sentence{
			"For the administrator: what Gmail expects of senders stands at https://support.google.com/mail/answer/81126",
			"管理者の方へ: Gmail の送信者向けの要件は https://support.google.com/mail/answer/81126 にあります。"}},
		{[]bounce.Reason{bounce.Blocklisted}, []string{"protection.outlook.com"}, nil, sentence{
			"For the administrator: Microsoft takes requests to remove an address at https://sender.office.com/",
			"管理者の方へ: Microsoft への解除の申請は https://sender.office.com/ でできます。"}},
		{unwanted, []string{"outlook.com", "hotmail.com"}, nil, sentence{
			"For the administrator: what Outlook.com expects of senders stands at https://sendersupport.olc.protection.outlook.com/",
			"管理者の方へ: Outlook.com の送信者向けの情報は https://sendersupport.olc.protection.outlook.com/ にあります。"}},
		{append([]bounce.Reason{bounce.Unproven}, unwanted...), []string{"yahoodns.net", "yahoo.com", "aol.com"}, nil, sentence{
			"For the administrator: what Yahoo expects of senders stands at https://senders.yahooinc.com/",
			"管理者の方へ: Yahoo の送信者向けの要件は https://senders.yahooinc.com/ にあります。"}},
		{[]bounce.Reason{bounce.UnknownUser, bounce.Restricted, bounce.Policy, bounce.Other}, carriers(), nil, sentence{
			"Mobile carriers in Japan answer so, too, where the recipient's own settings keep mail out. If the address is right, please ask the recipient to permit mail from your domain.",
			"携帯電話会社のメールでは、受信者の迷惑メール対策の設定で拒否された場合にも、同じ応答が返ることがあります。アドレスが正しい場合は、受信者にドメイン指定受信の設定を依頼してください。"}},
	}
}

// carriers are the domains of docomo, au and SoftBank.
func carriers() []string {
	return []string{"docomo.ne.jp", "ezweb.ne.jp", "au.com", "softbank.ne.jp", "i.softbank.jp", "vodafone.ne.jp"}
}

func advise(reason bounce.Reason, r dsn.Recipient) (sentence, bool) {
	host, _ := mail.ParseDomain(r.RemoteMTA)
	said := strings.ToLower(r.Diagnostic)
	for _, a := range advices() {
		if !slices.Contains(a.reasons, reason) {
			continue
		}
		if slices.ContainsFunc(a.at, func(d string) bool { return within(host, d) || within(r.Final.Domain, d) }) ||
			slices.ContainsFunc(a.words, func(w string) bool { return strings.Contains(said, w) }) {
			return a.says, true
		}
	}
	return sentence{}, false
}

// within says whether d is a domain or below it.
func within(d mail.Domain, of string) bool {
	return string(d) == of || strings.HasSuffix(string(d), "."+of)
}
