package report

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/wire/message"
)

// media is the type of a packed report (RFC 8460 §6.4).
const media = "application/tlsrpt+gzip"

// identity names a report. It is the same however often it is sent.
func identity(k letterKey, host mail.Domain) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", host, k.domain, k.day))
	return fmt.Sprintf("%s.%x", start(k.day).Format(time.DateOnly), sum[:8])
}

func pack(text []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(text) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

// letter is the report as mail (RFC 8460 §5.3).
func (r *Reporter) letter(k letterKey, to mail.Address, id string, packed []byte, now time.Time) ([]byte, error) {
	var b bytes.Buffer
	c := message.NewComposer(&b)
	from := start(k.day)
	c.Addresses("From", message.Mailbox("TLS reports of "+string(r.o.Hostname), r.o.Contact))
	c.Addresses("To", message.Mailbox("", to))
	c.Text("Subject", fmt.Sprintf("Report Domain: %s Submitter: %s Report-ID: <%s@%s>", k.domain, r.o.Hostname, id, r.o.Hostname))
	c.Date("Date", now)
	c.Field("Message-ID", "<"+id+"@"+string(r.o.Hostname)+">")
	c.Field("MIME-Version", "1.0")
	c.Field("Auto-Submitted", "auto-generated")
	c.Field("TLS-Report-Domain", string(k.domain))
	c.Field("TLS-Report-Submitter", string(r.o.Hostname))
	c.Field("TLS-Required", "No") // RFC 8689 §3
	c.Multipart("report", "=_"+id, message.Param{Name: "report-type", Value: "tlsrpt"})
	c.Part()
	c.TextBody("plain", fmt.Sprintf("This is a report of TLS (RFC 8460) from %s about lines to mail hosts of %s\non %s. "+
		"You get it because %s asks for it.\n", r.o.Hostname, k.domain, from.Format(time.DateOnly), "_smtp._tls."+string(k.domain)))
	c.Part()
	name := fmt.Sprintf("%s!%s!%d!%d.json.gz", r.o.Hostname, k.domain, from.Unix(), from.Unix()+86399)
	c.Field("Content-Type", media)
	c.Field("Content-Disposition", message.FormatParams("attachment", message.Param{Name: "filename", Value: name}))
	c.Body(bytes.NewReader(packed), "base64")
	c.Close()
	return b.Bytes(), c.Err()
}
