package smtpd

import (
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/smtp"
)

// Refusal is one command that was answered 4xx or 5xx.
type Refusal struct {
	Door    string
	Command string // the verb; "" where none was understood
	Peer    mail.Peer
	From    mail.Address // of the open transaction, or of MAIL
	To      mail.Address // of RCPT
	Reply   smtp.Reply   // without the reference, which is Peer.Ref
}

// refer tells of a refusal and writes its reference into the reply, so that who
// is refused can ask what for, and who is asked can look it up.
func (s *session) refer(r smtp.Reply) smtp.Reply {
	if r.Code < 400 || s.srv.o.Refused == nil {
		return r
	}
	if s.peer.Ref == (mail.ArrivalID{}) {
		s.peer.Ref = mail.NewArrivalID()
	}
	refusal := Refusal{Door: s.srv.o.Mode.String(), Peer: s.peer, From: s.from, Reply: r}
	if s.now.Verb != smtp.Unknown {
		refusal.Command = s.now.Verb.String()
	}
	switch s.now.Verb {
	case smtp.Mail:
		refusal.From = s.now.Path
	case smtp.Rcpt:
		refusal.To = s.now.Path
	}
	return s.srv.refer(refusal)
}

// refer is the same for any refusal of the server's.
func (s *Server) refer(x Refusal) smtp.Reply {
	r := x.Reply
	if s.o.Refused == nil {
		return r
	}
	s.o.Refused(x)
	text := append([]string(nil), r.Text...)
	if len(text) == 0 {
		text = []string{""}
	}
	text[len(text)-1] += " (ref " + x.Peer.Ref.String() + ")"
	r.Text = text
	return r
}
