package stack

import (
	"fmt"
	"path"
	"strings"

	"github.com/xcrate/xcrate/artifact"
)

// Rule is a decision about a host path and all below it.
type Rule struct {
	// Path is an absolute path pattern. A component may be a glob as in
	// path.Match. The first may be {VAR}, the value of a Var, or "~", the home
	// of every user.
	Path string
	// Take is the kind that takes the path, "" where it is left out.
	Take artifact.Kind
	// What says what lies there.
	What string
	// Reason says why the path is left out.
	Reason string
	// Restore is the command or act that brings a left-out path back, "" where
	// nothing has to.
	Restore string
	// Mirror says that the tree is an identity: on import, what lies below it
	// on the target and is not in the snapshot is removed, because stale keys
	// beside the restored ones would be believed.
	Mirror bool
	// Ref is the section of the xCAT reference the decision comes from, "3.1".
	Ref string
}

// component is one component of a bound pattern.
type component struct {
	text string
	glob bool // text is a pattern of path.Match, else it is the name itself
}

// isGlob reports whether a component of a pattern has a meaning beyond its text.
func isGlob(s string) bool { return strings.ContainsAny(s, `*?[\`) }

// literal returns how many bytes of the component are plain text.
func (c component) literal() int {
	if !c.glob {
		return len(c.text)
	}
	n, class := 0, false
	for i := 0; i < len(c.text); i++ {
		switch ch := c.text[i]; {
		case class:
			class = ch != ']'
		case ch == '[':
			class = true
		case ch != '*' && ch != '?':
			n++
		}
	}
	return n
}

// matches reports whether name is what the component stands for.
func (c component) matches(name string) bool {
	if !c.glob {
		return c.text == name
	}
	ok, err := path.Match(c.text, name)
	return ok && err == nil // Bind refuses bad patterns
}

// components splits an absolute path of the host into components that stand
// for themselves.
func components(p string) []component {
	var set []component
	for name := range strings.SplitSeq(p, "/") {
		if name != "" {
			set = append(set, component{text: name})
		}
	}
	return set
}

// patternComponents splits a pattern after its variable part.
func patternComponents(p string) ([]component, error) {
	set := components(p)
	for i := range set {
		set[i].glob = isGlob(set[i].text)
		if _, err := path.Match(set[i].text, ""); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", p, err)
		}
	}
	return set, nil
}

// bindPattern returns what pattern stands for on a host: no, one or, for "~",
// several lists of components.
func bindPattern(pattern string, vars map[string]string, homes []string) ([][]component, error) {
	first, rest, _ := strings.Cut(pattern, "/")
	tail, err := patternComponents(rest)
	if err != nil {
		return nil, err
	}
	var heads []string
	switch {
	case first == "":
		heads = []string{"/"}
	case first == "~":
		heads = homes
	default:
		value, ok := vars[first]
		if !ok {
			return nil, fmt.Errorf("pattern %q: no such variable", pattern)
		}
		if value == "" {
			return nil, nil
		}
		heads = []string{value}
	}
	var set [][]component
	for _, head := range heads {
		set = append(set, append(components(head), tail...))
	}
	return set, nil
}

// pathOf writes the components as an absolute pattern in which names that look
// like a glob are escaped.
func pathOf(set []component) string {
	var b strings.Builder
	for _, c := range set {
		b.WriteByte('/')
		if c.glob {
			b.WriteString(c.text)
			continue
		}
		for i := 0; i < len(c.text); i++ {
			if isGlob(c.text[i : i+1]) {
				b.WriteByte('\\')
			}
			b.WriteByte(c.text[i])
		}
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}

// escape returns the pattern that stands for path p alone.
func escape(p string) string { return pathOf(components(p)) }

// OfSystem reports whether the rule is about the base system's own
// configuration, which section 3.2 of the reference lists, rather than about
// what the stack keeps for itself.
func (r Rule) OfSystem() bool { return r.Ref == "3.2" }
