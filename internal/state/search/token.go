package search

import "unicode/utf8"

// maxTerm is the longest word that is a term, in octets.
const maxTerm = 200

// How far a term is from the one before it.
const (
	gapNext = 1
	gapText = 2 // they stand in different texts: no needle reaches over it
)

// oddSpace is a term that stands before another one: before a word if there is no
// space, before any other term if there is one. So terms and positions say what the
// text says, to the octet.
const oddSpace = " "

// tokenizer cuts folded text into terms: words as they are; of what is written
// without spaces each character; and each mark, that is what is neither.
type tokenizer struct {
	emit   func(term []byte, kind byte, gap uint32)
	long   func() // a word of more than maxTerm octets was left out
	needle bool   // nobody knows what is before the text, unless it begins with a space

	word   []byte // the word that the last piece ended in
	over   bool   // it is too long
	before uint32 // its distance from what was before it
	odd    [8]byte
	any    bool // a term was there
	space  bool // a space came since
}

// write takes a piece; it may end anywhere between two characters.
func (t *tokenizer) write(b []byte) {
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			i += t.ascii(b[i:])
		case c == ' ':
			t.endWord()
			t.space = true
			i++
		case c < utf8.RuneSelf:
			t.one(b[i:i+1], classOther)
			i++
		default:
			r, n := utf8.DecodeRune(b[i:])
			if k := classOf(r); k == classWord {
				t.grow(b[i : i+n])
			} else {
				t.one(b[i:i+n], k)
			}
			i += n
		}
	}
}

// ascii takes a run of ASCII letters, without a copy if it is a whole word.
func (t *tokenizer) ascii(b []byte) int {
	n := 1
	for n < len(b) && (b[n] >= 'a' && b[n] <= 'z' || b[n] >= '0' && b[n] <= '9') {
		n++
	}
	if n < len(b) && b[n] < utf8.RuneSelf && len(t.word) == 0 && !t.over && n <= maxTerm {
		t.emit(b[:n], inWord, t.gap(classWord))
		return n
	}
	t.grow(b[:n])
	return n
}

func (t *tokenizer) grow(b []byte) {
	if len(t.word) == 0 && !t.over {
		t.before = t.gap(classWord)
	}
	if t.over = t.over || len(t.word)+len(b) > maxTerm; t.over {
		t.word = t.word[:0]
		return
	}
	t.word = append(t.word, b...)
}

// one takes a character that is a term by itself.
func (t *tokenizer) one(b []byte, k class) {
	t.endWord()
	kind := byte(inMark)
	if k == classDense {
		kind = inDense
	}
	t.emit(b, kind, t.gap(k))
}

// gap is how far a term of class k, which begins now, is from the last one. It
// tells of an odd space between them.
func (t *tokenizer) gap(k class) uint32 {
	gap := uint32(gapNext)
	if !t.any {
		gap = gapText
	}
	if odd := t.space != (k == classWord); odd && (t.any || t.space || !t.needle) {
		n := copy(t.odd[:], oddSpace)
		t.emit(t.odd[:n], inMark, gap)
		gap = gapNext
	}
	t.any, t.space = true, false
	return gap
}

// end ends the text.
func (t *tokenizer) end() {
	t.endWord()
	t.any, t.space = false, false
}

func (t *tokenizer) endWord() {
	if len(t.word) > 0 {
		t.emit(t.word, inWord, t.before)
		t.word = t.word[:0]
	}
	if t.over {
		// What is left out is not nothing: its neighbours are none of each other.
		t.over, t.any, t.space = false, false, false
		t.long()
	}
}
