package bounce

import "strings"

// wording is what hosts say for one reason, in lower case.
type wording struct {
	reason Reason
	texts  []string
}

// sureWords are wordings that have one meaning, whatever code stands before
// them. The first that is found counts.
func sureWords() []wording {
	return []wording{
		{UnknownUser, []string{"recipientnotfound", "recipient address rejected: access denied"}}, // Exchange
		{Loop, []string{"mail loop", "routing loop", "loops back to myself", "too many hops", "too many received", "goes in circles", "hop count exceeded", "mail forwarding loop"}},
		{Greylisted, []string{"greylist", "greylisted", "greylisting", "graylist", "graylisted", "greylisting in action", "grey listed", "grey-listed"}},
		// Gmail says the like of a recipient, not of us.
		{UserRate, []string{"user you are trying to contact is receiving mail too quickly", "user you are trying to contact is receiving mail at a rate", "account receiving too much mail", "recipient is receiving mail too quickly"}},
		{Unproven, []string{
			"unauthenticated email", "mail is unauthenticated", "this message does not have authentication information", "fails to pass authentication checks",
			"does not pass authentication checks", "dmarc", "spf check failed", "spf fail", "failed spf", "spf validation failed", "dkim signature", "dkim check failed",
			"rejected due to sender's dmarc", "not authorized by spf", "sender policy framework",
		}},
		{NoReverse, []string{
			"ptr record", "reverse dns", "rdns", "no reverse", "reverse hostname", "reverse lookup", "cannot find your hostname", "cannot find your reverse hostname",
			"client host rejected: cannot find", "fcrdns", "ptr resource",
		}},
		{Blocklisted, []string{
			"spamhaus", "spamcop", "barracudacentral", "sorbs", "blacklist", "blacklisted", "blocklist", "blocklisted", "block list", "dnsbl", "rbl", "listed at", "listed by", "listed in",
			"client host blocked", "part of their network is on our block list", "banned sending ip", "proofpoint dynamic reputation", "cloudmark sender intelligence", "uceprotect",
			"access denied, banned", "ip address is blocked", "blocked using",
		}},
		{RateLimited, []string{
			"unusual rate of unsolicited", "rate of mail", "rate limit", "rate limited", "ratelimit", "rate-limited", "rate limits", "too many connections", "too many messages", "too many emails", "sending too fast",
			"throttled", "throttling", "exceeded the rate", "unexpected volume", "concurrent connections", "too much mail", "too many concurrent", "limit on the number of concurrent",
			"[tss04]", "[ts01]", "[ts02]",
		}},
		{Reputation, []string{
			"low reputation", "bad reputation", "poor reputation", "very low reputation", "sender reputation", "ip reputation", "domain reputation", "reputation of the sending", "user complaints", "senderscore",
		}},
		{MailboxFull, []string{
			"over quota", "overquota", "quota exceeded", "exceeded storage", "exceeds quota", "exceeded his quota", "exceeded their quota", "mailbox full", "mailbox is full", "inbox is full", "inbox full", "out of storage space",
			"exceeded its storage", "mailbox size limit", "mailbox has exceeded", "not enough storage space", "quota violation", "user is over", "storage quota", "full mailbox",
			"メールボックスがいっぱい", "容量を超え",
		}},
		{Disabled, []string{
			"account is disabled", "account disabled", "mailbox disabled", "mailbox is disabled", "account has been disabled", "account is inactive", "account inactive", "account that you tried to reach is inactive",
			"account that you tried to reach is disabled", "mailbox is inactive", "mailbox unavailable or not local: disabled", "account has been suspended", "account is suspended", "account suspended", "user disabled", "user is inactive", "address is disabled", "no longer available", "no longer active", "no longer in use",
			"no longer valid", "account closed", "account has been closed", "mailbox is deactivated", "deactivated",
		}},
		{Moved, []string{"has moved to", "user has moved", "mailbox has moved", "please use the new address", "address has changed", "551 user not local"}},
		{NoMail, []string{"null mx", "nullmx", "does not accept mail", "domain takes no mail", "does not accept any mail"}},
		{Virus, []string{"virus", "malware", "infected", "attachment type", "blocked attachment", "forbidden attachment", "executable", "phishing", "dangerous"}},
		{Unsupported, []string{"smtputf8", "8bitmime", "binarymime", "eai not supported", "internationalized"}},
		{NeedsTLS, []string{"must issue a starttls", "must issue starttls", "starttls first", "starttls is required", "tls required", "requires tls", "encryption required", "session encryption is required"}},
		{NeedsAuth, []string{"authentication required", "authentication is required", "must authenticate", "please authenticate", "authentication failed", "smtp auth", "auth required", "authentication credentials"}},
		{RelayDenied, []string{
			"relay access denied", "relaying denied", "relay denied", "unable to relay", "not permitted to relay", "relay not permitted", "relaying not allowed", "we do not relay", "relaying is prohibited", "isn't in my list of allowed rcpthosts",
			"no relaying", "not a relay", "relay not allowed", "hop denied",
		}},
	}
}

// looseWords are wordings that count where the enhanced code tells nothing.
func looseWords() []wording {
	return []wording{
		{UnknownUser, []string{
			"user unknown", "unknown user", "no such user", "no such recipient", "no such mailbox", "no such address", "no such person", "recipient unknown", "unknown recipient", "unknown mailbox", "unknown address", "unknown account", "unknown local part", "unknown local-part",
			"user not found", "recipient not found", "mailbox not found", "address not found", "account not found", "user doesn't exist", "user does not exist", "address does not exist", "mailbox does not exist", "recipient does not exist", "account does not exist",
			"does not exist", "doesn't exist", "no mailbox here by that name", "no mailbox here", "no mailbox", "invalid recipient", "invalid mailbox", "invalid user", "not a valid user", "not a valid mailbox", "not a known user", "user doesn't have a", "doesn't have an account", "recipientnotfound",
			"recipient address rejected: undeliverable", "unrouteable address", "unroutable address", "not our customer", "address unknown", "mailbox unavailable", "no user", "not listed in", "delivery to the following recipient failed: nosuchuser",
			"宛先不明", "存在しません", "見つかりません", "ユーザーが見つかりません",
		}},
		{UnknownDomain, []string{"host or domain name not found", "host not found", "domain not found", "no such domain", "domain does not exist", "unknown domain", "name or service not known", "nxdomain", "no mx", "unrouteable mail domain", "hostname could not be resolved", "couldn't find any host named", "host unknown", "no mail host", "was not found in dns"}},
		{Restricted, []string{"not authorized to send to", "restricted to authenticated", "only accepts mail from", "does not accept mail from", "not permitted to send to", "delivery restriction", "recipients policy", "resolver.rst", "sender not allowed to send to", "accepts mail only from", "recipient only accepts"}},
		{TooLarge, []string{"too large", "too big", "size limit", "maximum size", "message size exceeds", "exceeds size", "exceeds the maximum", "exceeds the size", "exceeded the size", "message length exceeds", "larger than"}},
		{TooMany, []string{"too many recipients", "recipient limit", "too many rcpt"}},
		{Spam, []string{"spam", "unsolicited", "junk mail", "bulk mail", "looks like", "message content rejected", "content rejected", "content filter", "message rejected due to content", "blocked for spam", "suspicious", "spamassassin", "[ph01]", "[cs01]", "message contained unsafe content", "迷惑メール"}},
		{BadSender, []string{"sender address rejected", "sender rejected", "sender domain", "sender verify failed", "sender unknown", "unable to verify sender", "invalid sender", "domain of sender address", "sender address is invalid", "mail from address", "return-path", "sender denied"}},
		{HostFull, []string{"insufficient system storage", "insufficient system resources", "insufficient resources", "out of memory", "no space left", "disk full", "queue file write error", "insufficient disk space", "insufficient storage"}},
		{NoTLS, []string{"certificate", "tls handshake", "handshake failure", "tls"}},
		{DNSFailure, []string{"name service error", "dns failure", "dns lookup failed", "temporary dns", "domain name system", "resolver failure", "servfail"}},
		{Unreachable, []string{"connection refused", "connection timed out", "connect timeout", "no route to host", "network is unreachable", "network unreachable", "host is unreachable", "host unreachable", "could not be reached", "i/o timeout", "unable to connect", "failed to connect", "couldn't connect", "wasn't able to establish", "all hosts unreachable"}},
		{Broken, []string{"lost connection", "connection lost", "connection reset", "connection broke", "broken pipe", "connection died", "connection dropped", "conversation with", "read timeout", "unexpected eof", "timed out while"}},
		{Expired, []string{"retry timeout exceeded", "retry time not reached", "in the queue too long", "delivery time expired", "delivery expired", "message expired", "too old", "giving up on", "queue too long"}},
		{Malformed, []string{"rfc 5322", "rfc5322", "rfc 2822", "rfc 822", "missing header", "header", "bare lf", "bare linefeed", "line too long", "line length", "malformed", "invalid message", "date field", "message-id", "from: header", "multiple from", "non-ascii", "nul"}},
		{BadAddress, []string{"bad address", "bad recipient address", "malformed address", "address syntax", "syntax error in parameters", "invalid address", "ambiguous", "bad destination", "illegal address", "fully-qualified", "fully qualified"}},
		{Policy, []string{"policy", "not allowed", "not permitted", "prohibited", "access denied", "blocked", "administratively denied", "administrative prohibition", "denied", "not accepted", "refused by", "security reasons", "transaction failed"}},
		{HostFault, []string{"internal error", "system error", "configuration error", "misconfigured", "local error", "server error", "internal server", "queue error", "backend", "local configuration"}},
		{Busy, []string{"try again", "try later", "temporarily", "temporary", "busy", "not available", "unavailable", "service closing", "deferred", "shutting down", "overloaded", "later"}},
		{Protocol, []string{"command not recognized", "unrecognized command", "bad sequence", "command unrecognized", "syntax error", "unknown command", "not implemented"}},
	}
}

// byStatus knows the subjects and details that say something (RFC 3463, and the
// registry that RFC 5248 began). Hosts write x.0.0 and 5.7.1 for anything.
func byStatus(detail string) Reason {
	switch detail {
	case "1.1":
		return UnknownUser
	case "1.3", "1.4":
		return BadAddress
	case "1.2":
		return UnknownDomain
	case "1.6":
		return Moved
	case "1.7", "1.8", "7.27":
		return BadSender
	case "1.10":
		return NoMail
	case "2.1":
		return Disabled
	case "2.2":
		return MailboxFull
	case "2.121", "2.122": // Exchange
		return UserRate
	case "2.3", "3.4":
		return TooLarge
	case "3.1":
		return HostFull
	case "3.2":
		return Busy
	case "4.1":
		return Unreachable
	case "4.2":
		return Broken
	case "4.3":
		return DNSFailure
	case "4.4":
		return UnknownDomain
	case "4.6":
		return Loop
	case "4.7":
		return Expired
	case "5.3":
		return TooMany
	case "6.7", "6.1", "6.3", "6.9":
		return Unsupported
	case "7.4", "7.5", "7.10", "7.30":
		return NoTLS
	case "7.11":
		return NeedsTLS
	case "7.8", "7.9", "7.57":
		return NeedsAuth
	case "7.20", "7.21", "7.22", "7.23", "7.24", "7.26", "7.29", "7.509", "7.515":
		return Unproven
	case "7.25":
		return NoReverse
	case "7.28":
		return RateLimited
	case "7.511", "7.606": // Exchange Online
		return Blocklisted
	}
	return None
}

// bySubject is what is left of an enhanced code if no words are known.
func bySubject(detail string) Reason {
	subject, _, _ := strings.Cut(detail, ".")
	switch subject {
	case "1":
		return UnknownUser
	case "3":
		return HostFault
	case "4":
		return Unreachable
	case "5":
		return Protocol
	case "6":
		return Malformed
	case "7":
		return Policy
	}
	return None
}

// byCode is what a code alone says (RFC 5321 §4.2.3).
func byCode(code string) Reason {
	switch code {
	case "":
		return Other
	case "421", "450", "451":
		return Busy
	case "452":
		return HostFull
	case "500", "501", "502", "503", "504":
		return Protocol
	case "530", "534", "535":
		return NeedsAuth
	case "551":
		return Moved
	case "552":
		return MailboxFull
	case "553":
		return BadAddress
	case "556":
		return NoMail
	}
	if code[0] == '4' {
		return Busy
	}
	return Other
}
