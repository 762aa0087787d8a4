package mailbox

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ekiden-mail/ekiden/internal/mail"
)

// rowDecoders decode a row and encode it again.
var rowDecoders = []func(b []byte) ([]byte, error){
	func(b []byte) ([]byte, error) { r, err := decodeAccount(b); return r.encode(), err },
	func(b []byte) ([]byte, error) { r, err := decodeBox(1, b); return r.encode(), err },
	func(b []byte) ([]byte, error) { r, err := decodePlacement(b); return r.encode(), err },
	func(b []byte) ([]byte, error) { r, err := decodeMessage(1, b); return r.encode(), err },
	func(b []byte) ([]byte, error) { r, err := decodeVanished(b); return r.encode(), err },
	func(b []byte) ([]byte, error) { r, err := decodeArrival(b); return r.encode(), err },
	func(b []byte) ([]byte, error) { r, err := decodeThread(b); return r.encode(), err },
	func(b []byte) ([]byte, error) { r, err := decodeDead(b); return r.encode(), err },
	func(b []byte) ([]byte, error) { r, err := decodeGone(1, b); return r.encode(), err },
	func(b []byte) ([]byte, error) { r, err := decodeBlock(5, b); return r.encode(), err },
	func(b []byte) ([]byte, error) { r, err := decodeID(b); return encodeID(r), err },
	func(b []byte) ([]byte, error) {
		r, err := decodeKeywords(b)
		if err != nil {
			return nil, err
		}
		return r.encode(), nil
	},
}

// sampleRows is one row of each kind, in the order of rowDecoders.
func sampleRows() [][]byte {
	at := time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC)
	blk := block{first: 5, unseen: 2, deleted: 1}
	for _, u := range []UID{5, 6, 7, 9, 20, 21} {
		blk.add(u)
	}
	return [][]byte{
		(&accountRow{lastBox: 9, lastMessage: 1 << 40, lastUIDValidity: 1 << 31, usage: Usage{5, 6}, states: States{1, 2, 3}, floor: 4, kept: Usage{7, 1}}).encode(),
		(&boxRow{leaf: "é", floor: 3, tail: 1, doomed: true, Box: Box{Parent: 3, Role: RoleSent, UIDValidity: 7, UIDNext: 8, Size: 1 << 50, Subscribed: true},
			stage: stage{hidden: true, into: 3, first: 1 << 30, joined: 1 << 40, stages: []BoxID{8, 9}}}).encode(),
		(&placementRow{message: 7, created: 5, modSeq: 900, flags: mail.FlagSeen, keywords: []uint32{0, 5, 700}, size: 1 << 33, received: at, saved: when}).encode(),
		(&messageRow{threads: []uint64{1 << 63, 5}, Message: Message{Blob: mail.BlobID{1}, Prefix: []byte("P"), Size: 5, Received: at, Thread: 7,
			Arrival: mail.ArrivalID{9}, Places: []Place{{1, 2}, {3, 4}}}}).encode(),
		(&vanishedRow{message: 3, created: 2, at: at, last: true, lone: true, thread: 5, born: 1, arrival: mail.ArrivalID{7}}).encode(),
		(&arrivalRow{message: 3, places: []Place{{4, 5}}}).encode(),
		(&threadRow{thread: 5, count: 3}).encode(),
		(&deadRow{created: 5, at: at}).encode(),
		(&goneRow{mailbox: "A/é", flags: mail.FlagSeen, keywords: []uint32{1, 300}, messageRow: messageRow{threads: []uint64{5},
			Message: Message{Blob: mail.BlobID{1}, Size: 5, Received: at, Thread: 7}}}).encode(),
		blk.encode(),
		encodeID(77),
		newKeywordTable([]string{"$Forwarded", "x"}).encode(),
	}
}

func TestRowsComeBack(t *testing.T) {
	for i, b := range sampleRows() {
		got, err := rowDecoders[i](b)
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("row %d: %x became %x, %v", i, b, got, err)
		}
		for n := range b {
			// The ends of lists are the end of the row: a cut there goes unseen.
			if again, err := rowDecoders[i](b[:n]); err == nil && !bytes.Equal(again, b[:n]) {
				t.Errorf("row %d cut to %x became %x", i, b[:n], again)
			}
		}
		if _, err := rowDecoders[i](append([]byte{2}, b[1:]...)); err == nil {
			t.Errorf("row %d: a format of the future was read", i)
		}
	}
}

// FuzzRows feeds any bytes to every decoder. What one takes must survive being
// written and read again.
func FuzzRows(f *testing.F) {
	for i, b := range sampleRows() {
		f.Add(uint8(i), b)
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		decode := rowDecoders[int(which)%len(rowDecoders)]
		once, err := decode(b)
		if err != nil {
			return
		}
		twice, err := decode(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%d: %x became %x, then %x, %v", which, b, once, twice, err)
		}
	})
}

// TestBlock compares a block with a plain list.
func TestBlock(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		k := block{first: 10}
		var list []UID
		next := UID(10)
		for range rnd.IntN(60) {
			next += UID(rnd.IntN(3))
			if len(list) > 0 && next == list[len(list)-1] {
				next++
			}
			k.add(next)
			list = append(list, next)
		}
		for range rnd.IntN(60) {
			u := UID(10 + rnd.IntN(80))
			i, ok := slices.BinarySearch(list, u)
			if _, found := k.find(u); found != ok {
				t.Fatalf("find %d: %v", u, found)
			}
			if k.remove(u) != ok {
				t.Fatalf("remove %d", u)
			}
			if ok {
				list = slices.Delete(list, i, i+1)
			}
			if !slices.Equal(k.appendTo(nil), list) || int(k.count) != len(list) {
				t.Fatalf("block %v, want %v", k, list)
			}
			back, err := decodeBlock(10, k.encode())
			if err != nil || !slices.Equal(back.spans, k.spans) || back.count != k.count {
				t.Fatalf("%v came back as %v, %v", k, back, err)
			}
		}
	}
}
