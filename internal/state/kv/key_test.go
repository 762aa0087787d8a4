package kv_test

import (
	"bytes"
	"cmp"
	"slices"
	"testing"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

func TestKeyForm(t *testing.T) {
	got := kv.NewKey([]byte("a/")).Uint8(7).Uint32(1).Uint64(2).Text("x\x00y").Fixed([]byte{9})
	want := "a/\x07\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02x\x00\xffy\x00\x01\x09"
	if string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r := kv.ReadKey(got, []byte("a/"))
	if a, b, c, d, e := r.Uint8(), r.Uint32(), r.Uint64(), r.Text(), r.Fixed(1); a != 7 || b != 1 || c != 2 || d != "x\x00y" || e[0] != 9 || r.Err() != nil {
		t.Errorf("read %d %d %d %q %v, %v", a, b, c, d, e, r.Err())
	}
}

func TestNewKeyLeavesItsPrefixAlone(t *testing.T) {
	prefix := append(make([]byte, 0, 16), "a/"...)
	_ = kv.NewKey(prefix).Uint64(1)
	if !bytes.Equal(prefix[:10], append([]byte("a/"), make([]byte, 8)...)) {
		t.Error("the prefix's room was written to")
	}
}

func TestReadKeyRefuses(t *testing.T) {
	for name, read := range map[string]func() error{
		"another prefix": func() error { return kv.ReadKey([]byte("b/"), []byte("a/")).Err() },
		"too short":      func() error { r := kv.ReadKey([]byte("a/123"), []byte("a/")); r.Uint32(); return r.Err() },
		"left over":      func() error { r := kv.ReadKey([]byte("a/12345"), []byte("a/")); r.Uint32(); return r.Err() },
		"no end":         func() error { r := kv.ReadKey([]byte("a/xyz"), []byte("a/")); r.Text(); return r.Err() },
		"half an end":    func() error { r := kv.ReadKey([]byte("a/xyz\x00"), []byte("a/")); r.Text(); return r.Err() },
		"strange escape": func() error { r := kv.ReadKey([]byte("a/x\x00\x02"), []byte("a/")); r.Text(); return r.Err() },
		"after failure": func() error {
			r := kv.ReadKey([]byte("a/1"), []byte("a/"))
			r.Uint32()
			if r.Uint8() != 0 || r.Text() != "" {
				t.Error("a failed reader still gives values")
			}
			return r.Err()
		},
	} {
		if read() != kv.ErrKey {
			t.Errorf("%s: %v", name, read())
		}
	}
}

func TestPrefixEnd(t *testing.T) {
	for in, want := range map[string]string{"a": "b", "a\xff": "b", "a/\x00": "a/\x01", "\xff": "", "": ""} {
		if got := kv.PrefixEnd([]byte(in)); string(got) != want {
			t.Errorf("PrefixEnd(%q) = %q, want %q", in, got, want)
		}
	}
}

// The order of keys is the order of their tuples, and reading gives them back.
func FuzzKeyOrder(f *testing.F) {
	f.Add("a", uint64(1), "b", uint64(2))
	f.Add("a\x00", uint64(1), "a\x00\xff", uint64(0))
	f.Add("", uint64(1<<63), "\x00\x01", uint64(0))
	f.Add("ab", uint64(7), "ab", uint64(8))
	f.Fuzz(func(t *testing.T, s1 string, n1 uint64, s2 string, n2 uint64) {
		k1 := kv.NewKey(nil).Text(s1).Uint64(n1)
		k2 := kv.NewKey(nil).Text(s2).Uint64(n2)
		want := cmp.Or(cmp.Compare(s1, s2), cmp.Compare(n1, n2))
		if got := bytes.Compare(k1, k2); got != want {
			t.Errorf("order of (%q,%d) and (%q,%d): keys say %d, tuples %d", s1, n1, s2, n2, got, want)
		}
		r := kv.ReadKey(k1, nil)
		if s, n := r.Text(), r.Uint64(); s != s1 || n != n1 || r.Err() != nil {
			t.Errorf("(%q,%d) became (%q,%d), %v", s1, n1, s, n, r.Err())
		}
		in := kv.Prefix(kv.NewKey(nil).Text(s1))
		if bytes.Compare(k1, in.From) < 0 || in.To != nil && bytes.Compare(k1, in.To) >= 0 {
			t.Errorf("%q lies outside the range of its prefix", k1)
		}
	})
}

// What ReadKey takes apart without an error is a key that Key makes.
func FuzzReadKey(f *testing.F) {
	f.Add([]byte("a\x00\x01\x00\x00\x00\x01"))
	f.Add([]byte("a\x00\xffb\x00\x01\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := kv.ReadKey(b, nil)
		s, n := r.Text(), r.Uint32()
		if r.Err() == nil && !bytes.Equal(b, kv.NewKey(nil).Text(s).Uint32(n)) {
			t.Errorf("%q reads as (%q, %d)", b, s, n)
		}
	})
}

func FuzzReadDump(f *testing.F) {
	var out bytes.Buffer
	d := kv.NewDumpWriter(&out)
	_ = d.Row([]byte("d/k"), []byte("v"))
	_ = d.Version(kv.DirectoryShard(), 3)
	_ = d.Close()
	f.Add(out.Bytes())
	f.Add(out.Bytes()[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		var again bytes.Buffer
		d := kv.NewDumpWriter(&again)
		if kv.ReadDump(bytes.NewReader(b), d.Row, d.Version) != nil {
			return
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if again.Len() > len(b) {
			t.Errorf("%q is written back as %q", b, again.Bytes())
		}
	})
}

func TestShardsAreNoPrefixesOfEachOther(t *testing.T) {
	shards := []kv.Shard{kv.DirectoryShard(), kv.AccountShard(0), kv.AccountShard(1), kv.AccountShard(1 << 63)}
	for i := range kv.Partitions {
		shards = append(shards, kv.Partition(uint8(i)))
	}
	slices.SortFunc(shards, func(a, b kv.Shard) int { return bytes.Compare(a, b) })
	for i, s := range shards {
		if i > 0 && bytes.HasPrefix(s, shards[i-1]) || bytes.HasPrefix(s, []byte(kv.Loose)) {
			t.Errorf("shard %q", s)
		}
	}
	if err := kv.NewFence(shards).Err(); err != nil {
		t.Error(err)
	}
}
