package imap

import (
	"strconv"
	"strings"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// ParseRaw reads a query of X-GM-RAW, the language of a web mail's search field,
// as search keys: words and "phrases", from:, to:, cc:, bcc:, subject:, label:, in:,
// is:, has:attachment, list:, filename:, rfc822msgid:, deliveredto:, larger:,
// smaller:, before:, after:, older_than: and newer_than:, with OR, -, (…) and {…}.
// What is none of these is a word. It fails on a query that is nested or long
// beyond MaxDepth and MaxList.
func ParseRaw(query string, now time.Time) ([]SearchKey, error) {
	q := rawQuery{s: query, now: now}
	keys := q.keys("")
	if q.left = strings.TrimSpace(q.s); q.left != "" && q.err == nil {
		keys = append(keys, SearchKey{Op: "TEXT", Text: q.left}) // a bracket too many
	}
	if len(keys) == 0 {
		keys = []SearchKey{{Op: "ALL"}}
	}
	return keys, q.err
}

type rawQuery struct {
	s     string
	now   time.Time
	depth int
	n     int
	left  string
	err   error
}

// keys reads terms up to the closing bracket, "" for the end; terms with OR
// between them are one key.
func (q *rawQuery) keys(closing string) (all []SearchKey) {
	if q.depth++; q.depth > MaxDepth {
		q.fail()
	}
	defer func() { q.depth-- }()
	either := false
	for q.err == nil {
		q.s = strings.TrimLeft(q.s, " \t")
		if q.s == "" || closing != "" && strings.HasPrefix(q.s, closing) || strings.ContainsRune(")}", rune(q.s[0])) {
			break
		}
		if rest, ok := strings.CutPrefix(q.s, "OR "); ok && len(all) > 0 {
			q.s, either = rest, true
			continue
		}
		k := q.term()
		if either {
			k, all = SearchKey{Op: "OR", Keys: []SearchKey{all[len(all)-1], k}}, all[:len(all)-1]
		}
		either = false
		all = append(all, k)
		if q.n++; q.n > MaxList {
			q.fail()
		}
	}
	return all
}

func (q *rawQuery) fail() {
	if q.err == nil {
		q.err, q.s = badf("a query of more than %d terms, or nested deeper than %d", MaxList, MaxDepth), ""
	}
}

// term reads one term.
func (q *rawQuery) term() SearchKey {
	if rest, ok := strings.CutPrefix(q.s, "-"); ok && rest != "" && rest[0] != ' ' {
		q.s = rest
		if q.depth++; q.depth > MaxDepth {
			q.fail()
			return SearchKey{Op: "ALL"}
		}
		defer func() { q.depth-- }()
		return SearchKey{Op: "NOT", Keys: []SearchKey{q.term()}}
	}
	switch q.s[0] {
	case '(':
		q.s = q.s[1:]
		all := q.keys(")")
		q.s = strings.TrimPrefix(q.s, ")")
		return group("AND", all)
	case '{':
		q.s = q.s[1:]
		all := q.keys("}")
		q.s = strings.TrimPrefix(q.s, "}")
		return group("OR", all)
	}
	i := strings.IndexAny(q.s, ": \t\"(){}")
	if i > 0 && q.s[i] == ':' {
		op := strings.ToLower(q.s[:i])
		if read, known := rawOperators[op]; known {
			before := q.s
			q.s = q.s[i+1:]
			if k, ok := q.values(read); ok {
				return k
			}
			q.s = before
		}
		return SearchKey{Op: "TEXT", Text: q.word(" \t")}
	}
	return SearchKey{Op: "TEXT", Text: q.value()}
}

// values reads what stands behind an operator: a value, or several in brackets,
// which must all be true.
func (q *rawQuery) values(read func(*rawQuery, string) (SearchKey, bool)) (SearchKey, bool) {
	rest, several := strings.CutPrefix(q.s, "(")
	if !several {
		return read(q, q.value())
	}
	var all []SearchKey
	for q.s = rest; ; {
		q.s = strings.TrimLeft(q.s, " \t")
		if rest, end := strings.CutPrefix(q.s, ")"); end || q.s == "" {
			q.s = rest
			return group("AND", all), len(all) > 0
		}
		k, ok := read(q, q.value())
		if q.n++; !ok || q.n > MaxList {
			return k, false
		}
		all = append(all, k)
	}
}

// group joins keys; OR takes two.
func group(op SearchOp, all []SearchKey) SearchKey {
	if len(all) == 0 {
		return SearchKey{Op: "ALL"}
	}
	if op == "AND" && len(all) > 1 {
		return SearchKey{Op: op, Keys: all}
	}
	k := all[0]
	for _, next := range all[1:] {
		k = SearchKey{Op: "OR", Keys: []SearchKey{k, next}}
	}
	return k
}

// value reads a phrase, or a word.
func (q *rawQuery) value() string {
	if rest, ok := strings.CutPrefix(q.s, `"`); ok {
		phrase, after, _ := strings.Cut(rest, `"`)
		q.s = after
		return phrase
	}
	return q.word(" \t(){}\"")
}

func (q *rawQuery) word(ends string) string {
	i := strings.IndexAny(q.s, ends)
	if i < 0 {
		i = len(q.s)
	}
	if i == 0 && q.s != "" {
		i = 1 // something must be taken
	}
	w := q.s[:i]
	q.s = q.s[i:]
	return w
}

// rawOperators are the words before a colon; false means that the value is none.
var rawOperators = map[string]func(q *rawQuery, v string) (SearchKey, bool){
	"after":       rawDay("SINCE"),
	"bcc":         rawText("BCC"),
	"before":      rawDay("BEFORE"),
	"cc":          rawText("CC"),
	"deliveredto": rawField("Delivered-To"),
	"filename":    rawText("BODY"),
	"from":        rawText("FROM"),
	"has":         rawHas,
	"in":          rawIn,
	"is":          rawIs,
	"label":       rawText("X-GM-LABELS"),
	"larger":      rawSize("LARGER"),
	"list":        rawField("List-ID"),
	"newer":       rawDay("SINCE"),
	"newer_than":  rawAge("YOUNGER"),
	"older":       rawDay("BEFORE"),
	"older_than":  rawAge("OLDER"),
	"rfc822msgid": rawField("Message-ID"),
	"size":        rawSize("LARGER"),
	"smaller":     rawSize("SMALLER"),
	"subject":     rawText("SUBJECT"),
	"to":          rawText("TO"),
}

func rawText(op SearchOp) func(*rawQuery, string) (SearchKey, bool) {
	return func(_ *rawQuery, v string) (SearchKey, bool) { return SearchKey{Op: op, Text: v}, v != "" }
}

func rawField(name string) func(*rawQuery, string) (SearchKey, bool) {
	return func(_ *rawQuery, v string) (SearchKey, bool) {
		return SearchKey{Op: "HEADER", Field: name, Text: v}, v != ""
	}
}

func rawDay(op SearchOp) func(*rawQuery, string) (SearchKey, bool) {
	return func(_ *rawQuery, v string) (SearchKey, bool) {
		for _, layout := range []string{"2006/1/2", "2006-1-2", "1/2/2006"} {
			if t, err := time.Parse(layout, v); err == nil && !t.IsZero() {
				return SearchKey{Op: op, Date: t}, true
			}
		}
		return SearchKey{}, false
	}
}

// rawSize reads octets, with K or M behind them.
func rawSize(op SearchOp) func(*rawQuery, string) (SearchKey, bool) {
	return func(_ *rawQuery, v string) (SearchKey, bool) {
		v = strings.TrimSuffix(strings.ToUpper(v), "B")
		unit := uint64(1)
		if rest, ok := strings.CutSuffix(v, "K"); ok {
			v, unit = rest, 1<<10
		} else if rest, ok := strings.CutSuffix(v, "M"); ok {
			v, unit = rest, 1<<20
		}
		n, err := strconv.ParseUint(v, 10, 40)
		return SearchKey{Op: op, Number: n * unit}, err == nil
	}
}

// rawAge reads a number of hours, days, months or years.
func rawAge(op SearchOp) func(*rawQuery, string) (SearchKey, bool) {
	return func(q *rawQuery, v string) (SearchKey, bool) {
		if len(v) < 2 {
			return SearchKey{}, false
		}
		n, err := strconv.ParseUint(v[:len(v)-1], 10, 14)
		if err != nil || n == 0 {
			return SearchKey{}, false
		}
		then := q.now
		switch v[len(v)-1] | 0x20 {
		case 'h':
			then = then.Add(-time.Duration(n) * time.Hour)
		case 'd':
			then = then.AddDate(0, 0, -int(n))
		case 'm':
			then = then.AddDate(0, -int(n), 0)
		case 'y':
			then = then.AddDate(-int(n), 0, 0)
		default:
			return SearchKey{}, false
		}
		return SearchKey{Op: op, Number: uint64(q.now.Unix() - then.Unix())}, true
	}
}

// rawHas knows attachments by what messages with one are made of.
func rawHas(_ *rawQuery, v string) (SearchKey, bool) {
	return SearchKey{Op: "HEADER", Field: "Content-Type", Text: "multipart/mixed"}, strings.EqualFold(v, "attachment")
}

func rawIn(_ *rawQuery, v string) (SearchKey, bool) {
	switch w := strings.ToLower(v); w {
	case "anywhere":
		return SearchKey{Op: "ALL"}, true
	case "inbox", "sent", "draft", "drafts", "trash", "junk", "spam", "archive":
		return SearchKey{Op: "X-GM-LABELS", Text: `\` + w}, true
	}
	return SearchKey{Op: "X-GM-LABELS", Text: v}, v != ""
}

func rawIs(_ *rawQuery, v string) (SearchKey, bool) {
	switch strings.ToLower(v) {
	case "unread":
		return SearchKey{Op: "UNFLAG", Flag: mail.FlagSeen}, true
	case "read":
		return SearchKey{Op: "FLAG", Flag: mail.FlagSeen}, true
	case "starred":
		return SearchKey{Op: "FLAG", Flag: mail.FlagFlagged}, true
	case "unstarred":
		return SearchKey{Op: "UNFLAG", Flag: mail.FlagFlagged}, true
	case "important":
		return SearchKey{Op: "KEYWORD", Text: "$Important"}, true
	}
	return SearchKey{}, false
}
