package event

import (
	"log/slog"
	"time"
)

// CertificateTaken says that a certificate was taken into service.
type CertificateTaken struct {
	Names  []string // that it is good for
	From   string   // the file, "acme", or "own authority"
	Issuer string
	Until  time.Time
}

// Name is "certificate.taken".
func (CertificateTaken) Name() string { return "certificate.taken" }

// Level is Info.
func (CertificateTaken) Level() slog.Level { return slog.LevelInfo }

// Attrs are the facts.
func (e CertificateTaken) Attrs() []slog.Attr {
	return []slog.Attr{
		slog.Any("names", e.Names), slog.String("from", e.From), slog.String("issuer", e.Issuer), slog.Time("until", e.Until),
	}
}

// CertificateRefused says that a new certificate could not be loaded; the one
// before it stays in service.
type CertificateRefused struct {
	From string // the file
	Err  error
}

// Name is "certificate.refused".
func (CertificateRefused) Name() string { return "certificate.refused" }

// Level is Error.
func (CertificateRefused) Level() slog.Level { return slog.LevelError }

// Attrs are the facts.
func (e CertificateRefused) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("from", e.From), slog.Any("error", e.Err)}
}

// CertificateExpires says that a certificate in service is at its end, or beyond
// it; it is said once a day.
type CertificateExpires struct {
	Names []string
	From  string
	Until time.Time
	Left  time.Duration // negative: it is of no use any more
}

// Name is "certificate.expires".
func (CertificateExpires) Name() string { return "certificate.expires" }

// Level is Warn.
func (CertificateExpires) Level() slog.Level { return slog.LevelWarn }

// Attrs are the facts.
func (e CertificateExpires) Attrs() []slog.Attr {
	return []slog.Attr{
		slog.Any("names", e.Names), slog.String("from", e.From), slog.Time("until", e.Until), slog.Duration("left", e.Left),
	}
}

// CertificateOrdered says that an authority gave a certificate by ACME: the
// first one for this host name, or a new one in place of another.
type CertificateOrdered struct {
	Host    string
	Issuer  string
	Until   time.Time
	Renewal bool
}

// Name is "certificate.ordered".
func (CertificateOrdered) Name() string { return "certificate.ordered" }

// Level is Info.
func (CertificateOrdered) Level() slog.Level { return slog.LevelInfo }

// Attrs are the facts.
func (e CertificateOrdered) Attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("host", e.Host), slog.String("issuer", e.Issuer), slog.Time("until", e.Until), slog.Bool("renewal", e.Renewal),
	}
}

// CertificateFailed says that an authority gave no certificate by ACME. What was
// in service stays so, and it is tried again.
type CertificateFailed struct {
	Host    string
	Err     error
	Renewal bool
	Again   time.Duration // until the next attempt
}

// Name is "certificate.failed".
func (CertificateFailed) Name() string { return "certificate.failed" }

// Level is Error.
func (CertificateFailed) Level() slog.Level { return slog.LevelError }

// Attrs are the facts.
func (e CertificateFailed) Attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("host", e.Host), slog.Bool("renewal", e.Renewal), slog.Duration("again", e.Again), slog.Any("error", e.Err),
	}
}
