package message

import (
	"strings"
	"testing"
)

func TestWideHeaders(t *testing.T) {
	const parts = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
	for text, want := range map[string]bool{
		"Subject: x\r\n\r\nx\r\n":                                                              false,
		"Subject: x\r\n\r\né\r\n":                                                              false,
		"Subject: é\r\n\r\nx\r\n":                                                              true,
		parts + "Content-Type: text/plain\r\n\r\né\r\n--b--\r\n":                               false,
		parts + "Content-Description: é\r\n\r\nx\r\n--b--\r\n":                                 true,
		parts + "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\né\r\n\r\n--b--\r\n":     false,
		parts + "Content-Type: message/global\r\n\r\nSubject: é\r\n\r\nx\r\n\r\n--b--\r\n":     true,
		parts + "Content-Type: message/rfc822\r\n\r\nSubject: é\r\n\r\nx\r\n\r\n--b--\r\n":     true,
		parts + "Content-Type: text/plain\r\n\r\nx\r\n--b--\r\nwhat is behind the parts é\r\n": false,
	} {
		if got, err := WideHeaders(strings.NewReader(text), int64(len(text))); got != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
