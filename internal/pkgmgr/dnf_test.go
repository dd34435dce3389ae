package pkgmgr

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/hosttest"
)

// repoDir has in it what dnf would split or expand.
const repoDir = "/var/lib/xcrate/a, b $basearch/caf\u00e9%20+~"

// elRoot returns a fresh EL root that has a distro repository at an address
// nobody answers at, as an air-gapped machine does.
func elRoot(t *testing.T) *host.Root {
	t.Helper()
	need(t, "dnf", "rpm")
	root := openRoot(t, hosttest.ELRoot(t))
	write(t, root.Path("/etc/yum.repos.d/base.repo"), []byte("[base]\nname=base\nbaseurl=http://127.0.0.1:9/base/$releasever\nenabled=1\ngpgcheck=1\ngpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-Rocky-9\nskip_if_unavailable=0\n"))
	return root
}

// fill makes the repository of root out of what pack writes.
func fill(t *testing.T, root *host.Root, pack func(dir string)) []artifact.Package {
	t.Helper()
	if err := os.MkdirAll(root.Path(repoDir), 0o755); err != nil {
		t.Fatal(err)
	}
	pack(root.Path(repoDir))
	found, err := Find(t.Context(), root, repoDir, FindOptions{})
	if err != nil {
		t.Fatal(err)
	}
	writeRepo(t, root.Path(repoDir), found.Packages)
	var all []artifact.Package
	for _, p := range found.Packages {
		all = append(all, p.Package)
	}
	return all
}

// nevras are the packages rpm itself says are in root.
func nevras(t *testing.T, root *host.Root) []string {
	t.Helper()
	out := command(t, "rpm", "--root", root.Dir(), "--dbpath", "/var/lib/rpm", "-qa", "--qf", "%{NEVRA}\n")
	all := strings.Fields(out)
	slices.Sort(all)
	return all
}

// fromRoot and fromHere are the two ways to act on a root that does not run.
func fromRoot(t *testing.T, root *host.Root) Manager { return detect(t, root) }

func fromHere(t *testing.T, root *host.Root) Manager {
	t.Helper()
	// An import target that was installed without dnf: both its names go.
	for _, name := range []string{"dnf", "dnf-3"} {
		if err := os.Remove(root.Path("/usr/bin/" + name)); err != nil {
			t.Fatal(err)
		}
	}
	return detect(t, root)
}

func detect(t *testing.T, root *host.Root) Manager {
	t.Helper()
	m, err := Detect(t.Context(), root, host.Exec{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// installFrom puts the definition of a repository where m wants it and installs
// from it, as an import does.
func installFrom(t *testing.T, root *host.Root, m Manager, repo Repo, want Request, log io.Writer) error {
	t.Helper()
	d, err := m.Definition(repo)
	if err != nil {
		t.Fatal(err)
	}
	write(t, root.Path(d.Path), d.Content)
	return m.Install(t.Context(), repo, want, log)
}

func TestInstall(t *testing.T) {
	for name, manager := range map[string]func(*testing.T, *host.Root) Manager{"chroot": fromRoot, "installroot": fromHere} {
		t.Run(name, func(t *testing.T) {
			root := elRoot(t)
			before := nevras(t, root)
			m := manager(t, root)
			pkgs := fill(t, root, func(dir string) { packStack(t, dir) })
			var log bytes.Buffer
			if err := installFrom(t, root, m, Repo{Dir: repoDir}, Request{Packages: pkgs}, &log); err != nil {
				t.Fatalf("%v\n%s", err, &log)
			}
			want := slices.Clone(before)
			for _, p := range pkgs {
				want = append(want, p.NEVRA())
			}
			slices.Sort(want)
			if got := nevras(t, root); !slices.Equal(got, want) {
				t.Errorf("installed %q, want %q\n%s", got, want, &log)
			}
			if !root.Exists("/etc/xcat-post") {
				t.Error("the script of xCAT-server did not run")
			}
			if root.Exists(macroHome) {
				t.Errorf("%s is left", macroHome)
			}
			again(t, m, pkgs)
		})
	}
}

// again installs what is installed, which must run nothing: the repository
// given is not even there.
func again(t *testing.T, m Manager, pkgs []artifact.Package) {
	t.Helper()
	var log bytes.Buffer
	if err := m.Install(t.Context(), Repo{Dir: "/nowhere"}, Request{Packages: pkgs}, &log); err != nil || log.Len() > 0 {
		t.Errorf("second install: %v\n%s", err, &log)
	}
}

func TestInstallErrors(t *testing.T) {
	root := elRoot(t)
	before := nevras(t, root)
	good := packed{RPMMetaData: meta("good", "1", "1")}
	for _, tt := range []struct {
		name string
		pack func(t *testing.T, dir string)
		edit func(pkgs []artifact.Package)
		want []string
	}{
		{"dependency", func(t *testing.T, dir string) {
			pack(t, dir, good)
			lacking := meta("lacking", "1", "1")
			lacking.Requires = needs(t, "perl(No::Such) >= 3")
			pack(t, dir, packed{RPMMetaData: lacking})
		}, nil, []string{"dnf: exit status 1", "nothing provides perl(No::Such) >= 3 needed by lacking-1-1.noarch"}},
		{"absent", func(t *testing.T, dir string) { pack(t, dir, good) }, func(pkgs []artifact.Package) {
			pkgs[0].Version = "2"
		}, []string{"good-0:2-1.noarch"}},
		{"option", func(t *testing.T, dir string) { pack(t, dir, good) }, func(pkgs []artifact.Package) {
			pkgs[0].Name = "--downloadonly"
		}, []string{`name "--downloadonly"`}},
		{"conflict", func(t *testing.T, dir string) {
			bad := meta("bad", "1", "1")
			bad.Conflicts = needs(t, "good")
			pack(t, dir, packed{RPMMetaData: bad})
			pack(t, dir, good)
		}, nil, []string{"conflicts with good"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.RemoveAll(root.Path(repoDir)); err != nil {
				t.Fatal(err)
			}
			pkgs := fill(t, root, func(dir string) { tt.pack(t, dir) })
			if tt.edit != nil {
				tt.edit(pkgs)
			}
			err := installFrom(t, root, detect(t, root), Repo{Dir: repoDir}, Request{Packages: pkgs}, io.Discard)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
			if got := nevras(t, root); !slices.Equal(got, before) {
				t.Errorf("installed %q, was %q", got, before)
			}
		})
	}
}
