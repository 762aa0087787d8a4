package imapd_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ekiden-mail/ekiden/internal/mail"
	"github.com/ekiden-mail/ekiden/internal/state/kv"
)

// TestSearchWithAndWithoutIndex asks the same of a mailbox before it is indexed,
// after, and in between: the answers may not differ.
func TestSearchWithAndWithoutIndex(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { searchAround(t, seed) })
		})
	}
}

func searchAround(t *testing.T, seed uint64) {
	w := newWorld(t, nil)
	rnd := rand.New(rand.NewPCG(seed, 9))
	index := func() {
		for more := true; more; {
			var err error
			if more, err = w.boxes.IndexMessages(t.Context(), w.alice); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 60 {
		w.deliver([]string{"INBOX", "INBOX", "INBOX", "Sent"}[rnd.IntN(4)], searchLetter(rnd, i), mail.Flags(rnd.IntN(4)))
		if i == 20 || i == 45 {
			index()
		}
	}
	m := &model{t: t, w: w, c: w.connect(), name: "client", flags: map[uint32]string{}}
	m.do("LOGIN alice@example.test secret")
	m.do("SELECT INBOX")
	m.do("COPY 3:6 INBOX")
	m.do("COPY 9 Sent")
	m.do("STORE 5 +FLAGS.SILENT (\\Deleted)")
	m.do("EXPUNGE")
	m.do("NOOP")
	var queries []string
	for range 60 {
		queries = append(queries, searchQuery(rnd, 2))
	}
	ask := func() (all []string) {
		for _, q := range queries {
			r := m.do("UID SEARCH CHARSET UTF-8 " + q)
			if r.Status != "OK" {
				t.Errorf("%s: %+v", q, r)
			}
			all = append(all, m.searched())
		}
		return all
	}
	half := ask()
	index()
	full := ask()
	again := ask() // what it looked at, it knows now
	if err := w.boxes.Reindex(t.Context(), w.alice); err != nil {
		t.Fatal(err)
	}
	none := ask()
	for i, q := range queries {
		if half[i] != none[i] || full[i] != none[i] || again[i] != none[i] {
			t.Errorf("%s:\nwithout index: %s\nwith half of it: %s\nwith all: %s", q, none[i], half[i], full[i])
		}
	}
	m.do("LOGOUT")
	_ = m.c.conn.Close()
	<-m.c.done
	w.close()
}

// searched is the last SEARCH response as it came.
func (m *model) searched() string {
	for i := len(m.log) - 1; i >= 0; i-- {
		if strings.HasPrefix(m.log[i], "* SEARCH") {
			return strings.TrimSpace(m.log[i])
		}
	}
	return "none"
}

func searchWords() []string {
	return []string{"hello", "Hello", "zanzibar", "zan", "ibar", "invoice", "world", "東京タワー", "東京", "京", "会議", "ー", "x9", "köln", "42"}
}

func searchLetter(rnd *rand.Rand, i int) string {
	words := func(n int) string {
		var s []string
		for range n {
			s = append(s, searchWords()[rnd.IntN(len(searchWords()))])
		}
		return strings.Join(s, []string{" ", "", ", "}[rnd.IntN(3)])
	}
	return fmt.Sprintf("From: %s <a%d@example.test>\r\nTo: bob@example.test\r\nSubject: %s\r\nX-Odd: %s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n%s\r\n",
		words(1), i, words(2), words(1), words(4), words(3))
}

func searchQuery(rnd *rand.Rand, depth int) string {
	word := searchWords()[rnd.IntN(len(searchWords()))]
	if rnd.IntN(4) == 0 {
		word += []string{" ", ", ", ""}[rnd.IntN(3)] + searchWords()[rnd.IntN(len(searchWords()))]
	}
	switch rnd.IntN(12) {
	case 0:
		word = " " + word
	case 1:
		word += ","
	case 2:
		word += " "
	case 3:
		word = ": " + word
	}
	word = fmt.Sprintf("{%d+}\r\n%s", len(word), word)
	switch n := rnd.IntN(12); {
	case n == 0 && depth > 0:
		return "NOT " + searchQuery(rnd, depth-1)
	case n == 1 && depth > 0:
		return "OR " + searchQuery(rnd, depth-1) + " " + searchQuery(rnd, depth-1)
	case n == 2 && depth > 0:
		return "(" + searchQuery(rnd, depth-1) + " " + searchQuery(rnd, depth-1) + ")"
	case n < 5:
		return []string{"SEEN", "UNSEEN", "ANSWERED", "1:20", "LARGER 400"}[rnd.IntN(5)]
	}
	return []string{"BODY ", "TEXT ", "SUBJECT ", "FROM ", "HEADER X-Odd ", "HEADER Missing ", "TO "}[rnd.IntN(7)] + word
}

// TestSearchDamagedIndex: an index that cannot be read costs time, not results.
func TestSearchDamagedIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.sink.expected = true
		w.deliver("INBOX", "Subject: hello\r\n\r\nbody\r\n", 0)
		if _, err := w.boxes.IndexMessages(t.Context(), w.alice); err != nil {
			t.Fatal(err)
		}
		damageIndex(t, w)
		m := &model{t: t, w: w, c: w.connect(), name: "client", flags: map[uint32]string{}}
		m.do("LOGIN alice@example.test secret")
		m.do("SELECT INBOX")
		m.do("SEARCH BODY body")
		if got := m.searched(); got != "* SEARCH 1" {
			t.Error(got)
		}
		m.do("LOGOUT")
		_ = m.c.conn.Close()
		<-m.c.done
		w.close()
	})
}

// damageIndex cuts every row of alice's index short.
func damageIndex(t *testing.T, w *world) {
	shard := kv.SearchShard(w.alice)
	err := w.db.Update(t.Context(), []kv.Shard{shard}, func(tx kv.Tx) error {
		for p, err := range tx.Scan(kv.Prefix(append(shard[:len(shard):len(shard)], 'd'))) {
			if err != nil {
				return err
			}
			tx.Set(p.Key, p.Value[:1])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSearchOddAddresses: an address is found however it is written, with and without
// the index.
func TestSearchOddAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		for _, from := range []string{"user@domain.example", "<user (comment)@ (comment) domain.example>", "User <user-x@domain.example>", "group: user @domain.example;"} {
			w.deliver("INBOX", "From: "+from+"\r\n\r\nbody\r\n", 0)
		}
		m := &model{t: t, w: w, c: w.connect(), name: "client", flags: map[uint32]string{}}
		m.do("LOGIN alice@example.test secret")
		m.do("SELECT INBOX")
		for range 2 {
			for q, want := range map[string]string{"FROM user@domain.example": "1 2 4", "TEXT ser@domain": "1 2 4", "FROM comment": "2", "NOT FROM er@dom": "3", "TO user@domain.example": ""} {
				m.do("SEARCH " + q)
				if got := strings.TrimPrefix(m.searched(), "* SEARCH"); strings.TrimSpace(got) != want {
					t.Errorf("%s: %s, want %s", q, got, want)
				}
			}
			if _, err := w.boxes.IndexMessages(t.Context(), w.alice); err != nil {
				t.Fatal(err)
			}
		}
		m.do("LOGOUT")
		_ = m.c.conn.Close()
		<-m.c.done
		w.close()
	})
}
