package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// module is the import path every package of ours begins with.
const module = "github.com/xcrate/xcrate"

// pkg is what `go list -json` says of one package: the fields the rules look at.
type pkg struct {
	ImportPath   string
	Name         string
	Dir          string
	GoFiles      []string
	CgoFiles     []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// place is the package's folder relative to the module, "." for the module itself.
func (p pkg) place() string {
	if p.ImportPath == module {
		return "."
	}
	return strings.TrimPrefix(p.ImportPath, module+"/")
}

// moduleRoot is the folder go.mod lies in, as an absolute path.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			t.Fatalf("go.mod: none above the test's folder: %v", err)
		}
		dir = filepath.Dir(dir)
	}
}

// packages lists all packages of the module, and testdata's, which ./... leaves out.
func packages(t *testing.T) []pkg {
	t.Helper()
	root := moduleRoot(t)
	args := []string{"list", "-e", "-json", "./..."}
	fixtures, err := filepath.Glob(filepath.Join(root, "testdata", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	if len(fixtures) > 0 {
		args = append(args, "./testdata")
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("go list: %v: %s", err, stderr.String())
	}
	var all []pkg
	for dec := json.NewDecoder(&stdout); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
	// A rule that looks at nothing is always kept.
	if len(all) < 5 {
		t.Fatalf("go list: %d packages in %s, the module has more", len(all), root)
	}
	return all
}

// source is one Go file with its syntax tree.
type source struct {
	pkg  pkg
	name string // relative to the module, with slashes
	test bool
	text []byte
	tree *ast.File
	fset *token.FileSet
}

// at is where node begins, as an editor takes it: "layers/scan.go:12".
func (s source) at(node ast.Node) string {
	pos := s.fset.Position(node.Pos())
	return s.name + ":" + strconv.Itoa(pos.Line)
}

// sources parses every Go file of the module, tests included.
func sources(t *testing.T) []source {
	t.Helper()
	root := moduleRoot(t)
	var all []source
	for _, p := range packages(t) {
		for i, names := range [][]string{p.GoFiles, p.CgoFiles, p.TestGoFiles, p.XTestGoFiles} {
			for _, name := range names {
				path := filepath.Join(p.Dir, name)
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				fset := token.NewFileSet()
				tree, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
				if err != nil {
					t.Fatal(err)
				}
				rel, err := filepath.Rel(root, path)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, source{p, filepath.ToSlash(rel), i >= 2, text, tree, fset})
			}
		}
	}
	return all
}
