package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/flow/submit"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/serve/apid"
	"github.com/ekiden-mail/ekiden/internal/wire/sendmail"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// program is who asks over a unix socket: a user of this machine, as the kernel
// says.
type program struct {
	uid  int // -1: not known
	name string
}

// programKey is where a request's context has its program.
type programKey struct{}

// withProgram notes who is at the other end of a unix socket.
func withProgram(ctx context.Context, c net.Conn) context.Context {
	p := program{uid: -1, name: "unknown"}
	if u, ok := c.(*net.UnixConn); ok {
		if uid, err := peerUID(u); err == nil {
			p = program{uid, strconv.Itoa(uid)}
			if u, err := user.LookupId(p.name); err == nil {
				p.name = u.Username
			}
		}
	}
	return context.WithValue(ctx, programKey{}, p)
}

// right is what a program may send as.
func (p program) right(users map[string]submit.Senders) (may func(mail.Address) bool, senders submit.Senders) {
	if p.uid == 0 || p.uid == os.Getuid() {
		return func(mail.Address) bool { return true }, nil
	}
	senders = append(append(senders, users[p.name]...), users["*"]...)
	return senders.Has, senders
}

// self is the address of a program that names none.
func (p program) self(senders submit.Senders, home mail.Domain) mail.Address {
	for _, a := range senders {
		if a.Local != "" {
			return a
		}
	}
	if len(senders) > 0 {
		home = senders[0].Domain
	}
	return mail.Address{Local: p.name, Domain: home}
}

// home is the domain of names without one: the host's own name or what is above
// it, as far as it is ours.
func (r *rooms) home(ctx context.Context) (mail.Domain, error) {
	for d := r.hostname; ; {
		if ok, err := r.directory.IsLocal(ctx, d); ok || err != nil {
			return d, err
		}
		_, above, more := strings.Cut(string(d), ".")
		if !more {
			return r.hostname, nil
		}
		d = mail.Domain(above)
	}
}

// send takes a letter of a program on this machine.
func (r *rooms) send(ctx context.Context, l apid.Letter) (apid.Sent, error) {
	const op = "app.send"
	p, _ := ctx.Value(programKey{}).(program)
	if p.name == "" { // in this process, where no server runs
		return apid.Sent{}, fault.New(fault.Unavailable, op, "the server does not run")
	}
	may, senders := p.right(r.users)
	if senders == nil && p.uid != 0 && p.uid != os.Getuid() {
		return apid.Sent{}, fault.Newf(fault.Denied, op, "the user %s may not send here (sending.sendmail_allow)", p.name)
	}
	home, err := r.home(ctx)
	if err != nil {
		return apid.Sent{}, err
	}
	from := p.self(senders, home)
	switch l.From {
	case "":
	case "<>":
		from = mail.Address{}
	default:
		if from, err = qualify(l.From, home); err != nil {
			return apid.Sent{}, err
		}
	}
	o := smtp.MailOptions{EightBit: true, UTF8: !from.IsASCII(), HeadersOnly: l.HeadersOnly, EnvelopeID: l.EnvelopeID}
	peer := &mail.Peer{Helo: fmt.Sprintf("%s (uid %d)", p.name, p.uid)}
	t, reply := r.submit.BeginFor(ctx, "the user "+p.name, may, peer, from, o)
	if t == nil {
		return everyone(l.To, reply), nil
	}
	t.Name(l.Name)
	return r.sendTo(ctx, t, l, home)
}

// sendTo sends to those who can be taken; to nobody if anyone cannot now.
func (r *rooms) sendTo(ctx context.Context, t *submit.Transaction, l apid.Letter, home mail.Domain) (apid.Sent, error) {
	var out apid.Sent
	taken, later := 0, false
	for _, to := range l.To {
		addr, err := r.recipient(ctx, to, home)
		reply := smtp.Answer(501, smtp.Enhanced{5, 1, 3}, "that is no address")
		if err == nil {
			reply = t.Rcpt(ctx, addr, smtp.RcptOptions{Notify: l.Notify})
		}
		if reply.OK() {
			taken++
		}
		later = later || reply.Temporary()
		out.Recipients = append(out.Recipients, sentTo(to, reply))
	}
	if taken == 0 || later {
		t.Abort()
		return out, nil
	}
	content := sendmail.NewLines(l.Content, r.maxMessage, false)
	replies := t.Data(ctx, content)
	var unfit *smtp.ContentError
	switch err := content.Err(); {
	case errors.As(err, &unfit):
		replies = []smtp.Reply{unfit.Reply}
	case err != nil:
		return apid.Sent{}, fault.As(fault.Unavailable, "app.send", err)
	}
	i := 0
	for n := range out.Recipients {
		if out.Recipients[n].Code/100 != 2 {
			continue
		}
		reply := replies[min(i, len(replies)-1)]
		out.Recipients[n] = sentTo(out.Recipients[n].Recipient, reply)
		if reply.OK() {
			out.ID = t.ID().String()
		}
		i++
	}
	return out, nil
}

// recipient reads one. A name of this machine that nobody has is the
// postmaster's: what its programs have to say is not lost.
func (r *rooms) recipient(ctx context.Context, s string, home mail.Domain) (mail.Address, error) {
	addr, err := qualify(s, home)
	if err != nil || strings.Contains(s, "@") {
		return addr, err
	}
	if _, err := r.directory.Resolve(ctx, addr); fault.Is(err, fault.NotFound) || fault.Is(err, fault.Denied) {
		return mail.Address{Local: "postmaster"}, nil
	}
	return addr, nil
}

// qualify reads an address, or a name at home.
func qualify(s string, home mail.Domain) (mail.Address, error) {
	if !strings.Contains(s, "@") {
		s += "@" + string(home)
	}
	a, err := mail.ParseAddress(s)
	if err != nil {
		return a, fault.Newf(fault.Invalid, "app.qualify", "%v", err)
	}
	return a, nil
}

func sentTo(to string, r smtp.Reply) apid.SentTo {
	return apid.SentTo{Recipient: to, Code: r.Code, Status: r.Enhanced.String(), Text: strings.Join(r.Text, " ")}
}

// everyone gives all recipients one reply.
func everyone(to []string, r smtp.Reply) apid.Sent {
	var out apid.Sent
	for _, a := range to {
		out.Recipients = append(out.Recipients, sentTo(a, r))
	}
	return out
}

// listenSendmail opens the socket that every user of the machine may send
// through; nil if none is wanted. The caller holds the store's lock, so a socket
// that is there was left by a server that is gone.
func listenSendmail(path string) (net.Listener, error) {
	if path == "" {
		return nil, nil
	}
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("sending.sendmail_socket: a path has %d octets at most", maxSocketPath)
	}
	if i, err := os.Lstat(path); err == nil && i.Mode()&os.ModeSocket != 0 {
		_ = os.Remove(path)
	}
	ln, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o666) // the kernel says who comes; what he may is checked
	}
	if err != nil {
		return nil, fmt.Errorf("sending.sendmail_socket: %w", err)
	}
	return ln, nil
}

// serveSendmail answers programs of all users: they may send, and nothing else.
func (s *Server) serveSendmail(ctx context.Context) error {
	if s.sendmail == nil {
		<-ctx.Done()
		return nil
	}
	api := s.Handler()
	return s.answer(ctx, s.sendmail, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != apid.Root+"/submissions" {
			http.Error(w, "only messages may be sent here", http.StatusForbidden)
			return
		}
		api.ServeHTTP(w, r)
	}))
}

// DialSendmail connects to the socket at a path.
func DialSendmail(ctx context.Context, path string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", path)
}
