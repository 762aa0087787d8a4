package kv

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

func TestValue(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 5, time.UTC)
	addr := mail.Address{Local: "a\x00b", Domain: "example.test"}
	v := Value{}.Byte(1).Uint(300).Fixed([]byte("xyz")).Text("").Text("text").Address(addr).Time(at).Time(time.Time{})
	r := ReadValue(v)
	if r.Version() != 1 || r.Uint() != 300 || !bytes.Equal(r.Fixed(3), []byte("xyz")) || r.Text() != "" || r.Text() != "text" ||
		r.Address() != addr || !r.Time().Equal(at) || !r.Time().IsZero() || r.Err() != nil {
		t.Errorf("read something else: %v", r.Err())
	}
	for n := range v {
		r := ReadValue(v[:n])
		r.Version()
		r.Uint()
		r.Fixed(3)
		_, _, _, _, _ = r.Text(), r.Text(), r.Address(), r.Time(), r.Time()
		if !errors.Is(r.Err(), ErrValue) {
			t.Errorf("%d octets of %d were enough", n, len(v))
		}
	}
	if r := ReadValue([]byte{0}); r.Version() != 0 || r.Err() == nil {
		t.Error("version 0 was taken")
	}
}

// FuzzReadValue reads anything in any order.
func FuzzReadValue(f *testing.F) {
	f.Add([]byte{1, 2, 3}, []byte{0, 1, 2, 3, 4, 5})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, []byte{3, 1})
	f.Fuzz(func(t *testing.T, b, order []byte) {
		r := ReadValue(b)
		for _, what := range order {
			switch what % 6 {
			case 0:
				r.Byte()
			case 1:
				r.Uint()
			case 2:
				r.Fixed(int(what))
			case 3:
				if s := r.Text(); len(s) > len(b) {
					t.Fatalf("%d octets out of %d", len(s), len(b))
				}
			case 4:
				r.Time()
			case 5:
				r.Address()
			}
		}
		if len(r.rest) > len(b) {
			t.Error("more is left than there was")
		}
	})
}
