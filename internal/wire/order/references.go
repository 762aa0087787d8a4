package order

import (
	"cmp"
	"slices"
)

// References is the algorithm of that name (RFC 5256 §3). Its time is about
// linear in the messages and their references.
func References(all []Message) []*Thread {
	f := newForest(all)
	roots := f.roots()
	f.sort(roots)
	roots = f.mergeSubjects(roots)
	return f.finish(roots)
}

// Refs is THREAD=REFS (draft-ietf-morg-inthread-01 §4): as References, but
// subjects play no part, and the thread with the most recent message comes last.
func Refs(all []Message) []*Thread {
	f := newForest(all)
	roots := f.finish(f.roots())
	latest := make(map[*Thread]int, len(roots))
	for _, r := range roots {
		last := -1
		walk(r, func(t *Thread) {
			if t.Message >= 0 && (last < 0 || f.before(last, t.Message)) {
				last = t.Message
			}
		})
		latest[r] = last
	}
	slices.SortStableFunc(roots, func(a, b *Thread) int { return f.compare(latest[a], latest[b]) })
	return roots
}

// walk calls fn for t and all below it, without regard to how deep that is.
func walk(t *Thread, fn func(*Thread)) {
	for todo := []*Thread{t}; len(todo) > 0; {
		t = todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		fn(t)
		todo = append(todo, t.Children...)
	}
}

// forest is the messages and what they refer to, linked to their parents. Nodes
// below len(all) are the messages, the others dummies.
type forest struct {
	all    []Message
	parent []int32 // -1: none
	joined []int32 // of a union-find: nodes in one tree have one leader
}

func newForest(all []Message) *forest {
	f := &forest{all: all}
	known := make(map[string]int32, len(all))
	for i := range all {
		n := f.add()
		// The first message of an id has it; others have one of their own.
		if _, ok := known[all[i].ID]; !ok && all[i].ID != "" {
			known[all[i].ID] = n
		}
	}
	node := func(id string) int32 {
		n, ok := known[id]
		if !ok {
			n = f.add()
			known[id] = n
		}
		return n
	}
	for i := range all {
		last := int32(-1)
		for _, id := range all[i].References { // step 1.A
			n := node(id)
			if last >= 0 && f.parent[n] < 0 {
				f.link(n, last)
			}
			last = n
		}
		if m := int32(i); f.parent[m] != last || last < 0 { // step 1.B
			f.parent[m] = -1
			if last >= 0 {
				f.link(m, last)
			}
		}
	}
	return f
}

func (f *forest) add() int32 {
	n := int32(len(f.parent))
	f.parent, f.joined = append(f.parent, -1), append(f.joined, n)
	return n
}

// link makes p the parent of n, which has none, unless that closes a loop.
func (f *forest) link(n, p int32) {
	a, b := f.leader(n), f.leader(p)
	if a == b {
		// Of one tree, or of what was one before a link was cut.
		for up := p; up >= 0; up = f.parent[up] {
			if up == n {
				return
			}
		}
	}
	f.parent[n], f.joined[a] = p, b
}

func (f *forest) leader(n int32) int32 {
	for f.joined[n] != n {
		f.joined[n] = f.joined[f.joined[n]]
		n = f.joined[n]
	}
	return n
}

// roots makes threads of the forest, without dummies but those that hold several
// children together at the top (steps 2 and 3).
func (f *forest) roots() []*Thread {
	threads := make([]Thread, len(f.parent))
	left := make([]int32, len(f.parent)) // children not yet seen to
	for n, p := range f.parent {
		threads[n].Message = n
		if n >= len(f.all) {
			threads[n].Message = -1
		}
		if p >= 0 {
			left[p]++
		}
	}
	// From the leaves up: a node is done when all below it are.
	todo := make([]int32, 0, len(f.parent))
	for n := range f.parent {
		if left[n] == 0 {
			todo = append(todo, int32(n))
		}
	}
	var roots []*Thread
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		t, p := &threads[n], f.parent[n]
		if p < 0 {
			if roots = append(roots, t); t.Message < 0 && len(t.Children) <= 1 {
				roots = append(roots[:len(roots)-1], t.Children...)
			}
			continue
		}
		if up := &threads[p]; t.Message < 0 {
			up.Children = append(up.Children, t.Children...)
		} else {
			up.Children = append(up.Children, t)
		}
		if left[p]--; left[p] == 0 {
			todo = append(todo, p)
		}
	}
	return roots
}

// mergeSubjects is step 5.
func (f *forest) mergeSubjects(roots []*Thread) []*Thread {
	table := make(map[string]*Thread, len(roots))
	for _, t := range roots {
		s := f.all[first(t)].Subject
		if s == "" {
			continue
		}
		old := table[s]
		if old == nil || old.Message >= 0 && (t.Message < 0 || f.all[old.Message].Reply && !f.all[t.Message].Reply) {
			table[s] = t
		}
	}
	gone := map[*Thread]bool{}
	for _, t := range roots {
		s := f.all[first(t)].Subject
		into := table[s]
		if s == "" || into == t {
			continue
		}
		gone[t] = true
		switch {
		case into.Message < 0 && t.Message < 0:
			into.Children = append(into.Children, t.Children...)
		case into.Message < 0 || f.all[t.Message].Reply && !f.all[into.Message].Reply:
			into.Children = append(into.Children, t)
		default:
			// The one in the table becomes the dummy, so that it keeps its place.
			old := *into
			*into = Thread{Message: -1, Children: []*Thread{&old, t}}
		}
	}
	return slices.DeleteFunc(roots, func(t *Thread) bool { return gone[t] })
}

// first is the message that stands for a thread: its own, or of a dummy the first
// child's.
func first(t *Thread) int {
	if t.Message < 0 {
		return t.Children[0].Message
	}
	return t.Message
}

// finish sorts all siblings (step 6).
func (f *forest) finish(roots []*Thread) []*Thread {
	for _, r := range roots {
		walk(r, func(t *Thread) { f.sort(t.Children) })
	}
	f.sort(roots)
	return roots
}

// sort sorts siblings, and the children of dummies among them first.
func (f *forest) sort(all []*Thread) {
	for _, t := range all {
		if t.Message < 0 {
			f.sort(t.Children) // no dummy is in another
		}
	}
	if len(all) > 1 {
		slices.SortFunc(all, func(a, b *Thread) int { return f.compare(first(a), first(b)) })
	}
}

// compare is by sent date, then by number.
func (f *forest) compare(a, b int) int {
	return cmp.Or(cmp.Compare(f.all[a].Sent, f.all[b].Sent), cmp.Compare(a, b))
}

func (f *forest) before(a, b int) bool { return f.compare(a, b) < 0 }
