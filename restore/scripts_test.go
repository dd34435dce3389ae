package restore

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/pkgmgr"
)

// packageDB is where the manager of the tests keeps what is installed.
const packageDB = "/usr/lib/packages"

// scripted is a package manager whose packages do what scripts of real ones do,
// for faults that real ones have not. Real ones are tested in cmd/xcrate.
type scripted struct {
	t       *testing.T
	root    *host.Root
	refusal pkgmgr.Refusal
	stays   error // of Undo
	fails   error // of Install, after everything was done
}

func (s *scripted) Name() string          { return "scripted" }
func (s *scripted) Format() pkgmgr.Format { return pkgmgr.RPM }

func (s *scripted) Installed(context.Context) ([]artifact.Package, error) {
	b, err := s.root.ReadFile(packageDB, 1<<20)
	if err != nil {
		return nil, err
	}
	var all []artifact.Package
	for _, name := range strings.Fields(string(b)) {
		all = append(all, artifact.Package{Name: name, Version: "1", Release: "1", Arch: "noarch"})
	}
	return all, nil
}

func (s *scripted) write(names ...string) {
	check(s.t, os.WriteFile(s.root.Path(packageDB), []byte(strings.Join(names, "\n")), 0o644))
	check(s.t, os.Chtimes(s.root.Path(packageDB), time.Unix(1e9, 0), time.Unix(1e9, 0)))
}

func (s *scripted) Definition(pkgmgr.Repo) (pkgmgr.Definition, error) {
	return pkgmgr.Definition{Path: "/etc/repos/xcrate.repo", Content: []byte("repository")}, nil
}

func (s *scripted) Check(_ context.Context, repo pkgmgr.Repo, _ pkgmgr.Request) (pkgmgr.Refusal, error) {
	if b, err := s.root.ReadFile(repo.Dir+"/repodata/repomd.xml", 1<<10); err != nil || string(b) != "metadata" {
		s.t.Errorf("metadata for the check: %q, %v", b, err)
	}
	return s.refusal, nil
}

func (s *scripted) Install(_ context.Context, repo pkgmgr.Repo, want pkgmgr.Request, log io.Writer) error {
	for _, p := range []string{repo.Dir + "/Packages/a.rpm", "/etc/repos/xcrate.repo"} {
		if _, err := s.root.Lstat(p); err != nil {
			return err
		}
	}
	names := []string{"base"}
	for _, p := range want.Packages {
		names = append(names, p.Name)
	}
	s.write(append(names, want.Names...)...)
	for p, content := range map[string]string{
		"/etc/svc/conf": "the script's", "/etc/svc/same": "other", "/etc/svc/made": "x", "/etc/made/deep/x": "x", "/etc/selinux/config": "off",
		"/opt/xcat/prog": "x", "/root/.xcat/cred": "of the installation", "/etc/xcat/ca/stale": "x", "/home/conserver/x": "x",
	} {
		check(s.t, s.root.MkdirAll(filepath.Dir(p), 0o755))
		check(s.t, os.WriteFile(s.root.Path(p), []byte(content), 0o600))
	}
	check(s.t, os.Chmod(s.root.Path("/etc/svc/mine"), 0o777))
	check(s.t, os.Remove(s.root.Path("/etc/hosts")))
	check(s.t, os.Mkdir(s.root.Path("/etc/hosts"), 0o700))
	check(s.t, os.Remove(s.root.Path("/etc/hosts")))
	_, err := io.WriteString(log, "done")
	return errors.Join(s.fails, err)
}

func (s *scripted) Undo(_ context.Context, before []artifact.Package, _ io.Writer) error {
	var names []string
	for _, p := range before {
		names = append(names, p.Name)
	}
	s.write(names...)
	// As dpkg does, with directories that were empty before.
	return errors.Join(s.stays, os.RemoveAll(s.root.Path("/opt")))
}

// packageFixture is a snapshot with a package.
func packageFixture(t *testing.T) fixture {
	t.Helper()
	f := newFixture(t)
	files := []file{
		dir("Packages", 0o755), reg("Packages/a.rpm", "the package", 0o644), dir("repodata", 0o755), reg("repodata/repomd.xml", "metadata", 0o644),
	}
	config, layers := f.s.Config, []ocispec.Descriptor{}
	entries, desc := layer(t, f.m, artifact.KindPackages, files)
	layers = append(layers, desc)
	all := entries
	check(t, f.s.Catalog(t.Context(), f.m, func(e artifact.Entry) error {
		all = append(all, e)
		return nil
	}))
	for _, l := range f.s.Manifest.Layers {
		if l.Annotations[artifact.AnnotationKind] != string(artifact.KindCatalog) {
			layers = append(layers, l)
		}
	}
	config.Kinds = append([]artifact.KindSum{sum(artifact.KindPackages, entries)}, config.Kinds...)
	config.Packages = []artifact.Package{{Name: "a", Version: "1", Release: "1", Arch: "noarch", File: "Packages/a.rpm", Install: true}}
	config.DistroPackages = []artifact.Package{{Name: "driver", Version: "9"}, {Name: "base", Version: "9"}}
	return fixture{f.m, pack(t, f.m, config, layers, all)}
}

// packageRoot is a target with a package database.
func packageRoot(t *testing.T) string {
	t.Helper()
	root := targetRoot(t)
	for p, content := range map[string]string{packageDB: "base", "etc/selinux/config": "on", "etc/repos/own.repo": ""} {
		check(t, os.MkdirAll(filepath.Join(root, filepath.Dir(p)), 0o755))
		check(t, os.WriteFile(filepath.Join(root, p), []byte(content), 0o644))
		check(t, os.Chtimes(filepath.Join(root, p), time.Unix(1e9, 0), time.Unix(1e9, 0)))
	}
	check(t, os.MkdirAll(filepath.Join(root, "var/tmp"), 0o755))
	check(t, os.Mkdir(filepath.Join(root, "opt"), 0o751))
	return root
}

func (f fixture) scripted(t *testing.T, root string) (Options, *scripted) {
	o := f.options(t, root)
	m := &scripted{t: t, root: o.Root}
	o.detect = func(context.Context, *host.Root, host.Runner) (pkgmgr.Manager, error) { return m, nil }
	return o, m
}

func TestPackages(t *testing.T) {
	f, root := packageFixture(t), packageRoot(t)
	o, m := f.scripted(t, root)
	result, err := Apply(t.Context(), f.m, f.s, o, func(p *Plan) (bool, error) {
		if !slices.Equal(p.Packages.Names, []string{"driver"}) || p.Packages.Definition != "/etc/repos/xcrate.repo" {
			t.Errorf("plan %+v", p.Packages)
		}
		return true, nil
	})
	check(t, err)
	if r := result.Packages; r.Installed != 1 || !slices.Equal(r.Extra, []string{"driver-1-1.noarch"}) || len(r.Gone)+len(r.Replaced) > 0 {
		t.Errorf("packages %+v", r)
	}
	if !slices.Equal(result.Settings, []string{"/etc/selinux/config"}) {
		t.Errorf("settings %q", result.Settings)
	}
	for p, want := range map[string]string{
		"etc/svc/conf": "new", "etc/svc/same": "same", "etc/hosts": "10.0.0.1 mn\n", "etc/selinux/config": "on", "root/.xcat/cred": "secret",
		"var/lib/xcrate/repository/Packages/a.rpm": "the package", "etc/made/deep/x": "x",
	} {
		if b, err := os.ReadFile(filepath.Join(root, p)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v, want %q", p, b, err, want)
		}
	}
	for _, p := range []string{"etc/xcat/ca/stale", "etc/repos/xcrate.repo"} {
		if _, err := os.Lstat(filepath.Join(root, p)); err == nil {
			t.Errorf("%s is there", p)
		}
	}
	if left, err := os.ReadDir(filepath.Join(root, "var/tmp")); err != nil || len(left) > 0 {
		t.Errorf("left in /var/tmp: %v, %v", left, err)
	}
	m.refusal.Says = "it must not be asked again"
	if again, err := Apply(t.Context(), f.m, f.s, o, yes); err != nil || again != nil {
		t.Errorf("second import: %+v, %v", again, err)
	}
}

// TestRefused has a manager that would not install the packages, or only not
// those of the distro.
func TestRefused(t *testing.T) {
	f, root := packageFixture(t), packageRoot(t)
	o, m := f.scripted(t, root)
	before := treeOf(t, root)
	m.refusal.Missing = []string{"perl(DBI) needed by a-1-1.noarch"}
	var plan *Plan
	_, err := Apply(t.Context(), f.m, f.s, o, func(p *Plan) (bool, error) {
		plan = p
		return true, nil
	})
	if !errors.Is(err, ErrBlocked) || len(plan.Blocked()) != 1 || !strings.Contains(plan.Blocked()[0].Message, "perl(DBI) needed by a") {
		t.Errorf("%v, %+v", err, plan.Findings)
	}
	diff(t, "refused", before, treeOf(t, root))
}

// TestEveryStepWithPackages is TestEveryStepFails for an import that installs
// packages: whatever their scripts did is taken back, and the packages.
func TestEveryStepWithPackages(t *testing.T) {
	f := packageFixture(t)
	f.everyStep(t, 40, packageRoot, func(root string) Options {
		o, _ := f.scripted(t, root)
		return o
	})
}

// TestTransactionFails has a manager that fails when its scripts have run.
func TestTransactionFails(t *testing.T) {
	f, root := packageFixture(t), packageRoot(t)
	o, m := f.scripted(t, root)
	m.fails = errors.New("scriptlet failed")
	before := treeOf(t, root)
	if _, err := Apply(t.Context(), f.m, f.s, o, yes); !errors.Is(err, m.fails) {
		t.Errorf("%v", err)
	}
	diff(t, "after a failed transaction", before, treeOf(t, root))
}

// TestPackageStays has a package that cannot be brought back: everything else is,
// it is said, and the next import is not kept from its work.
func TestPackageStays(t *testing.T) {
	f, root := packageFixture(t), packageRoot(t)
	o, m := f.scripted(t, root)
	m.fails, m.stays = errors.New("scriptlet failed"), errors.New("old-1-1.noarch: no repository has it")
	before := treeOf(t, root)
	if _, err := Apply(t.Context(), f.m, f.s, o, yes); !errors.Is(err, m.fails) || !errors.Is(err, m.stays) {
		t.Errorf("%v", err)
	}
	diff(t, "after a failed transaction", before, treeOf(t, root))
	m.fails = nil
	if _, err := Apply(t.Context(), f.m, f.s, o, yes); err != nil {
		t.Errorf("the next import: %v", err)
	}
}

// TestMountedSince crashes after packages were installed; then somebody mounts a
// disk where they had made a directory. What it holds is not the import's.
func TestMountedSince(t *testing.T) {
	f, root := packageFixture(t), packageRoot(t)
	o, _ := f.scripted(t, root)
	home := filepath.Join(root, "home/conserver")
	o.fault = func() error {
		if _, err := os.Lstat(home); err == nil {
			return errors.New("crash")
		}
		return nil
	}
	crash(t, f, o)
	if err := unix.Mount("tmpfs", home, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(home, unix.MNT_DETACH) })
	check(t, os.WriteFile(filepath.Join(home, "data"), []byte("precious"), 0o600))
	check(t, os.WriteFile(filepath.Join(root, "var/lib/xcrate/repository/data"), nil, 0o600))
	o.fault = nil
	b, err := RollBack(t.Context(), o, "", always)
	check(t, err)
	if left := strings.Join(b.Left, "\n"); !strings.Contains(left, unix.EBUSY.Error()) || !strings.Contains(left, unix.ENOTEMPTY.Error()) {
		t.Errorf("left: %s", left)
	}
	if b, err := os.ReadFile(filepath.Join(home, "data")); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := Apply(t.Context(), f.m, f.s, o, yes); err != nil {
		t.Errorf("the next import: %v", err)
	}
}
