package message

import (
	"errors"
	"fmt"
	"strings"
)

// Tag is one name and value of a tag list.
type Tag struct{ Name, Value string }

// Tags is a list such as "v=1; a=rsa-sha256", by which signatures, keys and
// policies are written (RFC 6376 §3.2).
type Tags []Tag

// maxTags is how many tags a list may have.
const maxTags = 100

// ParseTags reads a list from an unfolded value. Names are as they are written;
// values are without the white space around them. No name stands twice.
func ParseTags(s string) (Tags, error) {
	var tags Tags
	for part, rest, more := "", s, true; more; {
		part, rest, more = strings.Cut(rest, ";")
		name, value, ok := strings.Cut(part, "=")
		name = strings.Trim(name, " \t\r\n")
		if !ok {
			if name == "" && !more && len(tags) > 0 {
				break // a semicolon at the end
			}
			return nil, fmt.Errorf("%.40q is no tag with a value", part)
		}
		if !isTagName(name) {
			return nil, fmt.Errorf("%.40q is no name of a tag", name)
		}
		if _, twice := tags.Get(name); twice {
			return nil, fmt.Errorf("the tag %s is there twice", name)
		}
		if len(tags) == maxTags {
			return nil, errors.New("too many tags")
		}
		tags = append(tags, Tag{name, strings.Trim(value, " \t\r\n")})
	}
	return tags, nil
}

func isTagName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

// Get gives a tag's value and whether the tag is there.
func (t Tags) Get(name string) (string, bool) {
	for _, tag := range t {
		if tag.Name == name {
			return tag.Value, true
		}
	}
	return "", false
}

// Has says whether a tag is there.
func (t Tags) Has(name string) bool {
	_, ok := t.Get(name)
	return ok
}

// Value gives a tag's value, "" if it is not there.
func (t Tags) Value(name string) string {
	v, _ := t.Get(name)
	return v
}
