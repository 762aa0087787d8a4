package message

import "strings"

// maxSubject is how much of a subject counts for threads, in octets.
const maxSubject = 2000

// BaseSubject is the subject without the marks of replies and forwards, as
// RFC 5256 §2.1 extracts it to sort and thread by. s is the raw field value;
// upper and lower case stay as they are.
func BaseSubject(s string) string {
	base, _ := baseSubject(s)
	return base
}

// IsReply says whether such marks are there (RFC 5256 §3, step 5.B of REFERENCES).
func IsReply(s string) bool {
	_, reply := baseSubject(s)
	return reply
}

func baseSubject(s string) (base string, reply bool) {
	s = strings.Join(strings.Fields(DecodeHeader(s)), " ") // step 1
	if len(s) > maxSubject {
		s = strings.ToValidUTF8(s[:maxSubject], "")
	}
	for {
		s, reply = cutTrailers(s, reply) // step 2
		for {
			before := s
			if rest, ok := cutLeader(s); ok { // step 3
				s, reply = rest, true
			} else if rest, ok := cutBlob(s); ok && rest != "" { // step 4
				s = rest
			}
			s = strings.TrimLeft(s, " ")
			if s == before {
				break // step 5
			}
		}
		if len(s) < 6 || !strings.EqualFold(s[:5], "[fwd:") || s[len(s)-1] != ']' {
			return s, reply
		}
		s, reply = strings.Trim(s[5:len(s)-1], " "), true // step 6
	}
}

// cutTrailers takes "(fwd)" off the end.
func cutTrailers(s string, reply bool) (string, bool) {
	for {
		s = strings.TrimRight(s, " ")
		if len(s) < 5 || !strings.EqualFold(s[len(s)-5:], "(fwd)") {
			return s, reply
		}
		s, reply = s[:len(s)-5], true
	}
}

// cutLeader takes *subj-blob subj-refwd off the front.
func cutLeader(s string) (string, bool) {
	for {
		rest, ok := cutBlob(s)
		if !ok {
			break
		}
		s = rest
	}
	switch {
	case len(s) >= 3 && strings.EqualFold(s[:3], "fwd"):
		s = s[3:]
	case len(s) >= 2 && (strings.EqualFold(s[:2], "re") || strings.EqualFold(s[:2], "fw")):
		s = s[2:]
	default:
		return s, false
	}
	s = strings.TrimLeft(s, " ")
	if rest, ok := cutBlob(s); ok {
		s = rest
	}
	return strings.CutPrefix(s, ":")
}

// cutBlob takes "[…] " off the front.
func cutBlob(s string) (string, bool) {
	if !strings.HasPrefix(s, "[") {
		return s, false
	}
	i := strings.IndexAny(s[1:], "[]")
	if i < 0 || s[1+i] != ']' {
		return s, false
	}
	return strings.TrimLeft(s[i+2:], " "), true
}

// MessageIDs finds the ids of a Message-ID, In-Reply-To or References field
// (RFC 5322 §3.6.4), without their angle brackets and the white space that
// folding put into them, at most 1,000. What stands between them is passed over.
func MessageIDs(s string) []string {
	var ids []string
	for len(ids) < 1000 {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			break
		}
		s = s[i+1:]
		end := strings.IndexAny(s, "<>")
		if end < 0 {
			break
		}
		if s[end] == '<' {
			s = s[end:]
			continue
		}
		if id := strings.Join(strings.Fields(s[:end]), ""); id != "" {
			ids = append(ids, id)
		}
		s = s[end+1:]
	}
	return ids
}
