package stack

import "strings"

// node is a step of the trie that Decide walks: one component deep.
type node struct {
	names map[string]*node
	globs []edge
	rule  *Rule // that ends here, nil for none
	rank  rank
}

// edge leads to the node behind a glob.
type edge struct {
	glob component
	to   *node
}

// rank orders the rules that match one path.
type rank struct {
	depth, literal int // components, and bytes of plain text in them
	globs, row     int // components that are globs, and place among the rows
}

// over reports whether a decides before b.
func (a rank) over(b rank) bool {
	switch {
	case a.depth != b.depth:
		return a.depth > b.depth
	case a.literal != b.literal:
		return a.literal > b.literal
	case a.globs != b.globs:
		return a.globs < b.globs
	}
	return a.row < b.row
}

func rankOf(p []component, row int) rank {
	r := rank{depth: len(p), row: row}
	for _, c := range p {
		r.literal += c.literal()
		if c.glob {
			r.globs++
		}
	}
	return r
}

// add puts rule r at pattern p. The first of two rules at one pattern stays.
func (n *node) add(p []component, r *Rule, row int) {
	for _, c := range p {
		n = n.child(c)
	}
	if n.rule == nil {
		n.rule, n.rank = r, rankOf(p, row)
	}
}

func (n *node) child(c component) *node {
	if !c.glob {
		if n.names == nil {
			n.names = make(map[string]*node)
		}
		if n.names[c.text] == nil {
			n.names[c.text] = &node{}
		}
		return n.names[c.text]
	}
	for _, e := range n.globs {
		if e.glob == c {
			return e.to
		}
	}
	n.globs = append(n.globs, edge{glob: c, to: &node{}})
	return n.globs[len(n.globs)-1].to
}

// find returns the rule that decides for path, nil for none.
func (n *node) find(path string) *Rule {
	// Several nodes are alive at once only where a glob and a name both match;
	// the arrays keep the walk off the heap.
	var here, next [8]*node
	alive, best := append(here[:0], n), n
	spare := next[:0]
	for rest := path; rest != "" && len(alive) > 0; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if name == "" {
			continue
		}
		spare = spare[:0]
		for _, at := range alive {
			if to := at.names[name]; to != nil {
				spare = append(spare, to)
			}
			for _, e := range at.globs {
				if e.glob.matches(name) {
					spare = append(spare, e.to)
				}
			}
		}
		alive, spare = spare, alive
		for _, at := range alive {
			if at.rule != nil && (best.rule == nil || at.rank.over(best.rank)) {
				best = at
			}
		}
	}
	return best.rule
}
