package blob

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// noRows has none.
type noRows struct{ kv.Reader }

func (noRows) Each([][]byte, func(int, []byte) error) error { return nil }

func (noRows) GetMany(keys [][]byte) ([][]byte, error) { return make([][]byte, len(keys)), nil }

// TestBodyRows writes and reads small bodies, packed where that pays, and finds
// each octet that was changed.
func TestBodyRows(t *testing.T) {
	noise := make([]byte, 3000)
	_, _ = rand.Read(noise)
	letter := []byte(strings.Repeat("Dear reader, this is a line like any other.\r\n", 60))
	for _, c := range []struct {
		name   string
		body   []byte
		packed bool
		rows   int
	}{
		{"nothing", nil, false, 1},
		{"a letter", letter, true, 1},
		{"noise", noise, false, 1},
		{"a letter of 64 KiB", bytes.Repeat(letter, 30)[:bodyRow], true, 1},
		{"a longer one", bytes.Repeat(letter, 30)[:bodyRow+1], false, 2},
	} {
		rows := encodeBody(c.body)
		if len(rows) != c.rows || (rows[0][0] == packedVersion) != c.packed {
			t.Errorf("%s: %d rows, the first of version %d", c.name, len(rows), rows[0][0])
		}
		if c.packed && len(rows[0]) > len(c.body)*7/8+bodyHeadSize {
			t.Errorf("%s: %d octets of %d", c.name, len(rows[0]), len(c.body))
		}
		if c.rows > 1 {
			continue // the others have to be read from a store
		}
		got, err := readBody(noRows{}, mail.BlobID{}, rows[0])
		if err != nil || !bytes.Equal(got, c.body) {
			t.Errorf("%s: %v", c.name, err)
		}
		for i := range min(len(rows[0]), 500) {
			bad := bytes.Clone(rows[0])
			bad[i] ^= 0x10
			if _, err := readBody(noRows{}, mail.BlobID{}, bad); i > 0 && !fault.Is(err, fault.Corrupt) {
				t.Fatalf("%s: octet %d was changed: %v", c.name, i, err)
			}
		}
	}
}

// FuzzReadBody reads any row as a body: what it takes has the checksum it says.
func FuzzReadBody(f *testing.F) {
	f.Add(encodeBody([]byte(strings.Repeat("a line\r\n", 20)))[0])
	f.Add(encodeBody(nil)[0])
	f.Fuzz(func(t *testing.T, row []byte) {
		h, _, err := decodeBodyHead(row)
		if err != nil || h.size > bodyRow && !h.packed {
			return
		}
		body, err := readBody(noRows{}, mail.BlobID{}, row)
		if err == nil && (checksum(body) != h.sum || int64(len(body)) != h.size) {
			t.Errorf("took %d octets that are not what the row says", len(body))
		}
	})
}
