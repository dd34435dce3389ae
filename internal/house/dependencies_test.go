package house

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dependency is a row of docs/dependencies.md: the module, and what the page says of it that can be looked up.
type dependency struct {
	module, section string
	usedBy          []string // our packages of a direct module, the modules that bring an indirect one
	program         string   // "yes" or "no", "" of tools
}

// quoted is what stands between backquotes.
var quoted = regexp.MustCompile("`([^`]+)`")

// dependencyRows reads the tables of the page. A row begins with a name in backquotes; the columns of each section are
// those of the page.
func dependencyRows(page string) []dependency {
	var rows []dependency
	var section string
	for line := range strings.Lines(page) {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.TrimSpace(name)
		}
		cells := strings.Split(line, "|")
		if !strings.HasPrefix(line, "| `") || len(cells) < 5 {
			continue
		}
		d := dependency{module: strings.Trim(cells[1], " `"), section: section}
		program := map[string]int{"Direct": 4, "Indirect": 3}[section]
		if program > 0 {
			for _, m := range quoted.FindAllStringSubmatch(cells[2], -1) {
				d.usedBy = append(d.usedBy, m[1])
			}
			d.program = strings.TrimSpace(cells[program])
		}
		rows = append(rows, d)
	}
	return rows
}

// requirements says of each module in go.mod whether it is "Direct" or "Indirect".
func requirements(t *testing.T) map[string]string {
	t.Helper()
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(goTool(t, "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, r := range mod.Require {
		sections[r.Path] = "Direct"
		if r.Indirect {
			sections[r.Path] = "Indirect"
		}
	}
	return sections
}

// goTool is what the go command prints, of the program as it is released: without cgo, for Linux.
func goTool(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = moduleRoot(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// importers are the packages of ours that import something of a module: those outside tests, or if there is none, those
// whose tests do.
func importers(all []pkg, module string) []string {
	var program, tests []string
	of := func(path string) bool { return path == module || strings.HasPrefix(path, module+"/") }
	for _, p := range all {
		if slices.ContainsFunc(p.Imports, of) {
			program = append(program, p.place())
		} else if slices.ContainsFunc(slices.Concat(p.TestImports, p.XTestImports), of) {
			tests = append(tests, p.place())
		}
	}
	if len(program) > 0 {
		return program
	}
	return tests
}

// TestDependenciesAreDocumented holds docs/dependencies.md equal to go.mod and to what the program is built of.
func TestDependenciesAreDocumented(t *testing.T) {
	root := moduleRoot(t)
	page, err := os.ReadFile(filepath.Join(root, "docs/dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	wanted, all := requirements(t), packages(t)
	linked := strings.Fields(string(goTool(t, "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./cmd/xcrate")))
	for _, d := range dependencyRows(string(page)) {
		if d.section == "Tools" {
			continue
		}
		if wanted[d.module] != d.section {
			t.Errorf("docs/dependencies.md lists %s under %q, go.mod has it under %q (nothing: not there, or the page has two rows)",
				d.module, d.section, wanted[d.module])
		}
		delete(wanted, d.module)
		program := "no"
		if slices.Contains(linked, d.module) {
			program = "yes"
		}
		if d.program != program {
			t.Errorf("docs/dependencies.md: %s: program is %q, go list -deps says %q", d.module, d.program, program)
		}
		if by := importers(all, d.module); d.section == "Direct" && !slices.Equal(d.usedBy, by) {
			t.Errorf("docs/dependencies.md: %s: write that it is used by `%s`", d.module, strings.Join(by, "`, `"))
		}
		if len(d.usedBy) == 0 {
			t.Errorf("docs/dependencies.md: %s: say who uses or brings it", d.module)
		}
	}
	for module, section := range wanted {
		t.Errorf("docs/dependencies.md has no row for %s: write one under %q, with its reason", module, section)
	}
}

// pin is a tool that the Makefile installs: "ORAS = oras.land/oras/cmd/oras@v1.3.6".
var pin = regexp.MustCompile(`(?m)^[A-Z_]+\s*=\s*(\S+)/cmd/\S+@v\S+$`)

// TestToolsAreDocumented compares the tools of the page with the pins of the Makefile.
func TestToolsAreDocumented(t *testing.T) {
	root := moduleRoot(t)
	var documented, pinned []string
	page, err := os.ReadFile(filepath.Join(root, "docs/dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dependencyRows(string(page)) {
		if d.section == "Tools" {
			documented = append(documented, d.module)
		}
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range pin.FindAllStringSubmatch(string(makefile), -1) {
		pinned = append(pinned, m[1])
	}
	if len(pinned) < 4 || !slices.Equal(documented, pinned) {
		t.Errorf("docs/dependencies.md lists the tools %q, the Makefile pins %q: list them in its order", documented, pinned)
	}
}
