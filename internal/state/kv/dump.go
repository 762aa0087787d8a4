package kv

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"

	"github.com/ekiden-mail/ekiden/internal/fault"
)

// A backup is the same for all engines: a line, then items of a tag, a key and
// a value, each with its length in front, then an end with their number and the
// SHA-256 of all before. docs/store.md describes it.
const dumpMagic = "ekiden rows 1\n"

const (
	dumpEnd     = 0
	dumpRow     = 1
	dumpVersion = 2
	dumpGone    = 3 // in the bits above: only where a backup holds what differs from an earlier one
)

// Item is one thing in a backup: a row, or a shard's version.
type Item struct {
	Key     []byte // of a version: the shard
	Value   []byte
	Version bool // Value is a shard's version, in eight octets
	Gone    bool // what an earlier backup had is there no more
}

// Before says whether i comes before j: versions come first, as in every engine,
// and each kind in the order of its keys.
func (i *Item) Before(j *Item) bool {
	if i.Version != j.Version {
		return i.Version
	}
	return bytes.Compare(i.Key, j.Key) < 0
}

// DumpWriter writes what Backup gives out.
type DumpWriter struct {
	w   *bufio.Writer
	sum hash.Hash
	n   uint64
	buf []byte
	err error
}

// NewDumpWriter begins a backup on w.
func NewDumpWriter(w io.Writer) *DumpWriter {
	d := &DumpWriter{sum: sha256.New()}
	d.w = bufio.NewWriterSize(io.MultiWriter(w, d.sum), 1<<16)
	_, d.err = d.w.WriteString(dumpMagic)
	return d
}

// Row writes one row.
func (d *DumpWriter) Row(key, value []byte) error { return d.item(dumpRow, key, value) }

// Version writes a shard's version.
func (d *DumpWriter) Version(s Shard, v Version) error {
	return d.item(dumpVersion, s, binary.BigEndian.AppendUint64(nil, uint64(v)))
}

// Item writes what a DumpReader gave.
func (d *DumpWriter) Item(i *Item) error {
	tag := byte(dumpRow)
	if i.Version {
		tag = dumpVersion
	}
	if i.Gone {
		tag |= dumpGone << 2
	}
	return d.item(tag, i.Key, i.Value)
}

func (d *DumpWriter) item(tag byte, key, value []byte) error {
	if d.err != nil {
		return d.err
	}
	d.n++
	d.buf = append(d.buf[:0], tag)
	d.buf = binary.AppendUvarint(d.buf, uint64(len(key)))
	d.buf = binary.AppendUvarint(d.buf, uint64(len(value)))
	_, e1 := d.w.Write(d.buf)
	_, e2 := d.w.Write(key)
	_, e3 := d.w.Write(value)
	d.err = errors.Join(e1, e2, e3)
	return d.err
}

// Close writes the end. The writer below stays open.
func (d *DumpWriter) Close() error {
	if d.err != nil {
		return d.err
	}
	d.buf = binary.BigEndian.AppendUint64(append(d.buf[:0], dumpEnd), d.n)
	_, e1 := d.w.Write(d.buf)
	e2 := d.w.Flush()
	_, e3 := d.w.Write(d.sum.Sum(nil))
	d.err = errors.Join(e1, e2, e3, d.w.Flush())
	return d.err
}

// ReadDump reads a backup and gives each row and each shard's version. Only
// when it returns nil was all of it there and whole; otherwise what was given
// is to be thrown away.
func ReadDump(r io.Reader, row func(key, value []byte) error, version func(Shard, Version) error) error {
	d := NewDumpReader(r)
	for {
		i, err := d.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case i.Gone:
			return d.corrupt()
		case i.Version:
			err = version(i.Key, Version(binary.BigEndian.Uint64(i.Value)))
		default:
			err = row(i.Key, i.Value)
		}
		if err != nil {
			return err
		}
	}
}

// DumpReader reads a backup item by item.
type DumpReader struct {
	r   *bufio.Reader
	sum hash.Hash
	n   uint64
	err error
}

// NewDumpReader begins to read r.
func NewDumpReader(r io.Reader) *DumpReader {
	d := &DumpReader{r: bufio.NewReaderSize(r, 1<<16), sum: sha256.New()}
	if string(d.take(len(dumpMagic))) != dumpMagic {
		d.err = errors.Join(errors.New("another beginning"), d.err)
	}
	return d
}

// Next gives the next item, the caller's to keep; io.EOF when all were given and
// the end is whole. Any other error is fault.Corrupt: what was given is to be
// thrown away.
func (d *DumpReader) Next() (*Item, error) {
	if d.err != nil {
		return nil, d.corrupt()
	}
	tag := d.byte()
	if tag == dumpEnd {
		return nil, d.end(d.n)
	}
	i := &Item{Version: tag&3 == dumpVersion, Gone: tag>>2 == dumpGone}
	keyLen, valueLen := d.uvarint(), d.uvarint()
	if d.err != nil || tag&3 != dumpRow && !i.Version || tag>>2 != 0 && !i.Gone || keyLen > MaxKey || valueLen > MaxValue {
		return nil, d.corrupt()
	}
	i.Key, i.Value = d.take(int(keyLen)), d.take(int(valueLen))
	if d.err != nil || i.Version && !i.Gone && len(i.Value) != 8 {
		return nil, d.corrupt()
	}
	d.n++
	return i, nil
}

func (d *DumpReader) take(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(d.r, b); err != nil {
		d.err = errors.Join(d.err, err)
	}
	d.sum.Write(b)
	return b
}

func (d *DumpReader) byte() byte { return d.take(1)[0] }

func (d *DumpReader) uvarint() uint64 {
	v, err := binary.ReadUvarint(sumByte{d})
	d.err = errors.Join(d.err, err)
	return v
}

// sumByte reads octets one at a time into the sum.
type sumByte struct{ d *DumpReader }

// ReadByte reads the next octet.
func (s sumByte) ReadByte() (byte, error) { b := s.d.byte(); return b, s.d.err }

// end is io.EOF if all was there.
func (d *DumpReader) end(n uint64) error {
	count := binary.BigEndian.Uint64(d.take(8))
	want := d.sum.Sum(nil)
	got := make([]byte, len(want))
	_, err := io.ReadFull(d.r, got)
	if d.err != nil || err != nil || count != n || !bytes.Equal(got, want) {
		return d.corrupt()
	}
	return io.EOF
}

func (d *DumpReader) corrupt() error {
	return &fault.Error{Kind: fault.Corrupt, Op: "kv.ReadDump", Public: "the backup is damaged or incomplete", Err: d.err}
}
