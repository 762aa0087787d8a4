package blob

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// A record is a head, the body in chunks, and an index of the chunks. Each chunk
// is stored plain or as one zstd frame, whichever is shorter, with a checksum of
// its own: any part can be read and verified alone. docs/store.md has the form.
const (
	recordMagic = "EKB\x01"
	headSize    = 64
	chunkSize   = 128 << 10
	indexEntry  = 8
	zstdBit     = 1 << 31 // in an index entry's length: the chunk is a zstd frame
	maxBody     = 1 << 40
)

var (
	errRecord   = errors.New("malformed record")
	errChecksum = errors.New("wrong checksum")
)

// head says what a record holds.
type head struct {
	id     mail.BlobID
	size   int64 // of the body
	stored int64 // of the chunks and the index
}

func (h head) chunks() int64 { return (h.size + chunkSize - 1) / chunkSize }

func (h head) indexSize() int64 { return h.chunks()*indexEntry + 4 }

func (h head) encode() []byte {
	b := append(make([]byte, 0, headSize), recordMagic...)
	b = binary.BigEndian.AppendUint32(b, 0) // flags, none so far
	b = append(b, h.id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.size))
	b = binary.BigEndian.AppendUint64(b, uint64(h.stored))
	b = binary.BigEndian.AppendUint32(b, chunkSize)
	return binary.BigEndian.AppendUint32(b, checksum(b))
}

func decodeHead(b []byte) (head, error) {
	var h head
	if len(b) < headSize || string(b[:4]) != recordMagic || binary.BigEndian.Uint32(b[4:]) != 0 ||
		binary.BigEndian.Uint32(b[56:]) != chunkSize {
		return h, errRecord
	}
	if checksum(b[:60]) != binary.BigEndian.Uint32(b[60:]) {
		return h, errChecksum
	}
	copy(h.id[:], b[8:])
	h.size = int64(binary.BigEndian.Uint64(b[40:]))
	h.stored = int64(binary.BigEndian.Uint64(b[48:]))
	if h.size < 0 || h.size > maxBody || h.stored < h.indexSize() || h.stored > h.size+h.indexSize() {
		return h, errRecord
	}
	return h, nil
}

// chunk is an entry of the index.
type chunk struct {
	offset int64 // behind the head
	length int64
	packed bool
	sum    uint32 // CRC-32C of the chunk as stored
}

func encodeIndex(chunks []chunk) []byte {
	b := make([]byte, 0, len(chunks)*indexEntry+4)
	for _, c := range chunks {
		n := uint32(c.length)
		if c.packed {
			n |= zstdBit
		}
		b = binary.BigEndian.AppendUint32(b, n)
		b = binary.BigEndian.AppendUint32(b, c.sum)
	}
	return binary.BigEndian.AppendUint32(b, checksum(b))
}

func decodeIndex(h head, b []byte) ([]chunk, error) {
	n := len(b) - 4
	if int64(len(b)) != h.indexSize() {
		return nil, errRecord
	}
	if checksum(b[:n]) != binary.BigEndian.Uint32(b[n:]) {
		return nil, errChecksum
	}
	chunks := make([]chunk, h.chunks())
	offset, rest := int64(0), h.size
	for i := range chunks {
		n := binary.BigEndian.Uint32(b[i*indexEntry:])
		c := chunk{offset: offset, length: int64(n &^ zstdBit), packed: n&zstdBit != 0, sum: binary.BigEndian.Uint32(b[i*indexEntry+4:])}
		plain := min(rest, chunkSize)
		if c.length == 0 || c.length > plain || !c.packed && c.length != plain {
			return nil, errRecord
		}
		chunks[i] = c
		offset += c.length
		rest -= plain
	}
	if offset+h.indexSize() != h.stored {
		return nil, errRecord
	}
	return chunks, nil
}

// record reads the body of one record.
type record struct {
	head
	r      io.ReaderAt // the record begins at 0
	whole  []byte      // instead of r: the record is in memory
	chunks []chunk
	stored []byte // room for a chunk as it is stored
}

// openRecord reads the head and the index of a record of length octets.
func openRecord(r io.ReaderAt, length int64) (*record, error) {
	b := make([]byte, headSize)
	if err := readFull(r, b, 0); err != nil {
		return nil, err
	}
	h, err := decodeHead(b)
	if err != nil {
		return nil, err
	}
	if headSize+h.stored != length {
		return nil, errRecord
	}
	index := make([]byte, h.indexSize())
	if err := readFull(r, index, length-h.indexSize()); err != nil {
		return nil, err
	}
	chunks, err := decodeIndex(h, index)
	return &record{head: h, r: r, chunks: chunks}, err
}

// openWhole is openRecord of a record that is in memory.
func openWhole(b []byte) (*record, error) {
	rec, err := openRecord(memoryRecord(b), int64(len(b)))
	if rec != nil {
		rec.whole = b
	}
	return rec, err
}

// readFull reads all of b; an end before that is a malformed record.
func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return errRecord
	}
	return err
}

// sound verifies chunk i as it is stored.
func (r *record) sound(i int) error {
	stored := make([]byte, r.chunks[i].length)
	if err := readFull(r.r, stored, headSize+r.chunks[i].offset); err != nil {
		return err
	}
	if checksum(stored) != r.chunks[i].sum {
		return errChecksum
	}
	return nil
}

// chunk gives chunk i, in out's room or in the record's own: it is good until the
// next call.
func (r *record) chunk(i int, unpack *zstd.Decoder, out []byte) ([]byte, error) {
	c := r.chunks[i]
	plain := min(chunkSize, r.size-int64(i)*chunkSize)
	stored, err := r.read(c)
	if err != nil {
		return nil, err
	}
	if checksum(stored) != c.sum {
		return nil, errChecksum
	}
	if !c.packed {
		return stored, nil
	}
	out, err = unpack.DecodeAll(stored, out[:0])
	if err != nil || int64(len(out)) != plain {
		return nil, errRecord
	}
	return out, nil
}

// read gives a chunk as it is stored.
func (r *record) read(c chunk) ([]byte, error) {
	if r.whole != nil {
		return r.whole[headSize+c.offset:][:c.length], nil
	}
	if int64(cap(r.stored)) < c.length {
		r.stored = make([]byte, c.length)
	}
	stored := r.stored[:c.length]
	return stored, readFull(r.r, stored, headSize+c.offset)
}
