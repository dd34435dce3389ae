package house

import (
	"bytes"
	"go/ast"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// maxLines is where a file that is not a test has become two.
const maxLines = 400

func TestPackagesHaveComments(t *testing.T) {
	documented := map[string]bool{}
	hasCode := map[string]bool{} // packages that have files other than tests
	for _, s := range sources(t) {
		hasCode[s.pkg.place()] = hasCode[s.pkg.place()] || !s.test
	}
	for _, s := range sources(t) {
		// A comment in a test is no comment of a package that has more than tests: go doc does not show it.
		if s.test && hasCode[s.pkg.place()] || s.tree.Doc == nil {
			continue
		}
		text := s.tree.Doc.Text()
		documented[s.pkg.place()] = true
		want := "Package " + s.tree.Name.Name + " "
		if s.tree.Name.Name == "main" {
			want = "Command "
		}
		if !strings.HasPrefix(text, want) {
			t.Errorf("%s: the package comment begins with %q, go doc expects %q", s.name, firstLine(text), want)
		}
	}
	for _, p := range packages(t) {
		if !documented[p.place()] {
			t.Errorf("package %s has no comment: say in doc.go what it is for and what it leaves to others", p.place())
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, s := range sources(t) {
		if n := bytes.Count(s.text, []byte("\n")); !s.test && n > maxLines {
			t.Errorf("%s has %d lines, at most %d: give its second subject a file of its own", s.name, n, maxLines)
		}
	}
}

func TestNoInit(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.tree.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: func init: write an explicit list that the caller reads", s.at(f))
			}
		}
	}
}

// TestNoGlobalClock finds package variables that hold a clock: two tests that set one cannot run side by side.
func TestNoGlobalClock(t *testing.T) {
	for _, s := range sources(t) {
		clock := importName(s.tree, "time")
		for _, d := range s.tree.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			ast.Inspect(g, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok || sel.Sel.Name != "Now" {
					return true
				}
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == clock {
					t.Errorf("%s: a global clock: take a time.Time or a func() time.Time as a parameter", s.at(sel))
				}
				return true
			})
		}
	}
}

// importName is the name path goes by in a file: its last part, or what the import says.
func importName(f *ast.File, path string) string {
	for _, i := range f.Imports {
		if i.Path.Value == strconv.Quote(path) && i.Name != nil {
			return i.Name.Name
		}
	}
	return path[strings.LastIndex(path, "/")+1:]
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
