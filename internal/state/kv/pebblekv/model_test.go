package pebblekv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/ekiden-mail/ekiden/internal/state/kv"
	"github.com/ekiden-mail/ekiden/internal/state/kv/memkv"
)

// pair is the model and the engine, which get the same history.
type pair struct {
	disk   *vfs.MemFS
	model  *memkv.DB
	engine *DB
}

var (
	modelShards = []kv.Shard{kv.Partition(0), kv.Partition(1), kv.Partition(2)}
	modelPlaces = append(append([]kv.Shard{}, modelShards...), kv.Shard(kv.Loose))
	errGivenUp  = errors.New("given up")
)

// step is one call of a transaction's function, the same for both.
type step struct {
	op       int
	key, end []byte
	value    []byte
	shard    kv.Shard
	reverse  bool
	limit    int
}

func drawKey(t *rapid.T) []byte {
	place := rapid.SampledFrom(modelPlaces).Draw(t, "place")
	return kv.NewKey(place).Text(rapid.StringOfN(rapid.RuneFrom([]rune("ab\x00\xff")), 0, 3, -1).Draw(t, "name"))
}

func drawSteps(t *rapid.T) []step {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		s := step{op: rapid.IntRange(0, 9).Draw(t, "op"), key: drawKey(t), end: drawKey(t),
			value: []byte(rapid.StringN(0, 4, -1).Draw(t, "value")), shard: rapid.SampledFrom(modelShards).Draw(t, "shard"),
			reverse: rapid.Bool().Draw(t, "reverse"), limit: rapid.IntRange(0, 3).Draw(t, "limit")}
		if rapid.Bool().Draw(t, "whole") {
			s.end = kv.PrefixEnd(s.key[:4])
			if bytes.HasPrefix(s.key, []byte(kv.Loose)) {
				s.end = kv.PrefixEnd([]byte(kv.Loose))
			}
		}
		return s
	}), 0, 12).Draw(t, "steps")
}

func (s step) span() kv.Range {
	return kv.Range{From: s.key, To: s.end, Reverse: s.reverse, Limit: s.limit}
}

// read does what a Reader can and says what it saw.
func (s step) read(r kv.Reader, out *strings.Builder) {
	switch s.op {
	case 0, 1:
		v, ok, err := r.Get(s.key)
		fmt.Fprintf(out, "get %q=%q %v %v;", s.key, v, ok, err)
	case 2:
		v, err := r.GetMany([][]byte{s.key, s.end})
		fmt.Fprintf(out, "many %q %v;", v, err)
	case 3, 4:
		for p, err := range r.Scan(s.span()) {
			fmt.Fprintf(out, "row %q=%q %v;", p.Key, p.Value, err)
		}
	case 5:
		fmt.Fprintf(out, "version %d;", r.Version(s.shard))
	}
}

func (s step) write(tx kv.Tx, out *strings.Builder) {
	switch s.op {
	case 6, 7:
		tx.Set(s.key, s.value)
	case 8:
		tx.Delete(s.key)
	case 9:
		if s.limit == 0 {
			tx.Clear(s.span())
			return
		}
		fmt.Fprintf(out, "next %d;", tx.Next(s.shard))
	}
}

func update(db kv.DB, shards []kv.Shard, steps []step, giveUp bool) string {
	var out strings.Builder
	err := db.Update(context.Background(), shards, func(tx kv.Tx) error {
		out.Reset()
		for _, s := range steps {
			s.read(tx, &out)
			s.write(tx, &out)
		}
		if giveUp {
			return errGivenUp
		}
		return nil
	})
	return fmt.Sprint(out.String(), err)
}

func view(db kv.DB, s kv.Shard, steps []step) string {
	var out strings.Builder
	err := db.View(context.Background(), s, func(r kv.Reader) error {
		for _, s := range steps {
			s.read(r, &out)
		}
		return nil
	})
	return fmt.Sprint(out.String(), err)
}

func (p *pair) open(t *rapid.T) {
	var err error
	if p.engine, err = Open("db", Options{FS: p.disk, Cache: 1 << 20, MemTable: 256 << 10}); err != nil {
		t.Fatal(err)
	}
}

func (p *pair) same(t *rapid.T, what string, do func(kv.DB) string) {
	if model, engine := do(p.model), do(p.engine); model != engine {
		t.Fatalf("%s\nmodel:  %s\nengine: %s", what, model, engine)
	}
}

// The same history gives the same answers, whatever restarts and crashes lie in
// between.
func TestSameAsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &pair{disk: vfs.NewCrashableMem(), model: memkv.New(memkv.Options{Rerun: true})}
		p.open(t)
		defer func() { _ = p.engine.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"update": func(t *rapid.T) {
				shards := rapid.SliceOfN(rapid.SampledFrom(modelShards), 0, 3).Draw(t, "shards")
				steps, giveUp := drawSteps(t), rapid.IntRange(0, 9).Draw(t, "give up") == 0
				p.same(t, "update", func(db kv.DB) string { return update(db, shards, steps, giveUp) })
			},
			"view": func(t *rapid.T) {
				shard := rapid.SampledFrom(append([]kv.Shard{nil}, modelShards...)).Draw(t, "shard")
				steps := drawSteps(t)
				p.same(t, "view", func(db kv.DB) string { return view(db, shard, steps) })
			},
			"backup": func(t *rapid.T) {
				p.same(t, "backup", func(db kv.DB) string {
					var rows []string
					var out bytes.Buffer
					note := func(k, v []byte) error { rows = append(rows, fmt.Sprintf("%q=%q", k, v)); return nil }
					err := errors.Join(db.Backup(context.Background(), &out), kv.ReadDump(&out, note,
						func(s kv.Shard, v kv.Version) error { return note(s, fmt.Append(nil, v)) }))
					return fmt.Sprint(rows, err)
				})
			},
			"restart": func(t *rapid.T) {
				if err := p.engine.Close(); err != nil {
					t.Fatal(err)
				}
				p.open(t)
			},
			"crash": func(t *rapid.T) {
				left := p.disk.CrashClone(vfs.CrashCloneCfg{})
				_ = p.engine.Close()
				p.disk = left
				p.model.Crash()
				p.open(t)
			},
		})
	})
}
