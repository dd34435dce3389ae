package house

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// diagram says which of our packages each package may import outside its tests. It is the picture in
// docs/development.md: arrows lead down, from what decides to what knows, and the three big packages of the top level
// do not meet but in cmd/xcrate.
func diagram() map[string][]string {
	tools := []string{
		"artifact", "internal/archive", "internal/database", "internal/dbserver", "internal/host",
		"internal/pkgmgr", "internal/progress", "internal/service", "internal/stack",
	}
	upper := append([]string{"internal/accept"}, tools...)
	return map[string][]string{
		"artifact":                        {},
		"layout":                          {"artifact", "internal/iso9660", "internal/progress"},
		"layers":                          tools,
		"restore":                         append([]string{"internal/merge"}, upper...),
		"cmd/xcrate":                      append([]string{"layers", "layout", "restore", "internal/cache", "internal/hooks", "internal/registry", "internal/sbom", "internal/seal", "internal/sign"}, upper...),
		"internal/accept":                 {"artifact", "internal/database", "internal/host", "internal/stack"},
		"internal/cache":                  {"internal/host"},
		"internal/hooks":                  {"artifact", "internal/host"},
		"internal/iso9660":                {},
		"internal/merge":                  {},
		"internal/progress":               {"artifact"},
		"internal/registry":               {"internal/progress"},
		"internal/sbom":                   {"artifact"},
		"internal/seal":                   {"artifact"},
		"internal/sign":                   {},
		"internal/stack":                  {"artifact"},
		"internal/host":                   {"artifact"},
		"internal/database":               {"artifact", "internal/host"},
		"internal/dbserver":               {"artifact", "internal/database", "internal/host", "internal/service"},
		"internal/archive":                {"artifact", "internal/host"},
		"internal/pkgmgr":                 {"artifact", "internal/host"},
		"internal/service":                {"artifact", "internal/host", "internal/stack"},
		"internal/hosttest":               {"artifact", "internal/host", "testdata"},
		"internal/hosttest/mksample":      {"internal/hosttest"},
		"internal/hosttest/bench":         {},
		"internal/hosttest/restorexcatdb": {},
		"internal/hosttest/xcatd":         {},
		"internal/machinetest":            {"internal/hosttest"},
		"internal/house":                  {},
		"testdata":                        {},
	}
}

// owners says which imports of others belong to one package alone, and what the rest does instead.
func owners() []owner {
	return []owner{
		{"os/exec", "internal/host", "take a host.Runner: it gives programs a clean environment and keeps their exit code"},
		{"github.com/spf13/cobra", "cmd/xcrate", "take an options struct: only the command knows flags"},
		{"github.com/spf13/pflag", "cmd/xcrate", "take an options struct: only the command knows flags"},
	}
}

type owner struct{ imported, by, instead string }

// importFaults says where the packages' imports leave the diagram.
func importFaults(all []pkg) []string {
	var faults []string
	fault := func(words ...string) { faults = append(faults, strings.Join(words, "")) }
	for _, p := range all {
		may, known := diagram()[p.place()]
		if !known {
			fault("package ", p.place(), " is not in the diagram: add it to diagram() in internal/house and to docs/development.md")
			continue
		}
		for _, path := range p.Imports {
			ours, ok := strings.CutPrefix(path, module+"/")
			if ok && !slices.Contains(may, ours) {
				fault("package ", p.place(), " imports ", ours,
					": hand the value in from above, or move what both need below internal/")
			}
		}
		// Fixtures are made by hosttest, which is no part of the program and may run what it likes.
		if !strings.HasPrefix(p.place(), "internal/hosttest") {
			for _, o := range owners() {
				if p.place() != o.by && slices.Contains(p.Imports, o.imported) {
					fault("package ", p.place(), " imports ", o.imported, ", which only ", o.by, " does: ", o.instead)
				}
			}
		}
		faults = append(faults, testImportFaults(p, may)...)
	}
	return faults
}

// testImportFaults allows tests what their package may import, itself, and the fixtures.
func testImportFaults(p pkg, may []string) []string {
	var faults []string
	for _, path := range slices.Concat(p.TestImports, p.XTestImports) {
		ours, ok := strings.CutPrefix(path, module+"/")
		if !ok || ours == p.place() || ours == "internal/hosttest" || ours == "testdata" || slices.Contains(may, ours) {
			continue
		}
		faults = append(faults, "a test of package "+p.place()+" imports "+ours+
			": test through a fake of the small interface, or write the test in cmd/xcrate, which knows both")
	}
	return faults
}

func TestImportsFollowTheDiagram(t *testing.T) {
	for _, f := range importFaults(packages(t)) {
		t.Error(f)
	}
}

// TestDiagramPointsDown keeps the table itself honest: a circle or an arrow upwards typed into it would bless what it
// is there to forbid.
func TestDiagramPointsDown(t *testing.T) {
	arrows := diagram()
	var visit func(from string, above []string)
	visit = func(from string, above []string) {
		if slices.Contains(above, from) {
			t.Fatalf("diagram: a circle: %s", strings.Join(append(above, from), " -> "))
		}
		for _, to := range arrows[from] {
			if _, ok := arrows[to]; !ok {
				t.Errorf("diagram: %s -> %s: there is no such package; remove the arrow", from, to)
			}
			if strings.HasPrefix(from, "internal/") && to != "artifact" && to != "testdata" && !strings.HasPrefix(to, "internal/") {
				t.Errorf("diagram: %s -> %s: internal packages import artifact only of the top level", from, to)
			}
			visit(to, append(slices.Clone(above), from))
		}
	}
	for from := range arrows {
		visit(from, nil)
	}
	for _, pair := range [][2]string{{"layers", "layout"}, {"layers", "restore"}, {"layout", "restore"}} {
		if slices.Contains(arrows[pair[0]], pair[1]) || slices.Contains(arrows[pair[1]], pair[0]) {
			t.Errorf("diagram: %s and %s know each other: cmd/xcrate introduces them", pair[0], pair[1])
		}
	}
}

// TestImportFaultsAreSeen plants one fault of each sort: a rule that cannot fail holds nothing.
func TestImportFaultsAreSeen(t *testing.T) {
	for name, tc := range map[string]struct {
		pkg  pkg
		want string // "" is no fault
	}{
		"artifact_alone":    {pkg{ImportPath: module + "/artifact", Imports: []string{module + "/internal/host"}}, "imports internal/host"},
		"layers_layout":     {pkg{ImportPath: module + "/layers", Imports: []string{module + "/layout"}}, "imports layout"},
		"internal_upwards":  {pkg{ImportPath: module + "/internal/host", Imports: []string{module + "/restore"}}, "imports restore"},
		"exec_elsewhere":    {pkg{ImportPath: module + "/restore", Imports: []string{"os/exec"}}, "take a host.Runner"},
		"cobra_elsewhere":   {pkg{ImportPath: module + "/layers", Imports: []string{"github.com/spf13/cobra"}}, "options struct"},
		"fixtures_in_use":   {pkg{ImportPath: module + "/layers", Imports: []string{module + "/internal/hosttest"}}, "imports internal/hosttest"},
		"unknown_package":   {pkg{ImportPath: module + "/internal/util"}, "not in the diagram"},
		"test_across":       {pkg{ImportPath: module + "/layers", XTestImports: []string{module + "/layout"}}, "a test of package layers"},
		"test_of_itself":    {pkg{ImportPath: module + "/layers", XTestImports: []string{module + "/layers"}}, ""},
		"test_with_fixture": {pkg{ImportPath: module + "/layers", TestImports: []string{module + "/internal/hosttest"}}, ""},
		"host_runs":         {pkg{ImportPath: module + "/internal/host", Imports: []string{"os/exec"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(importFaults([]pkg{tc.pkg}), "\n")
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("faults %q, want %q", got, tc.want)
			}
		})
	}
}

// TestBuildsWithoutCgo builds what users get: one static binary that runs on any host of its architecture.
func TestBuildsWithoutCgo(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.CgoFiles) > 0 {
			t.Errorf("package %s uses cgo in %v: find a library in Go", p.place(), p.CgoFiles)
		}
	}
	// The flags are the Makefile's, so that the objects of `make build` are used again.
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", os.DevNull, "./...")
	cmd.Dir = moduleRoot(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("go build with CGO_ENABLED=0: %v: a dependency needs cgo, or the code does not compile:\n%s", err, out)
	}
}
