package bounce

import (
	"regexp"
	"testing"
)

// TestClassify holds replies as hosts on the net give them.
func TestClassify(t *testing.T) {
	cases := []struct {
		status, reply string
		want          Reason
	}{
		{"", "250 2.0.0 OK", None}, {"2.1.5", "", None}, {"", "", Other}, {"", "554", Other}, {"", "550 mailbox unavailable", UnknownUser},
		// Gmail
		{"", "550-5.1.1 The email account that you tried to reach does not exist. Please try 550-5.1.1 double-checking the recipient's email address for typos or unnecessary spaces.", UnknownUser},
		{"", "550 5.2.1 The email account that you tried to reach is inactive. For more information, go to https://support.google.com/mail/?p=DisabledUser", Disabled},
		{"", "452 4.2.2 The recipient's inbox is out of storage space. Please direct the recipient to https://support.google.com/mail/?p=OverQuotaTemp", MailboxFull},
		{"", "552 5.2.2 The email account that you tried to reach is over quota.", MailboxFull},
		{"", "450 4.2.1 The user you are trying to contact is receiving mail too quickly. Please resend your message at a later time.", UserRate},
		{"", "550 5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM.", Unproven},
		{"", "550 5.7.26 Unauthenticated email from example.jp is not accepted due to domain's DMARC policy.", Unproven},
		{"", "550 5.7.25 The IP address sending this message does not have a PTR record setup, or the corresponding forward DNS entry does not point to the sending IP.", NoReverse},
		{"", "421 4.7.28 Our system has detected an unusual rate of unsolicited mail originating from your IP address.", RateLimited},
		{"", "550 5.7.1 Our system has detected that this message is likely unsolicited mail. To reduce the amount of spam sent to Gmail, this message has been blocked.", Spam},
		{"", "550 5.7.1 Our system has detected that this message is likely suspicious due to the very low reputation of the sending IP address.", Reputation},
		{"", "552 5.7.0 This message was blocked because its content presents a potential security issue; executable attachments are not allowed", Virus},
		{"", "552 5.3.4 Your message exceeded Google's message size limits.", TooLarge},
		{"", "421 4.7.0 Try again later, closing connection.", Busy},
		// Microsoft
		{"", "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", UnknownUser},
		{"", "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140).", Blocklisted},
		{"", "550 5.7.606 Access denied, banned sending IP [192.0.2.1]. To request removal from this list please visit https://sender.office.com/", Blocklisted},
		{"", "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.", RateLimited},
		{"", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", UnknownUser},
		{"", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found", UnknownUser},
		{"", "550 5.4.1 Recipient address rejected: Access denied. [AMS.protection.outlook.com]", UnknownUser},
		{"", "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required", NeedsAuth},
		{"", "550 5.7.129 RESOLVER.RST.SenderNotInAllowedSenders; not allowed", Restricted},
		{"", "550 5.7.515 Access denied, sending domain example.jp does not meet the required authentication level.", Unproven},
		{"", "552 5.2.2 STOREDRV.Deliver; mailbox full", MailboxFull}, {"", "550 5.2.2 mailbox quota exceeded", MailboxFull},
		{"", "550 5.7.57 Client not authenticated to send mail.", NeedsAuth},
		{"", "550 5.4.14 Hop count exceeded - possible mail loop ATTR34", Loop},
		// Yahoo
		{"", "554 delivery error: dd This user doesn't have a yahoo.com account (x@yahoo.com) [-5]", UnknownUser},
		{"", "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1", RateLimited},
		{"", "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list", Blocklisted},
		{"", "554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes", NeedsAuth},
		{"", "554 Message not allowed - [PH01] Email not accepted for policy reasons.", Spam},
		// Apple, others of the large
		{"", "554 5.7.1 [CS01] Message rejected due to local policy.", Spam}, {"", "550 5.1.1 <x@icloud.com>: user does not exist", UnknownUser},
		{"", "554-gmx.net (mxgmx101) Nemesis ESMTP Service not available 554-No SMTP service 554 IP address is blocked: bad DNS PTR resource record.", NoReverse},
		// Japan
		{"", "550 Unknown user taro@docomo.ne.jp", UnknownUser}, {"", "550 <taro@ezweb.ne.jp>: User unknown", UnknownUser},
		{"", "550 5.1.1 <taro@au.com>... User Unknown", UnknownUser}, {"", "550 Invalid recipient: <taro@softbank.ne.jp>", UnknownUser},
		{"", "550 5.1.1 宛先が見つかりません", UnknownUser}, {"5.0.0", "宛先不明です", UnknownUser},
		// Programs
		{"", "550 5.1.1 <x@example.org>: Recipient address rejected: User unknown in local recipient table", UnknownUser},
		{"", "554 5.7.1 <x@example.org>: Relay access denied", RelayDenied}, {"", "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", Blocklisted},
		{"", "450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.1]", NoReverse}, {"", "450 4.2.0 <x@example.org>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/", Greylisted},
		{"", "451 4.7.1 Greylisting in action, please come back later", Greylisted}, {"", "550 5.1.8 <x@nowhere>: Sender address rejected: Domain not found", BadSender},
		{"", "450 4.1.8 <a@b.test>: Sender address rejected: Domain not found", BadSender}, {"", "552 5.3.4 Message size exceeds fixed limit", TooLarge},
		{"", "554 5.4.6 Too many hops", Loop}, {"", "452 4.3.1 Insufficient system storage", HostFull}, {"", "452 4.5.3 Error: too many recipients", TooMany},
		{"", "530 5.7.0 Must issue a STARTTLS command first", NeedsTLS}, {"", "421 4.7.0 mx.example.org Error: too many connections from 192.0.2.1", RateLimited},
		{"", "550 Unrouteable address", UnknownUser}, {"", "550-Verification failed for <a@b.test> 550-No Such User Here 550 Sender verify failed", UnknownUser},
		{"", "550 This message was classified as SPAM and may not be delivered", Spam}, {"", "550 Message contains a virus: Eicar-Test-Signature", Virus},
		{"", "556 5.1.10 domain does not accept mail (nullMX)", NoMail}, {"", "511 sorry, no mailbox here by that name. (#5.1.1 - chkuser)", UnknownUser},
		{"", "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", RelayDenied}, {"", "550 5.7.1 SPF check failed for example.jp", Unproven},
		{"", "550 5.7.1 Command rejected", Policy}, {"", "551 user not local; please try <y@example.net>", Moved}, {"", "553 5.6.7 address needs SMTPUTF8", Unsupported},
		{"", "550 5.6.0 Lone CR or LF in headers (see RFC2822 section 2.2)", Malformed}, {"", "500 5.5.2 unrecognized command", Protocol},
		{"", "550 5.2.1 mailbox disabled", Disabled}, {"", "550 Account has been suspended", Disabled}, {"", "535 5.7.8 Error: authentication failed", NeedsAuth},
		// Ours
		{"", "451 4.4.1 mx.example.org [192.0.2.9:25]: connection refused", Unreachable}, {"5.4.7", "451 4.4.1 mx: connection refused", Unreachable},
		{"", "550 5.7.10 the message must go over TLS, and mx does not prove to be itself: x509", NoTLS}, {"", "451 4.4.2 the connection broke: EOF", Broken},
		{"4.4.3", "", DNSFailure}, {"5.1.2", "", UnknownDomain}, {"5.4.7", "", Expired}, {"4.0.0", "", Other},
	}
	for _, c := range cases {
		if got := Classify(c.status, c.reply); got != c.want {
			t.Errorf("%q, %q: %s, want %s", c.status, c.reply, got, c.want)
		}
	}
}

// TestAll: each reason has one word of its own, and stays as it is.
func TestAll(t *testing.T) {
	seen := map[Reason]bool{}
	for _, r := range All() {
		if seen[r] || !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(string(r)) {
			t.Errorf("%q", r)
		}
		seen[r] = true
	}
	for _, table := range [][]wording{sureWords(), looseWords()} {
		for _, w := range table {
			if !seen[w.reason] {
				t.Errorf("%q is not among all", w.reason)
			}
		}
	}
	if !UnknownUser.Lasting() || Spam.Lasting() || !Spam.Distrust() || UnknownUser.Distrust() {
		t.Error("what reasons are for")
	}
}

func FuzzClassify(f *testing.F) {
	f.Add("5.1.1", "550 5.1.1 no such user")
	f.Add("", "550-5.7.1 a 550 5.7.1 b")
	f.Add("x", "2")
	known := map[Reason]bool{None: true}
	for _, r := range All() {
		known[r] = true
	}
	f.Fuzz(func(t *testing.T, status, reply string) {
		if r := Classify(status, reply); !known[r] {
			t.Errorf("%q, %q: %q", status, reply, r)
		}
	})
}
