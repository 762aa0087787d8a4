package line

import (
	"strings"
	"testing"
)

func TestAppendString(t *testing.T) {
	long := strings.Repeat("x", maxQuoted)
	for _, c := range []struct {
		s    string
		plus bool
		want string
	}{
		{"", false, `""`},
		{"plain text", false, `"plain text"`},
		{`a "quoted" \ word`, false, `"a \"quoted\" \\ word"`},
		{"é", false, "{2}\r\né"},
		{"é", true, "{2+}\r\né"},
		{"two\r\nlines", false, "{10}\r\ntwo\r\nlines"},
		{"a\x00b", false, "{3}\r\na?b"},
		{"\x7f", false, "{1}\r\n\x7f"},
		{long, false, `"` + long + `"`},
		{long + "y", false, "{1025}\r\n" + long + "y"},
	} {
		if got := string(AppendString([]byte("-"), c.s, c.plus)); got != "-"+c.want {
			t.Errorf("%.40q: %.60q, want %.60q", c.s, got[1:], c.want)
		}
	}
}
