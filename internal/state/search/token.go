package search

import "unicode/utf8"

// maxTerm is the longest word that is a term, in octets.
const maxTerm = 200

// tokenizer cuts folded text into terms: words as they are; of what is written
// without spaces, each two neighbours, or a character that has none.
type tokenizer struct {
	emit  func(term []byte, dense bool)
	long  func()  // a word of more than maxTerm octets was left out
	word  []byte  // the word that the last piece ended in
	over  bool    // it is too long
	pair  [8]byte // the last dense character
	n     int     // its length; 0 if the last was none
	alone bool    // it had no neighbour yet
}

// write takes a piece; it may end anywhere between two characters.
func (t *tokenizer) write(b []byte) {
	for i := 0; i < len(b); {
		if c := b[i]; c < utf8.RuneSelf {
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9') {
				t.end()
				i++
				continue
			}
			i += t.ascii(b[i:])
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		switch classOf(r) {
		case classWord:
			t.endDense()
			t.grow(b[i : i+n])
		case classDense:
			t.endWord()
			t.dense(b[i : i+n])
		default:
			t.end()
		}
		i += n
	}
}

// ascii takes a run of ASCII letters, without a copy if it is a whole word.
func (t *tokenizer) ascii(b []byte) int {
	t.endDense()
	n := 1
	for n < len(b) && (b[n] >= 'a' && b[n] <= 'z' || b[n] >= '0' && b[n] <= '9') {
		n++
	}
	if n < len(b) && b[n] < utf8.RuneSelf && len(t.word) == 0 && !t.over && n <= maxTerm {
		t.emit(b[:n], false)
		return n
	}
	t.grow(b[:n])
	return n
}

func (t *tokenizer) grow(b []byte) {
	if t.over = t.over || len(t.word)+len(b) > maxTerm; t.over {
		t.word = t.word[:0]
		return
	}
	t.word = append(t.word, b...)
}

func (t *tokenizer) dense(b []byte) {
	if t.n == 0 {
		t.n, t.alone = copy(t.pair[:], b), true
		return
	}
	n := t.n + copy(t.pair[t.n:], b)
	t.emit(t.pair[:n], true)
	t.n, t.alone = copy(t.pair[:], b), false
}

// end ends the word or run.
func (t *tokenizer) end() {
	t.endWord()
	t.endDense()
}

func (t *tokenizer) endWord() {
	if len(t.word) > 0 {
		t.emit(t.word, false)
		t.word = t.word[:0]
	}
	if t.over {
		t.over = false
		t.long()
	}
}

func (t *tokenizer) endDense() {
	if t.n > 0 && t.alone {
		t.emit(t.pair[:t.n], true)
	}
	t.n = 0
}
