package smtp

import "bufio"

// DotWriter writes content as DATA carries it: a dot that begins a line is
// doubled, and Close adds the final one (RFC 5321 §4.5.2). It refuses content
// that a DataReader would not take, but for its size.
type DotWriter struct {
	w     *bufio.Writer
	check checker
	err   error
}

// NewDotWriter writes to w, which the caller flushes.
func NewDotWriter(w *bufio.Writer) *DotWriter {
	return &DotWriter{w: w, check: checker{dots: true}}
}

// Write writes part of the content. A *ContentError means that it is unfit;
// what came before it has been written.
func (d *DotWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0 && d.err == nil; {
		bol := d.check.bol()
		var n int
		if n, d.err = d.check.check(rest); d.err != nil {
			break
		}
		if bol && rest[0] == '.' {
			d.w.WriteByte('.') // an error stays with w
		}
		_, d.err = d.w.Write(rest[:n])
		rest = rest[n:]
	}
	if d.err != nil {
		return 0, d.err
	}
	return len(p), nil
}

// Close ends the last line, if that was not done, and writes the final dot.
// After an error it writes nothing, so that what was cut is never taken for
// whole.
func (d *DotWriter) Close() error {
	if d.err != nil {
		return d.err
	}
	if d.check.cr {
		d.err = ErrBare
		return d.err
	}
	if !d.check.bol() {
		d.w.Write(crlf)
	}
	_, err := d.w.WriteString(".\r\n")
	return err
}
