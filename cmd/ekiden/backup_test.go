package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestBackupCommands takes a backup of a store that no server has open, brings
// it back elsewhere, and has a body damaged found in each.
func TestBackupCommands(t *testing.T) {
	dir := t.TempDir()
	data, copied, back := filepath.Join(dir, "data"), filepath.Join(dir, "backup"), filepath.Join(dir, "back")
	file := filepath.Join(dir, "in.mbox")
	large := make([]byte, 64<<10)
	noise := rand.NewPCG(1, 2)
	for i := range large {
		large[i] = "0123456789abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ\n"[noise.Uint64()%64]
	}
	if err := os.WriteFile(file, append([]byte(twoMessages+"From a Tue Jan  5 12:00:00 2021\nSubject: large\n\n"), large...), 0o600); err != nil {
		t.Fatal(err)
	}
	play(t, data, []line{
		{"backup " + copied, "", 1, `there is no server over`},
		{"verify store", "", 1, `there is no server over`},
		{"domain add example.test", "", 0, `added`},
		{"account add alice@example.test --password-stdin", "pencil\n", 0, `added`},
		{"import mbox " + file + " alice@example.test", "", 0, `^3 messages`},
		{"backup " + copied, "", 0, `^backup of \d{4}-.*: \d+ rows, .* written\n$`},
		{"backup " + copied + " --json", "", 0, `^\{"taken":"\d{4}-.*"rows":\d+,.*"whole":false\}\n$`},
		{"backup " + filepath.Dir(file), "", 1, `backup`},
		{"verify store", "", 0, `^1 account and \d+ bodies looked at\nall is well\n$`},
		{"verify store --json", "", 0, `^\{"accounts":1,"bodies":\d+,"problems":\[\],"failed":0\}\n$`},
		{"restore " + copied, "", 1, `there is a store`},
	})
	play(t, back, []line{
		{"restore " + dir, "", 1, `there is no backup`},
		{"restore " + copied, "", 0, `was restored into`},
		{"account show alice@example.test", "", 0, `messages +3`},
		{"verify store", "", 0, `all is well`},
	})
	for where, words := range map[string][]string{data: {"verify", "store", "--data", data}, copied: {"verify", "backup", copied}} {
		if out, complaint, code := capture(t, "", words...); code != 0 {
			t.Errorf("%s: %d %s%s", where, code, out, complaint)
		}
		damage(t, where)
		if out, complaint, code := capture(t, "", words...); code != 1 {
			t.Errorf("%s: damage is not found: %d %s%s", where, code, out, complaint)
		}
	}
}

// damage turns a bit of the largest segment file below dir.
func damage(t *testing.T, dir string) {
	t.Helper()
	var path string
	var most int64
	err := filepath.Walk(dir, func(p string, info os.FileInfo, err error) error {
		if err == nil && filepath.Ext(p) == ".seg" && info.Size() > most {
			path, most = p, info.Size()
		}
		return err
	})
	if err != nil || path == "" {
		t.Fatal("no segment file", err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 4
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
