package stack

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
)

// Bound is a Stack on one host. It is safe for concurrent use.
type Bound struct {
	stack  Stack
	tables Tables
	vars   map[string]string
	rules  []boundRule
	trie   *node
	images images
}

// boundRule is one rule with one of the patterns it stands for on the host.
type boundRule struct {
	rule *Rule
	path []component
}

// Bind joins the stack with a host's tables, of which it reads those of Wants,
// and with the home directories of its users. Homes may be given in any order,
// more than once, and need not exist.
func (s Stack) Bind(t Tables, homes []string) (*Bound, error) {
	vars, err := s.bindVars(t)
	if err != nil {
		return nil, err
	}
	b := &Bound{stack: s, tables: t, vars: vars, trie: &node{}, images: newImages(t, vars["{installdir}"])}
	homes = cleanHomes(homes)
	for i := range s.Rules {
		r := &s.Rules[i]
		paths, err := bindPattern(r.Path, vars, homes)
		if err != nil {
			return nil, fmt.Errorf("rule: %w", err)
		}
		for _, p := range paths {
			b.rules = append(b.rules, boundRule{rule: r, path: p})
			b.trie.add(p, r, i)
		}
	}
	return b, nil
}

// bindVars returns the value of each variable by its name in braces.
func (s Stack) bindVars(t Tables) (map[string]string, error) {
	site := make(map[string]string)
	for _, row := range t[tableSite] {
		if active(row) {
			site[row["key"]] = strings.TrimSpace(row["value"])
		}
	}
	vars := make(map[string]string, len(s.Vars))
	for _, v := range s.Vars {
		value := site[v.Key]
		if v.Key == "" || value == "" {
			value = v.Default
		}
		if value != "" {
			value = path.Clean(value)
			if !path.IsAbs(value) || value == "/" {
				return nil, fmt.Errorf("table %q: key %q: %q is no absolute path below /", tableSite, v.Key, value)
			}
		}
		vars["{"+v.Name+"}"] = value
	}
	return vars, nil
}

// cleanHomes returns the absolute paths among homes, sorted, each once. Other
// values in passwd(5) name no directory.
func cleanHomes(homes []string) []string {
	var set []string
	for _, h := range homes {
		if path.IsAbs(h) {
			set = append(set, path.Clean(h))
		}
	}
	slices.Sort(set)
	return slices.Compact(set)
}

// Starts returns where the walk over the host begins: every pattern that no
// rule takes already because it takes what lies above. Those of rules that
// leave out are among them, so that what exists of them can be listed. Names
// that look like a glob are escaped: hand each to Glob. They need not exist.
// They are sorted. Only one that is taken may lie below another, which is left out.
func (b *Bound) Starts() []string {
	var set []string
	for _, r := range b.rules {
		over := b.above(r.path)
		if over == nil || over.Take == "" && r.rule.Take != "" {
			set = append(set, pathOf(r.path))
		}
	}
	slices.Sort(set)
	return slices.Compact(set)
}

// above returns the rule that decides for the directory of pattern p, nil
// where none does. A glob in p is above only what the same glob stands over.
func (b *Bound) above(p []component) *Rule {
	var best *Rule
	var score rank
	for i, r := range b.rules {
		if len(r.path) >= len(p) || !covers(r.path, p) {
			continue
		}
		if s := rankOf(r.path, i); best == nil || s.over(score) {
			best, score = r.rule, s
		}
	}
	return best
}

// covers reports whether whatever p stands for lies at or below q.
func covers(q, p []component) bool {
	for i, c := range q {
		if c != p[i] && (p[i].glob || !c.matches(p[i].text)) {
			return false
		}
	}
	return true
}

// Glob returns the paths pattern stands for, sorted. names lists a directory;
// one that does not exist, or is none, has no names. A pattern without a glob
// is returned as its path, whether it exists or not, and so are the plain
// components after a glob.
func (b *Bound) Glob(pattern string, names func(dir string) ([]string, error)) ([]string, error) {
	set, err := patternComponents(pattern)
	if err != nil {
		return nil, err
	}
	found := []string{"/"}
	for _, c := range set {
		var next []string
		for _, dir := range found {
			if text, plain := unescape(c); plain {
				next = append(next, path.Join(dir, text))
				continue
			}
			all, err := names(dir)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("pattern %q: %w", pattern, err)
			}
			for _, name := range all {
				if c.matches(name) {
					next = append(next, path.Join(dir, name))
				}
			}
		}
		found = next
	}
	slices.Sort(found)
	return found, nil
}

// unescape returns the name c stands for, if it can be but one.
func unescape(c component) (name string, plain bool) {
	var b strings.Builder
	for i := 0; i < len(c.text); i++ {
		switch ch := c.text[i]; {
		case ch == '\\' && i+1 < len(c.text):
			i++
		case ch == '*' || ch == '?' || ch == '[':
			return "", false
		}
		b.WriteByte(c.text[i])
	}
	return b.String(), true
}

// Decide returns the rule that decides for path: the deepest that matches it
// or a directory above it, of equally deep ones that with more plain text, of
// these the first. A path under no rule gets Take "" and Ref "".
func (b *Bound) Decide(path string) Rule {
	if r := b.trie.find(path); r != nil {
		return *r
	}
	return Rule{}
}

// PackageDirs returns where trees of package files lie, as patterns for Glob.
func (b *Bound) PackageDirs() []string {
	var set []string
	for _, tree := range b.stack.Packages.Trees {
		first, rest, _ := strings.Cut(tree, "/")
		set = append(set, pathOf(components(b.vars[first]))+"/"+rest)
	}
	return set
}
