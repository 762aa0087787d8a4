package message

// Part finds a part by IMAP's numbers (RFC 9051 §6.4.5.1), nil if there is
// none; an empty path is the root. A message that is no multipart has its body
// as part 1, and numbers behind a message/rfc822 count the parts inside it.
func (i *Index) Part(path []int) *Part {
	p := i.Root
	for level, n := range path {
		switch {
		case level == 0:
			p = p.child(n)
		case len(p.Parts) > 0:
			p = p.child(n)
		case p.Message != nil:
			p = p.Message.Root.child(n)
		default:
			return nil
		}
		if p == nil {
			return nil
		}
	}
	return p
}

// child is the nth part of a message whose root is p.
func (p *Part) child(n int) *Part {
	switch {
	case p == nil || n < 1:
		return nil
	case len(p.Parts) == 0 && n == 1:
		return p
	case n > len(p.Parts):
		return nil
	}
	return p.Parts[n-1]
}

// Section says where a section lies in the message. Without a path the pieces
// are those of the message itself. HEADER and TEXT of a path exist only where
// it names a message, MIME only with a path.
func (i *Index) Section(path []int, what Piece) (Span, bool) {
	if len(path) == 0 && what == PieceBody {
		return Span{Offset: 0, Length: i.Size}, true
	}
	p := i.Part(path)
	if p == nil {
		return Span{}, false
	}
	inside := i
	if len(path) > 0 {
		inside = p.Message
	}
	switch what {
	case PieceBody:
		return span(p.BodyStart, p.End), true
	case PieceMIME:
		if len(path) > 0 {
			return span(p.HeaderStart, p.BodyStart), true
		}
	case PieceHeader:
		if inside != nil {
			return span(inside.Root.HeaderStart, inside.Root.BodyStart), true
		}
	case PieceText:
		if inside != nil {
			return span(inside.Root.BodyStart, inside.Root.End), true
		}
	}
	return Span{}, false
}

func span(from, to int64) Span { return Span{Offset: from, Length: to - from} }

// Walk calls fn for each part in order, with its IMAP path, until fn says
// false. What a message within the message holds comes after it. The path is
// valid during the call only.
func (i *Index) Walk(fn func(path []int, p *Part) bool) {
	if i.Root != nil {
		walk(i.Root, nil, true, fn)
	}
}

// walk visits p; message says that p is the root of a message, which has a
// number of its own only when it is no multipart.
func walk(p *Part, path []int, message bool, fn func([]int, *Part) bool) bool {
	if message && len(p.Parts) == 0 {
		path = append(path, 1)
	}
	if !fn(path, p) {
		return false
	}
	for n, child := range p.Parts {
		if !walk(child, append(path, n+1), false, fn) {
			return false
		}
	}
	if p.Message != nil {
		return walk(p.Message.Root, path, true, fn)
	}
	return true
}
