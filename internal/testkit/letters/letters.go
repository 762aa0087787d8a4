// Package letters makes mail for benchmarks and tests of searching: letters whose
// words are as rare as those of a language are, one in five of them Japanese.
package letters

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"

	"golang.org/x/text/encoding/japanese"
)

// recent is how many letters back one may answer.
const recent = 50

// Corpus makes letters; the same seed makes the same ones.
type Corpus struct {
	Words []string // the rarest comes last

	rnd   *rand.Rand
	zipf  *rand.Zipf
	kanji *rand.Zipf
	last  []thread // of the letters before
}

// thread is what an answer takes from a letter.
type thread struct {
	subject    string
	references []string
}

// New gives a corpus.
func New(seed uint64) *Corpus {
	rnd := rand.New(rand.NewPCG(seed, 7))
	c := &Corpus{rnd: rnd, zipf: rand.NewZipf(rnd, 1.07, 4, 79_999), kanji: rand.NewZipf(rnd, 1.1, 20, 2_999)}
	for i := range 80_000 {
		var w []byte
		for range 2 + min(i, 200)/40 + rnd.IntN(6) {
			w = append(w, "etaoinshrdlucmfwypvbgkjqxz"[min(rnd.IntN(26), rnd.IntN(26))])
		}
		c.Words = append(c.Words, string(w))
	}
	return c
}

// Letter is letter i, of about size octets. One in three answers an earlier one,
// which is told in its subject and its References. Some hold what can be looked
// for: one in 1,000 "Zanzibar" and "night train", one in 200 "東京タワー", one in 25
// "会議室の予約" and one in 25 "agenda of the meeting". The Japanese ones are
// written in UTF-8, in base64 and in ISO-2022-JP by turns.
func (c *Corpus) Letter(i, size int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Return-Path: <sender%d@example.org>\r\nReceived: from mx%d.example.org (mx%d.example.org [192.0.2.%d]) by mx.example.test with ESMTPS id %016x for <alice@example.test>; Mon, %d Nov 2026 10:%02d:%02d +0000\r\n",
		i%3000, i%17, i%17, i%250, c.rnd.Uint64(), 1+i%28, i/60%60, i%60)
	fmt.Fprintf(&b, "Date: Mon, %d Nov 2026 10:%02d:%02d +0000\r\nFrom: %s %s <sender%d@example.org>\r\nTo: <alice@example.test>\r\n",
		1+i%28, i/60%60, i%60, c.word(), c.word(), i%3000)
	c.thread(&b, i)
	b.WriteString("MIME-Version: 1.0\r\n")
	text := c.text(i, size-b.Len())
	switch {
	case i%15 == 8:
		b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n")
		for coded := base64.StdEncoding.EncodeToString([]byte(text)); coded != ""; {
			n := min(len(coded), 76)
			b.WriteString(coded[:n] + "\r\n")
			coded = coded[n:]
		}
	case i%15 == 13:
		if coded, err := japanese.ISO2022JP.NewEncoder().String(text); err == nil {
			b.WriteString("Content-Type: text/plain; charset=ISO-2022-JP\r\nContent-Transfer-Encoding: 7bit\r\n\r\n" + coded)
			break
		}
		fallthrough
	default:
		b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + text)
	}
	return b.String()
}

// thread writes what threads are made of.
func (c *Corpus) thread(b *strings.Builder, i int) {
	t := thread{subject: strings.Join([]string{c.word(), c.word(), c.word(), c.word()}, " ")}
	if len(c.last) > 0 && c.rnd.IntN(3) == 0 {
		t = c.last[c.rnd.IntN(len(c.last))]
		t.references = t.references[max(0, len(t.references)-10):]
		fmt.Fprintf(b, "Subject: Re: %s\r\nReferences: %s\r\n", t.subject, strings.Join(t.references, "\r\n "))
	} else {
		fmt.Fprintf(b, "Subject: %s\r\n", t.subject)
	}
	id := fmt.Sprintf("<%016x.%d@mail%d.example.org>", c.rnd.Uint64(), i, i%40)
	fmt.Fprintf(b, "Message-ID: %s\r\n", id)
	t.references = append(t.references[:len(t.references):len(t.references)], id)
	if c.last = append(c.last, t); len(c.last) > recent {
		c.last = c.last[1:]
	}
}

func (c *Corpus) text(i, size int) string {
	var b strings.Builder
	if i%1000 == 13 {
		b.WriteString("We leave for Zanzibar by the night train. ")
	}
	if i%200 == 3 {
		b.WriteString("東京タワーで会いましょう。")
	}
	switch i % 25 {
	case 8:
		b.WriteString("会議室の予約をお願いします。")
	case 9:
		b.WriteString("Here is the agenda of the meeting.\r\n")
	}
	for b.Len() < size {
		if i%5 == 3 {
			for range 10 + c.rnd.IntN(20) {
				if c.rnd.IntN(3) == 0 {
					b.WriteRune(rune(0x4e00 + c.kanji.Uint64()*7))
				} else {
					b.WriteRune(rune(0x3042 + c.rnd.IntN(80)))
				}
			}
			b.WriteString("。\r\n")
			continue
		}
		for range 6 + c.rnd.IntN(10) {
			b.WriteString(c.word())
			b.WriteByte(' ')
		}
		b.WriteString("\r\n")
	}
	return b.String()
}

func (c *Corpus) word() string { return c.Words[c.zipf.Uint64()] }
