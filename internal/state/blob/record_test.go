package blob

import (
	"bytes"
	"crypto/sha256"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

// recordOf gives the record of b as it lies in a segment.
func recordOf(t testing.TB, b []byte) []byte {
	t.Helper()
	m := newMemory()
	db := memkv.New(memkv.Options{})
	s, err := Open(Options{DB: db, FS: m})
	if err != nil {
		t.Fatal(err)
	}
	h, err := s.Put(ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return m.files[segmentName(1)].data[h.at.offset:][:h.at.length]
}

// The written form is a promise: a store of today is read by the program of
// tomorrow.
func TestRecordForm(t *testing.T) {
	body := noise(chunkSize+5, 1)
	sum := sha256.Sum256(body)
	b := recordOf(t, body)
	n := headSize + len(body)
	want := [][]byte{
		[]byte("EKB\x01\x00\x00\x00\x00"), sum[:],
		{0, 0, 0, 0, 0, 2, 0, 5}, {0, 0, 0, 0, 0, 2, 0, 25}, {0, 2, 0, 0}, be32(checksum(b[:60])),
		body,
		{0, 2, 0, 0}, be32(checksum(body[:chunkSize])), {0, 0, 0, 5}, be32(checksum(body[chunkSize:])), be32(checksum(b[n : n+16])),
	}
	if got := bytes.Join(want, nil); !bytes.Equal(b, got) {
		t.Errorf("head %x\nwant %x\nindex %x\nwant %x", b[:headSize], got[:headSize], b[n:], got[n:])
	}
}

func be32(n uint32) []byte { return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)} }

func TestCompression(t *testing.T) {
	if b := recordOf(t, text(1_000_000)); len(b) > 100_000 {
		t.Errorf("1 MB of text takes %d octets", len(b))
	}
	if b := recordOf(t, noise(200_000, 1)); len(b) != headSize+200_000+2*indexEntry+4 {
		t.Errorf("200 KB of noise take %d octets", len(b))
	}
}

func FuzzRecord(f *testing.F) {
	unpack, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(chunkSize))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(unpack.Close)
	f.Add(recordOf(f, noise(40_000, 1)))
	f.Add(recordOf(f, text(50_000)))
	f.Add(recordOf(f, text(chunkSize+1)))
	f.Add([]byte("EKB\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := openRecord(memoryRecord(b), int64(len(b)))
		if err != nil {
			return
		}
		var body []byte
		for i := range rec.chunks {
			part, err := rec.chunk(i, unpack, nil)
			if err != nil {
				return
			}
			if len(part) > chunkSize {
				t.Fatalf("a chunk of %d octets", len(part))
			}
			body = append(body, part...)
		}
		if int64(len(body)) != rec.size {
			t.Errorf("the head says %d octets, the chunks have %d", rec.size, len(body))
		}
	})
}

// The checksums make it unlikely that a fuzzer gets behind them; this one
// computes them itself.
func FuzzRecordBehindChecksums(f *testing.F) {
	f.Add(int64(10_000), int64(10_012), []byte{0, 0, 0x27, 0x10, 0, 0, 0, 0})
	f.Add(int64(1), int64(13), []byte{0, 0, 0, 1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, size, stored int64, index []byte) {
		h, err := decodeHead(head{id: mail.BlobID{1}, size: size, stored: stored}.encode())
		if err != nil {
			return
		}
		if h.size != size || h.stored != stored {
			t.Fatalf("%d, %d became %d, %d", size, stored, h.size, h.stored)
		}
		chunks, err := decodeIndex(h, append(index, be32(checksum(index))...))
		if err != nil {
			return
		}
		end := int64(0)
		for _, c := range chunks {
			if c.offset != end || c.length <= 0 || c.length > chunkSize {
				t.Fatalf("chunk %+v behind %d", c, end)
			}
			end += c.length
		}
		if end+h.indexSize() != stored {
			t.Errorf("the chunks end at %d of %d", end, stored)
		}
	})
}

func FuzzRows(f *testing.F) {
	f.Add(location{1, 2, 100}.encode(7))
	f.Add(encodeBody([]byte("body"))[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		if at, size, err := decodeLocation(b); err == nil && !bytes.Equal(at.encode(size), b) {
			t.Errorf("%x is a location that is written otherwise", b)
		}
		if h, rest, err := decodeBodyHead(b); err == nil && (h.size < 0 || h.size > maxInline || len(rest) != len(b)-bodyHeadSize) {
			t.Errorf("%x is a body of %d octets", b, h.size)
		}
	})
}

// A partial read of a compressed body unpacks the chunk it lies in, once.
func BenchmarkPartialRead(b *testing.B) {
	s, err := Open(Options{DB: memkv.New(memkv.Options{})})
	if err != nil {
		b.Fatal(err)
	}
	h := store(b, s, text(10<<20), 1)
	r, err := s.Open(ctx, h.ID())
	if err != nil {
		b.Fatal(err)
	}
	part := make([]byte, 4<<10)
	b.SetBytes(int64(len(part)))
	for i := range b.N {
		if _, err := r.ReadAt(part, int64(i)*int64(len(part))%(10<<20-4<<10)); err != nil && err != io.EOF {
			b.Fatal(err)
		}
	}
	_ = r.Close()
	_ = s.Close()
}
