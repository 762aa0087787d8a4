package imap

import "slices"

// options are words that a command may be extended by, each with the parser of
// what belongs to it (RFC 4466 §2); nil where nothing does.
type options[T any] map[string]func(p *parser, into T)

// option reads one word of o, and what belongs to it.
func (o options[T]) option(p *parser, into T) (word string) {
	word = p.word()
	read, known := o[word]
	switch {
	case !known:
		p.fail("an unknown option: %.40s", word)
	case read != nil:
		read(p, into)
	}
	return word
}

// words reads a list of options, which may be empty, and gives their words.
func (o options[T]) words(p *parser, into T) (words []string) {
	p.list(true, func() { words = append(words, o.option(p, into)) })
	return words
}

// list reads "(" option *(SP option) ")"; an empty list only if empty is true.
func (o options[T]) list(p *parser, empty bool, into T) {
	p.list(empty, func() { o.option(p, into) })
}

// trailing reads a list behind a space, if there is one.
func (o options[T]) trailing(p *parser, into T) {
	if p.accept(' ') {
		o.list(p, false, into)
	}
}

// known reads a list of words that must be among those given.
func (p *parser) known(empty bool, words []string) (got []string) {
	p.list(empty, func() {
		w := p.word()
		if !slices.Contains(words, w) {
			p.fail("an unknown item: %.40s", w)
		}
		got = append(got, w)
	})
	return got
}
