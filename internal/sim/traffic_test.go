package sim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/flow/route"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/directory"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// ourDomains are ours; the second puts on a list whom nothing reaches.
var (
	ourDomains = [...]mail.Domain{"home.example", "list.example"}
	ourUsers   = [...]string{"ann", "bo", "cy", "di"}
	aliases    = map[string][]mail.Address{
		"fan":  {{Local: "u1", Domain: "d20.example"}},
		"team": {{Local: "u2", Domain: "d21.example"}, {Local: "u3", Domain: "d400.example"}, {Local: "bo", Domain: ourDomains[0]}},
	}
)

// smartHosts are those that we may use.
func (w *world) smartHosts() []route.SmartHost {
	return []route.SmartHost{
		{Addr: "mx1.smart.example:587", Senders: []string{"di@home.example"}, TLS: route.Required},
		{Addr: "mx1.smart.example:587", Fallback: true, TLS: route.Required},
	}
}

// plans draws what is sent over so many days: single letters, letters to many,
// and many letters at once.
func (w *world) plans(days, letters int, accounts []directory.Account) (all []change, of map[int]*letter) {
	end := time.Duration(days) * day
	of = map[int]*letter{}
	add := func(at time.Duration, l *letter) {
		of[len(all)] = l
		all = append(all, change{at: at})
	}
	for range letters {
		add(time.Duration(w.rnd.Int64N(int64(end))), w.single(accounts))
	}
	for range 2 {
		at, from, s := time.Duration(w.rnd.Int64N(int64(end))), accounts[w.rnd.IntN(len(accounts))], w.sites[w.rnd.IntN(providers)]
		for n := range letters / 8 {
			l := &letter{from: from.Address, many: true}
			l.add(w.user(s.domains[n%min(3, len(s.domains))]), false, 0) // so that connections serve several
			add(at+time.Duration(n)*50*time.Millisecond, l)
		}
		polite := &letter{from: accounts[(slices.Index(accounts, from)+1)%len(accounts)].Address, behind: from.Address}
		polite.add(mail.Address{Local: "polite", Domain: mail.Domain(s.domains[0].name)}, false, 0)
		add(at+time.Duration(letters/8+2)*50*time.Millisecond, polite)
	}
	l := &letter{from: accounts[0].Address, many: true}
	for range 120 {
		l.addOnce(w.user(w.domains[w.rnd.IntN(len(w.domains))]), 0)
	}
	add(time.Duration(w.rnd.Int64N(int64(end))), l)
	return all, of
}

func (l *letter) addOnce(to mail.Address, n mail.Notify) {
	if l.copy(to) == nil {
		l.add(to, false, n)
	}
}

// user is somebody elsewhere; a few do not exist, or have no room.
func (w *world) user(d *domain) mail.Address {
	local := fmt.Sprintf("u%d", w.rnd.IntN(1000))
	switch w.rnd.IntN(40) {
	case 0:
		local, d = "nobody", w.domains[w.rnd.IntN(8)]
	case 1:
		local = fmt.Sprintf("full%d", w.rnd.IntN(50))
	case 2:
		local = fmt.Sprintf("ü%d", w.rnd.IntN(50))
	}
	return mail.Address{Local: local, Domain: mail.Domain(d.name)}
}

// single draws one letter.
func (w *world) single(accounts []directory.Account) *letter {
	dice := func(percent int) bool { return w.rnd.IntN(100) < percent }
	if dice(10) {
		return w.strange()
	}
	l := &letter{from: accounts[w.rnd.IntN(len(accounts))].Address, tls: dice(5), lax: dice(5)}
	var notify mail.Notify
	if dice(25) {
		notify = []mail.Notify{mail.NotifyNever, mail.NotifySuccess, mail.NotifyFailure, mail.NotifyDelay, mail.NotifyFailure | mail.NotifyDelay,
			mail.NotifySuccess | mail.NotifyFailure}[w.rnd.IntN(6)]
	}
	for range 1 + w.rnd.IntN(3) {
		l.addOnce(w.user(w.domains[w.rnd.IntN(len(w.domains))]), notify)
	}
	if dice(15) {
		l.add(accounts[w.rnd.IntN(len(accounts))].Address, true, notify)
	}
	switch {
	case dice(4):
		l.from, l.tls = mail.Address{}, false // a report is not lost for that (RFC 8689 §5)
	case dice(4):
		l.by = mail.DeliverBy{At: time.Time{}.Add(time.Hour + time.Duration(w.rnd.Int64N(int64(2*day)))), Return: dice(50)}
	case dice(4):
		l.release = time.Time{}.Add(time.Duration(w.rnd.Int64N(int64(day))))
	}
	return l
}

// strange is a letter of a stranger to an alias of ours, which sends it on.
func (w *world) strange() *letter {
	l := &letter{stranger: true, from: w.user(w.domains[w.rnd.IntN(len(w.domains))])}
	if w.rnd.IntN(5) == 0 {
		l.from = mail.Address{}
	}
	l.alias = []string{"fan", "team"}[w.rnd.IntN(2)]
	for _, to := range aliases[l.alias] {
		l.add(to, to.Domain == ourDomains[0], 0)
	}
	return l
}

// send has a letter come in. It says false if nobody was there to take it.
func (u *us) send(b *book, l *letter, accounts []directory.Account) bool {
	if u.db.dead.Load() {
		return false
	}
	ctx := context.Background()
	now := time.Now()
	peer := &mail.Peer{Addr: netip.MustParseAddrPort("198.51.100.7:4000"), Helo: "client.example", ESMTP: true, Ref: mail.NewArrivalID()}
	o := smtp.MailOptions{EightBit: true, RequireTLS: l.tls, UTF8: l.isUTF8()}
	if l.by != (mail.DeliverBy{}) {
		after := l.by.At.Sub(time.Time{})
		l.by.At = now.Add(after)
		o.By = smtp.By{Mode: 'N', Seconds: int64(after.Seconds())}
		if l.by.Return {
			o.By.Mode = 'R'
		}
	}
	if !l.release.IsZero() {
		l.release = now.Add(l.release.Sub(time.Time{}))
		o.HoldUntil = l.release
	}
	b.add(l)
	l.id, l.at = peer.Ref, now
	b.mu.Lock()
	b.byID[l.id] = l
	b.mu.Unlock()
	replies := u.submitOrReceive(ctx, b, l, peer, o, accounts)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case len(replies) > 0 && replies[0].OK():
		l.accepted = true
	default:
		l.doubtful = true
		if !u.db.dead.Load() && !b.lossy && len(l.copies) > 0 {
			b.wrongLocked("%s was refused: %v", l.token, replies)
		}
	}
	return true
}

func (l *letter) isUTF8() bool {
	for _, c := range l.copies {
		if !c.to.IsASCII() {
			return true
		}
	}
	return !l.from.IsASCII()
}

func (u *us) submitOrReceive(ctx context.Context, b *book, l *letter, peer *mail.Peer, o smtp.MailOptions, accounts []directory.Account) []smtp.Reply {
	text := strings.NewReader(l.text(accounts[0].Address))
	if l.stranger {
		t, reply := u.receive.Begin(ctx, peer, l.from, o)
		if t == nil {
			return []smtp.Reply{reply}
		}
		if reply := t.Rcpt(ctx, mail.Address{Local: l.alias, Domain: ourDomains[0]}, smtp.RcptOptions{}); !reply.OK() {
			return []smtp.Reply{reply}
		}
		return t.Data(ctx, text)
	}
	who := accounts[0]
	for _, a := range accounts {
		if a.Address == l.from {
			who = a
		}
	}
	peer.Account, peer.User = who.ID, who.Address
	t, reply := u.submit.Begin(ctx, peer, l.from, o)
	if t == nil {
		return []smtp.Reply{reply}
	}
	var kept []*copied
	for _, c := range l.copies {
		reply := t.Rcpt(ctx, c.to, smtp.RcptOptions{Notify: c.notify})
		switch {
		case reply.OK():
			kept = append(kept, c)
		case u.db.dead.Load() || reply.Temporary() && b.lossy:
		default:
			b.suppressed(l, c, reply)
		}
	}
	if l.copies = kept; len(kept) == 0 {
		t.Abort()
		return nil
	}
	return t.Data(ctx, text)
}

// suppressed looks at a recipient that was refused: it is on the list of the
// sender's domain, and was put there because of something.
func (b *book) suppressed(l *letter, c *copied, reply smtp.Reply) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts.refused++
	if !b.listed[string(l.from.Domain)+" "+strings.ToLower(c.to.String())] {
		b.wrongLocked("%s is refused for <%s>, who is on no list: %s", l.token, c.to, reply)
	}
}

// text is the message as it is sent.
func (l *letter) text(who mail.Address) string {
	from := l.from
	if from.IsNull() {
		from = who
	}
	lax := ""
	if l.lax {
		lax = "TLS-Required: No\r\n"
	}
	return fmt.Sprintf("From: <%s>\r\nTo: somebody:;\r\n%sSubject: %s\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n", from, lax, l.token)
}
