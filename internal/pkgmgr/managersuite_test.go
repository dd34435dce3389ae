package pkgmgr

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/hosttest"
)

// TestManagers is what every manager does, one thing after the other on one
// machine: a distro that has some packages, and a snapshot that has others.
func TestManagers(t *testing.T) {
	for name, s := range systems() {
		t.Run(name, func(t *testing.T) {
			root := s.root(t)
			m := detect(t, root)
			if m.Name() != s.name {
				t.Fatalf("the manager is %s", m.Name())
			}
			s.repository(
				t, root, distroDir,
				sample{name: "needed", version: "3"}, sample{name: "rises", version: "1"}, sample{name: "sinks", version: "9"},
				sample{name: "goes", version: "1"}, sample{name: "main", version: "1", epoch: 4, content: "the distro's"},
				sample{name: "main", version: "2"},
			)
			c := conformance{system: s, t: t, root: root, m: m}
			// An earlier snapshot was at the same place.
			s.repository(t, root, repoDir, sample{name: "early", version: "1"}, sample{name: "main", version: "0"})
			if !t.Run("names", c.names) {
				return
			}
			c.pkgs = s.repository(
				t, root, repoDir,
				sample{name: "main", version: "1", epoch: 4, depends: "needed, /usr/bin/of-part", content: "the snapshot's"},
				sample{name: "part", version: "2.17.0", epoch: 1}, sample{name: "rises", version: "2"}, sample{name: "sinks", version: "2"},
				sample{name: "comes", version: "1", instead: "goes"}, sample{name: "lacking", version: "1", depends: "no-such"},
			)
			c.lacking = c.pkgs[slices.IndexFunc(c.pkgs, func(p artifact.Package) bool { return p.Name == "lacking" })]
			c.pkgs = slices.DeleteFunc(c.pkgs, func(p artifact.Package) bool { return p.Name == "lacking" })
			for _, step := range []struct {
				name string
				run  func(*testing.T)
			}{
				{"check", c.check},
				{"refused", c.refused},
				{"tampered", c.tampered},
				{"install", c.install},
				{"undo", c.undo},
				{"undo without the old", c.undoPart},
			} {
				if !t.Run(step.name, step.run) {
					return
				}
			}
		})
	}
}

type conformance struct {
	system
	t       *testing.T
	root    *host.Root
	m       Manager
	pkgs    []artifact.Package // of the snapshot
	lacking artifact.Package   // one of it that needs what nobody has
	before  []artifact.Package // what was installed first
}

func (c *conformance) installed(t *testing.T) []artifact.Package {
	t.Helper()
	all, err := c.m.Installed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// do installs, in a time that waits for nobody.
func (c *conformance) do(t *testing.T, want Request) {
	t.Helper()
	begin := time.Now()
	var log bytes.Buffer
	if err := installFrom(t, c.root, c.m, Repo{Dir: repoDir}, want, &log); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("it took %v\n%s", took, &log)
	}
}

// names installs what the distro has, in any version.
func (c *conformance) names(t *testing.T) {
	base := c.installed(t)
	c.do(t, Request{Names: []string{"goes", "rises", "sinks"}})
	c.before = c.installed(t)
	came := missing(c.before, base)
	if got := namesOf(came); !slices.Equal(got, []string{"goes", "rises", "sinks"}) {
		t.Fatalf("installed %q", got)
	}
}

func namesOf(pkgs []artifact.Package) []string {
	var all []string
	for _, p := range pkgs {
		all = append(all, p.Name)
	}
	return all
}

// check asks while there is metadata only, and compares the whole tree.
func (c *conformance) check(t *testing.T) {
	d, err := c.m.Definition(Repo{Dir: repoDir})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(c.root.Path(d.Path)); err != nil {
		t.Fatal(err)
	}
	aside := c.root.Path("/srv/aside")
	const move = `mkdir "$2" && find "$1" -name "*.rpm" -o -name "*.deb" | while read -r f; do mv "$f" "$2/"; done`
	command(t, "sh", "-c", move, "sh", c.root.Path(repoDir), aside)
	before := c.tree(t)
	r, err := c.m.Check(t.Context(), Repo{Dir: repoDir}, Request{Packages: c.pkgs, Names: []string{"needed"}})
	if err != nil || r.Refused() {
		t.Errorf("%+v, %v", r, err)
	}
	for _, want := range []struct {
		request Request
		missing string
	}{
		{Request{Packages: []artifact.Package{c.lacking}}, c.lacks},
		{Request{Names: []string{"nowhere"}}, "nowhere"},
	} {
		r, err := c.m.Check(t.Context(), Repo{Dir: repoDir}, want.request)
		if err != nil || !slices.Equal(r.Missing, []string{want.missing}) || r.Says == "" {
			t.Errorf("%+v, %v, want %q missing", r, err, want.missing)
		}
	}
	after := c.tree(t)
	for p, n := range before {
		if fmt.Sprint(after[p]) != fmt.Sprint(n) {
			t.Errorf("%s: %+v, was %+v", p, after[p], n)
		}
	}
	for p := range maps.Keys(after) {
		if _, was := before[p]; !was {
			t.Errorf("%s came", p)
		}
	}
	const back = `d=$1; test -d "$d/Packages" && d=$d/Packages; mv "$2"/* "$d/" && rmdir "$2"`
	command(t, "sh", "-c", back, "sh", c.root.Path(repoDir), aside)
}

// tree is the root without what reading changes: the times of directories a
// lock or a temporary directory was in, the marks of SQLite's readers, and what
// librepo remembers of the packages of a local repository.
func (c *conformance) tree(t *testing.T) map[string]hosttest.Node {
	t.Helper()
	all, err := hosttest.Tree(c.root.Dir())
	if err != nil {
		t.Fatal(err)
	}
	for p, n := range all {
		switch {
		case strings.HasSuffix(p, "rpmdb.sqlite-shm"):
			delete(all, p)
		case strings.HasPrefix(p, distroDir[1:]+"/"):
			maps.DeleteFunc(n.Xattrs, func(name, _ string) bool { return strings.HasPrefix(name, "user.Librepo.") })
		case n.Type == "dir":
			n.Sec, n.Nsec = 0, 0
			all[p] = n
		}
	}
	return all
}

// refused leaves the database as it was.
func (c *conformance) refused(t *testing.T) {
	before := c.installed(t)
	for _, want := range []Request{
		{Packages: append(slices.Clone(c.pkgs), c.lacking)},
		{Packages: c.pkgs, Names: []string{"nowhere"}},
		{Packages: []artifact.Package{{Name: "main", Version: "7", Release: "1", Arch: c.pkgs[0].Arch}}},
		{Names: []string{"-y"}},
	} {
		if err := installFrom(t, c.root, c.m, Repo{Dir: repoDir}, want, io.Discard); err == nil {
			t.Errorf("%+v passed", want)
		}
	}
	if got := c.installed(t); !slices.Equal(got, before) {
		t.Errorf("installed %q, was %q", nevrasOf(got), nevrasOf(before))
	}
}

// tampered has another file in the place of one of the repository.
func (c *conformance) tampered(t *testing.T) {
	before := c.installed(t)
	files, err := filepath.Glob(escapeGlob(c.root.Path(repoDir)) + "/*part*.rpm")
	if err == nil && len(files) == 0 {
		files, err = filepath.Glob(escapeGlob(c.root.Path(repoDir)) + "/Packages/part*.deb")
	}
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	whole := readFile(t, files[0])
	bad := slices.Clone(whole)
	bad[len(bad)-20] ^= 1
	write(t, files[0], bad)
	if err := installFrom(t, c.root, c.m, Repo{Dir: repoDir}, Request{Packages: c.pkgs}, io.Discard); err == nil {
		t.Error("a file that is not the one of the metadata passed")
	}
	write(t, files[0], whole)
	if got := c.installed(t); !slices.Equal(namesOf(got), namesOf(before)) {
		t.Errorf("installed %q, was %q", nevrasOf(got), nevrasOf(before))
	}
}

func escapeGlob(p string) string {
	return strings.NewReplacer("[", `\[`, "*", `\*`, "?", `\?`).Replace(p)
}

// install has everything at once, and then nothing.
func (c *conformance) install(t *testing.T) {
	if err := os.Remove(c.root.Path(posted)); err != nil {
		t.Fatal(err)
	}
	c.do(t, Request{Packages: c.pkgs, Names: []string{"needed"}})
	now := c.installed(t)
	if err := compare(c.pkgs, now); err != nil {
		t.Error(err)
	}
	if got := namesOf(missing(c.before, now)); slices.Contains(namesOf(now), "goes") || !slices.Contains(namesOf(now), "needed") {
		t.Errorf("went %q", got)
	}
	if got := string(readFile(t, c.root.Path("/usr/bin/of-main"))); got != "1the snapshot's" {
		t.Errorf("of two files of one version, that with %q was taken", got)
	}
	lines := strings.Fields(string(readFile(t, c.root.Path(posted))))
	slices.Sort(lines)
	if want := []string{"comes-1", "main-1", "needed-3", "part-2.17.0", "rises-2", "sinks-2"}; !slices.Equal(lines, want) {
		t.Errorf("scripts %q, want %q", lines, want)
	}
	again(t, c.m, c.pkgs)
}

// undo brings back what was there, twice.
func (c *conformance) undo(t *testing.T) {
	for range 2 {
		var log bytes.Buffer
		if err := c.m.Undo(t.Context(), c.before, &log); err != nil {
			t.Errorf("%v\n%s", err, &log)
		}
		if got := c.installed(t); !slices.Equal(got, c.before) {
			t.Errorf("installed %q, was %q\n%s", nevrasOf(got), nevrasOf(c.before), &log)
		}
	}
}

// undoPart has a distro that does not know the old versions any more.
func (c *conformance) undoPart(t *testing.T) {
	c.do(t, Request{Packages: c.pkgs})
	c.repository(t, c.root, distroDir, sample{name: "rises", version: "1"})
	command(t, "find", c.root.Path("/var/cache"), "-name", "*.deb", "-delete", "-or", "-name", "*.rpm", "-delete")
	err := c.m.Undo(t.Context(), c.before, io.Discard)
	if err == nil {
		t.Fatal("no error")
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	for name, lost := range map[string]bool{"sinks-9-1": true, "goes-1-1": true, "rises-1-1": false} {
		if strings.Contains(first, name) != lost {
			t.Errorf("error %q, %s in it: want %v", err, name, lost)
		}
	}
	if got := namesOf(c.installed(t)); slices.Contains(got, "main") || slices.Contains(got, "comes") || !slices.Contains(got, "sinks") {
		t.Errorf("installed %q", got)
	}
}
