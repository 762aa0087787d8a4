package message

import (
	"strings"
	"time"
)

// zones are the obsolete names (RFC 5322 §4.3) in minutes; military letters,
// which nobody ever used rightly, count as unknown, that is UTC.
var zones = map[string]int{
	"ut": 0, "utc": 0, "gmt": 0, "z": 0, "est": -300, "edt": -240, "cst": -360, "cdt": -300,
	"mst": -420, "mdt": -360, "pst": -480, "pdt": -420, "jst": 540, "cet": 60, "cest": 120, "bst": 60,
}

const months = "janfebmaraprmayjunjulaugsepoctnovdec"

// dateParts is what the words of a date gave.
type dateParts struct {
	year, month, day  int
	hour, minute, sec int
	zone              int // minutes east
	hasYear, hasTime  bool
	hasZone           bool
}

// ParseDate reads a Date field (RFC 5322 §3.3, §4.3) and the forms that are
// met instead: without weekday, seconds or zone, with names of zones, asctime,
// ISO 8601. ok is false where day, month or year are missing or impossible.
func ParseDate(s string) (t time.Time, ok bool) {
	if len(s) > 256 {
		s = s[:256]
	}
	var d dateParts
	words := 0
	for s = skipDate(s); s != ""; s = skipDate(s) {
		i := strings.IndexAny(s, " \t,(\r\n")
		if i < 0 {
			i = len(s)
		}
		if words++; words > 12 || !d.take(strings.ToLower(s[:i])) {
			return time.Time{}, false
		}
		s = s[i:]
	}
	return d.time()
}

func skipDate(s string) string {
	for {
		t := skipCFWS(strings.TrimLeft(s, ", \t\r\n"))
		if t == s {
			return s
		}
		s = t
	}
}

// take reads one word; false means that this is no date. Words we do not know
// are passed over: weekdays come in many languages.
func (d *dateParts) take(w string) bool {
	switch {
	case strings.Count(w, "-") == 2 && w[0] != '-':
		return d.takeDashed(w)
	case strings.ContainsRune(w, ':') && !d.hasTime:
		return d.takeTime(w)
	case w[0] == '+' || w[0] == '-':
		d.takeOffset(w)
		return true
	case isDigits(w):
		return d.takeNumber(w)
	}
	if len(w) >= 3 && d.month == 0 {
		if i := strings.Index(months, w[:3]); i >= 0 && i%3 == 0 {
			d.month = i/3 + 1
			return true
		}
	}
	if z, ok := zones[w]; ok && d.hasTime && !d.hasZone {
		d.zone, d.hasZone = z, true
	}
	return true
}

// takeDashed reads 2026-11-24, also with a time behind a T, and 24-Nov-2026.
func (d *dateParts) takeDashed(w string) bool {
	w, clock, _ := strings.Cut(w, "t")
	if clock != "" && !isDigits(clock[:1]) {
		w, clock = w+"t"+clock, "" // the t of "oct"
	}
	a, rest, _ := strings.Cut(w, "-")
	b, c, _ := strings.Cut(rest, "-")
	if a == "" || b == "" || c == "" {
		return false
	}
	if len(a) == 4 {
		a, c = c, a
	}
	if isDigits(b) {
		d.month = number(b)
		if d.month < 1 || d.month > 12 {
			return false
		}
	} else if !d.take(b) || d.month == 0 {
		return false
	}
	if !isDigits(a) || !isDigits(c) || len(a) > 2 || !d.takeNumber(a) || !d.takeNumber(c) {
		return false
	}
	if clock == "" {
		return true
	}
	if i := strings.IndexAny(clock, "+-z"); i >= 0 {
		if clock[i] == 'z' {
			d.hasZone = true
		} else {
			d.takeOffset(clock[i:])
		}
		clock = clock[:i]
	}
	clock, _, _ = strings.Cut(clock, ".")
	return d.takeTime(clock)
}

func (d *dateParts) takeTime(w string) bool {
	if i := strings.IndexAny(w, "+-"); i > 0 {
		d.takeOffset(w[i:])
		w = w[:i]
	}
	h, rest, _ := strings.Cut(w, ":")
	m, s, more := strings.Cut(rest, ":")
	s, _, _ = strings.Cut(s, ".")
	if !isDigits(h) || !isDigits(m) || len(h) > 2 || len(m) > 2 || more && (!isDigits(s) || len(s) > 2) {
		return false
	}
	d.hour, d.minute, d.sec = number(h), number(m), number(s)
	d.hasTime = true
	return d.hour < 24 && d.minute < 60 && d.sec <= 60
}

// takeOffset reads +hhmm or +hh:mm; an impossible one is as good as none.
func (d *dateParts) takeOffset(w string) {
	digits := strings.Replace(w[1:], ":", "", 1)
	if !isDigits(digits) || d.hasZone {
		return
	}
	n := 0
	switch len(digits) {
	case 2:
		n = number(digits) * 60
	case 4:
		n = number(digits[:2])*60 + number(digits[2:])
	}
	if n >= 24*60 {
		n = 0
	}
	if w[0] == '-' {
		n = -n
	}
	d.zone, d.hasZone = n, true
}

func (d *dateParts) takeNumber(w string) bool {
	if len(w) > 4 {
		return len(w) < 10 // an offset that lost its sign, or the like
	}
	n := number(w)
	switch {
	case len(w) <= 2 && d.day == 0:
		d.day = n
		return n >= 1 && n <= 31
	case d.hasYear:
		return true
	}
	switch len(w) { // RFC 5322 §4.3
	case 1, 2:
		n += 1900
		if n < 1950 {
			n += 100
		}
	case 3:
		n += 1900
	}
	d.year, d.hasYear = n, true
	return n >= 1900
}

func (d *dateParts) time() (time.Time, bool) {
	if d.day == 0 || d.month == 0 || !d.hasYear {
		return time.Time{}, false
	}
	loc := time.UTC
	if d.zone != 0 {
		loc = time.FixedZone("", d.zone*60)
	}
	t := time.Date(d.year, time.Month(d.month), d.day, d.hour, d.minute, min(d.sec, 59), 0, loc)
	if t.Day() != d.day {
		return time.Time{}, false
	}
	return t, true
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// number reads up to nine digits.
func number(s string) int {
	n := 0
	for i := 0; i < len(s) && i < 9; i++ {
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// FormatDate writes a Date field's value (RFC 5322 §3.3).
func FormatDate(t time.Time) string { return t.Format("Mon, 02 Jan 2006 15:04:05 -0700") }
