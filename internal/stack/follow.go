package stack

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
)

// Ref is a path that the database, or a file the database names, leads to.
type Ref struct {
	// Path is absolute and a pattern for Bound.Glob: a source of a synclist may
	// be a glob; other names that look like one are escaped. What it stands for
	// need not exist.
	Path string
	// From says what names the path: `linuximage "NAME": pkglist`.
	From string
	// Kind is the kind for the path where no rule takes it.
	Kind artifact.Kind
}

// Limits of Follow: what is beyond becomes a problem.
const (
	maxIncludeDepth = 32
	maxFollowed     = 100_000
)

// Follow returns every path the stack's columns name, and those the named files
// lead to, sorted by path, each once with the first thing that names it. Paths
// a rule takes are among them, files of the stack's own packages, URLs and
// paths left out by their column are not. problems says, one line each, what
// could not be followed, and why. read returns the content of a file; an error
// that wraps fs.ErrNotExist says that there is none.
func (b *Bound) Follow(read func(path string) ([]byte, error)) (refs []Ref, problems []string) {
	f := &follower{bound: b, read: read, refs: make(map[string]Ref), scanned: make(map[string]bool)}
	for _, c := range b.stack.Columns {
		for _, row := range b.tables[c.Table] {
			f.value(c, fmt.Sprintf("%s %q: %s", c.Table, row[c.Key], c.Column), row[c.Column])
		}
	}
	for _, r := range f.refs {
		refs = append(refs, r)
	}
	slices.SortFunc(refs, func(a, b Ref) int { return strings.Compare(a.Path, b.Path) })
	slices.Sort(f.problems)
	return refs, slices.Compact(f.problems)
}

// follower is one run of Follow.
type follower struct {
	bound    *Bound
	read     func(string) ([]byte, error)
	refs     map[string]Ref
	scanned  map[string]bool // by scan and path
	problems []string
}

func (f *follower) problem(from, format string, args ...any) {
	f.problems = append(f.problems, from+": "+fmt.Sprintf(format, args...))
}

// value follows the value of one column.
func (f *follower) value(c Column, from, value string) {
	items := []string{strings.TrimSpace(value)}
	if c.Separators != "" {
		items = splitList(value, c.Separators)
	}
	if isExpression(value) {
		f.problem(from, "value %q: an expression, its paths depend on the node", value)
		return
	}
	for _, item := range items {
		if item = stripPrefixes(item, c.Prefixes); c.Args {
			item, _, _ = strings.Cut(item, " ")
		}
		p, ok := f.resolve(c, from, item)
		if !ok {
			continue
		}
		if c.Leave != "" {
			if f.bound.Decide(p).Ref == "" {
				f.problem(from, "%s: left out: %s", p, c.Leave)
			}
			continue
		}
		if f.add(p, Ref{Path: escape(p), From: from, Kind: c.Kind}) {
			f.scan(c, from, p, path.Dir(p), 0)
		}
	}
}

// resolve returns the absolute path item stands for. Where it stands for none
// it is a URL, or the problem is recorded.
func (f *follower) resolve(c Column, from, item string) (string, bool) {
	switch {
	case item == "" || isURL(item):
		return "", false
	case hasVariable(item):
		f.problem(from, "path %q: holds a variable, its value is not known", item)
		return "", false
	case path.IsAbs(item):
		if p := path.Clean(item); p != "/" {
			return p, true
		}
		f.problem(from, "path %q: the root itself", item)
		return "", false
	case c.SkipRelative:
		return "", false
	case c.Base == "":
		f.problem(from, "path %q: relative to nothing known", item)
		return "", false
	}
	first, rest, _ := strings.Cut(c.Base, "/")
	p := path.Join(f.bound.vars[first], rest, item)
	return p, true
}

// add records the ref r to path p and reports whether it may be followed. Files
// of the stack's packages are followed, for they may include the
// administrator's, but not recorded.
func (f *follower) add(p string, r Ref) bool {
	if f.stock(p) {
		return true
	}
	if _, known := f.refs[r.Path]; known {
		return true
	}
	if len(f.refs) >= maxFollowed {
		f.problem(r.From, "path %q: not followed, there are more than %d", p, maxFollowed)
		return false
	}
	f.refs[r.Path] = r
	return true
}

// stock reports whether p lies in the tree the packages bring.
func (f *follower) stock(p string) bool {
	return strings.HasPrefix(p, f.bound.vars["{xcatroot}"]+"/share/")
}

// content reads a file to scan. What is not there is the caller's to report
// with the other missing paths; of a stock file nothing is missing.
func (f *follower) content(from, p string) []byte {
	b, err := f.read(p)
	switch {
	case err == nil:
		return b
	case errors.Is(err, fs.ErrNotExist) && f.stock(p):
	case errors.Is(err, fs.ErrNotExist):
		f.problem(from, "%s: does not exist", p)
	default:
		f.problem(from, "%s: not followed: %v", p, err)
	}
	return nil
}

// scan follows what the file at p leads to. dir is where relative includes lie:
// xCAT resolves them all, nested ones too, from the file the column names.
func (f *follower) scan(c Column, from, p, dir string, depth int) {
	key := string(c.Scan) + " " + dir + " " + p
	if c.Scan == ScanNone || f.scanned[key] {
		return
	}
	f.scanned[key] = true
	if depth > maxIncludeDepth {
		f.problem(from, "%s: not followed, files include each other more than %d deep", p, maxIncludeDepth)
		return
	}
	switch c.Scan {
	case ScanNone: // leads nowhere
	case ScanIncludes:
		f.includes(c, from, p, dir, depth)
	case ScanSynclist:
		f.synclist(c, from, p)
	}
}

// isURL reports whether s names something on the network.
func isURL(s string) bool {
	scheme, _, ok := strings.Cut(s, "://")
	return ok && strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-") == ""
}

// hasVariable reports whether s holds a shell variable, or a tag that xCAT
// replaces (#TABLE:...#, #ENV:...#).
func hasVariable(s string) bool { return strings.ContainsAny(s, "$#") }

// isExpression reports whether a value is one of xCAT's regular expressions for
// a group of nodes: |PATTERN|REPLACEMENT| or /PATTERN/REPLACEMENT/ (Table.pm).
func isExpression(value string) bool {
	return len(value) > 2 && (value[0] == '|' && value[len(value)-1] == '|' ||
		value[0] == '/' && value[len(value)-1] == '/' && strings.ContainsAny(value, "^$()\\"))
}

// stripPrefixes removes the prefixes s begins with, several in a row too.
func stripPrefixes(s string, prefixes []string) string {
	for again := true; again; {
		again = false
		for _, prefix := range prefixes {
			rest, ok := strings.CutPrefix(s, prefix)
			if prefix == "*:" {
				var word string
				word, rest, ok = strings.Cut(s, ":")
				ok = ok && !strings.ContainsAny(word, "/ ")
			}
			if ok {
				s, again = strings.TrimSpace(rest), true
			}
		}
	}
	return s
}
