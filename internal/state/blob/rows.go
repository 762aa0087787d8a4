package blob

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/klauspost/compress/s2"

	"github.com/ekiden-mail/ekiden/internal/fault"
	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

const (
	atPrefix   = kv.Loose + "at/"
	bodyPrefix = kv.Loose + "body/"
	deadPrefix = kv.Loose + "dead/"
	refPrefix  = kv.Loose + "ref/"
)

// bodyRow is how many octets of a body one row takes.
const bodyRow = 64 << 10

// maxInline is the most that is ever kept in rows, whatever the options say.
const maxInline = 1 << 20

func atKey(id mail.BlobID) kv.Key   { return kv.NewKey([]byte(atPrefix)).Fixed(id[:]) }
func deadKey(id mail.BlobID) kv.Key { return kv.NewKey([]byte(deadPrefix)).Fixed(id[:]) }
func refsKey(id mail.BlobID) kv.Key { return kv.NewKey([]byte(refPrefix)).Fixed(id[:]) }

func bodyKey(id mail.BlobID, n uint32) kv.Key {
	return kv.NewKey([]byte(bodyPrefix)).Fixed(id[:]).Uint32(n)
}

func refKey(id mail.BlobID, o Owner) kv.Key {
	return refsKey(id).Uint8(o.Kind).Uint64(o.Shard).Fixed(o.ID[:])
}

func idOf(key []byte, prefix string) (id mail.BlobID, err error) {
	r := kv.ReadKey(key, []byte(prefix))
	copy(id[:], r.Fixed(len(id)))
	return id, r.Err()
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

var errRow = errors.New("malformed row")

func corrupt(op string, err error) error { return fault.As(fault.Corrupt, op, err) }

// location is where a record lies in the segments. Segments count from 1.
type location struct {
	segment uint64
	offset  int64
	length  int64 // of the whole record
}

// The first octet of a location or a body.
const (
	rowVersion    = 1
	packedVersion = 2 // a body compressed with S2
)

func (l location) encode(size int64) []byte {
	b := append(make([]byte, 0, 33), rowVersion)
	b = binary.BigEndian.AppendUint64(b, l.segment)
	b = binary.BigEndian.AppendUint64(b, uint64(l.offset))
	b = binary.BigEndian.AppendUint64(b, uint64(l.length))
	return binary.BigEndian.AppendUint64(b, uint64(size))
}

func decodeLocation(b []byte) (l location, size int64, err error) {
	if len(b) != 33 || b[0] != rowVersion {
		return l, 0, corrupt("blob", errRow)
	}
	l.segment = binary.BigEndian.Uint64(b[1:])
	l.offset = int64(binary.BigEndian.Uint64(b[9:]))
	l.length = int64(binary.BigEndian.Uint64(b[17:]))
	size = int64(binary.BigEndian.Uint64(b[25:]))
	if l.segment == 0 || l.offset < 0 || l.length < headSize || size < 0 {
		return l, 0, corrupt("blob", errRow)
	}
	return l, size, nil
}

// bodyHead stands in front of a body's first row.
type bodyHead struct {
	packed bool
	size   int64  // of the body
	sum    uint32 // CRC-32C of the body
}

const bodyHeadSize = 9

func (h bodyHead) append(b []byte) []byte {
	version := byte(rowVersion)
	if h.packed {
		version = packedVersion
	}
	b = binary.BigEndian.AppendUint32(append(b, version), uint32(h.size))
	return binary.BigEndian.AppendUint32(b, h.sum)
}

// encodeBody makes the rows of a small body, at least one. A body that is
// packed has no more than that.
func encodeBody(body []byte) [][]byte {
	h := bodyHead{size: int64(len(body)), sum: checksum(body)}
	if packed := pack(h, body); packed != nil {
		return [][]byte{packed}
	}
	n := min(len(body), bodyRow)
	rows := [][]byte{append(h.append(make([]byte, 0, bodyHeadSize+n)), body[:n]...)}
	for body = body[n:]; len(body) > 0; body = body[n:] {
		n = min(len(body), bodyRow)
		rows = append(rows, body[:n])
	}
	return rows
}

// pack makes the one row of a body that is at least an eighth smaller packed;
// nil for others. S2 takes a tenth of the time that zstd takes for so little, and
// spares the log and the engine's tables most of what zstd would: see
// docs/decisions/009-small-bodies.md.
func pack(h bodyHead, body []byte) []byte {
	if len(body) > bodyRow {
		return nil
	}
	h.packed = true
	buffer := make([]byte, bodyHeadSize+s2.MaxEncodedLen(len(body)))
	row := h.append(buffer[:0])
	row = row[:bodyHeadSize+len(s2.Encode(buffer[bodyHeadSize:], body))]
	if len(row) > bodyHeadSize+len(body)-len(body)/8 || len(body) == 0 {
		return nil
	}
	return row
}

func decodeBodyHead(first []byte) (bodyHead, []byte, error) {
	if len(first) < bodyHeadSize || first[0] != rowVersion && first[0] != packedVersion {
		return bodyHead{}, nil, corrupt("blob", errRow)
	}
	h := bodyHead{
		packed: first[0] == packedVersion,
		size:   int64(binary.BigEndian.Uint32(first[1:])), sum: binary.BigEndian.Uint32(first[5:]),
	}
	if h.size > maxInline || h.packed && h.size > bodyRow {
		return bodyHead{}, nil, corrupt("blob", errRow)
	}
	return h, first[bodyHeadSize:], nil
}

// readBody gives the body whose first row is known.
func readBody(r kv.Reader, id mail.BlobID, first []byte) ([]byte, error) {
	body, _, err := readBodyInto(r, id, first, nil)
	return body, err
}

// readBodyInto is readBody into room, which grows and is given back. What lies in
// room already stays as it is.
func readBodyInto(r kv.Reader, id mail.BlobID, first, room []byte) (body, after []byte, err error) {
	h, stored, err := decodeBodyHead(first)
	if err != nil {
		return nil, room, err
	}
	at, end := len(room), len(room)+int(h.size)
	if end > cap(room) {
		room, at, end = make([]byte, 0, max(2*cap(room), int(h.size))), 0, int(h.size)
	}
	body = room[at:end:end]
	if h.packed {
		err = unpack(body, stored)
	} else {
		err = gatherRows(r, id, body, stored)
	}
	if err == nil && checksum(body) != h.sum {
		err = corrupt("blob", errChecksum)
	}
	if err != nil {
		return nil, room, err
	}
	return body, room[:end], nil
}

// unpack fills body.
func unpack(body, packed []byte) error {
	n, err := s2.DecodedLen(packed)
	if err != nil || n != len(body) {
		return corrupt("blob", errRow)
	}
	if _, err := s2.Decode(body, packed); err != nil {
		return corrupt("blob", err)
	}
	return nil
}

// gatherRows fills body from its first row and the others.
func gatherRows(r kv.Reader, id mail.BlobID, body, first []byte) error {
	filled := 0
	add := func(row []byte) {
		copy(body[min(filled, len(body)):], row)
		filled += len(row)
	}
	add(first)
	var keys [][]byte
	for n := bodyRow; n < len(body); n += bodyRow {
		keys = append(keys, bodyKey(id, uint32(len(keys)+1)))
	}
	err := r.Each(keys, func(_ int, row []byte) error {
		add(row)
		return nil
	})
	if err == nil && filled != len(body) {
		err = corrupt("blob", errRow)
	}
	return err
}
