package pkgmgr

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/rpmpack"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/hosttest"
)

// distroDir is where the root's own repository lies.
const distroDir = "/srv/distro"

// sample is a package in words that every format has.
type sample struct {
	epoch               int
	name, version       string
	depends, instead    string
	recommends, content string
	script              string // of a deb, after its installation
}

// system is a root of one kind and how things are done there.
type system struct {
	name string // of its manager
	root func(t *testing.T) *host.Root
	// make writes a package to the repository in dir, index its metadata.
	make  func(t *testing.T, dir string, s sample)
	index func(t *testing.T, root *host.Root, dir string) []artifact.Package
	// lacks is what Check says of a package that needs what nobody has.
	lacks string
}

// posted is where the scripts of samples write a line.
const posted = "/var/log/posted"

func systems() map[string]system {
	return map[string]system{
		"dnf":         {"dnf", elSystem, makeRPM, indexRPM, "no-such needed by lacking-1-1.noarch"},
		"installroot": {"dnf", bareSystem, makeRPM, indexRPM, "no-such needed by lacking-1-1.noarch"},
		"zypper":      {"zypper", slesSystem, makeRPM, indexRPM, "no-such needed by lacking-1-1.noarch"},
		"apt":         {"apt", debSystem, sampleDeb, indexDeb, "no-such needed by lacking"},
	}
}

func elSystem(t *testing.T) *host.Root {
	t.Helper()
	root := elRoot(t)
	write(t, root.Path("/etc/yum.repos.d/distro.repo"), []byte("[distro]\nname=distro\nbaseurl=file://"+distroDir+"\ngpgcheck=0\n"))
	return root
}

// bareSystem is that without a dnf of its own: its repository is found by this
// machine's.
func bareSystem(t *testing.T) *host.Root {
	t.Helper()
	root := elSystem(t)
	fromHere(t, root)
	write(t, root.Path("/etc/yum.repos.d/distro.repo"), []byte("[distro]\nname=distro\nbaseurl=file://"+root.Path(distroDir)+"\ngpgcheck=0\n"))
	return root
}

// slesSystem is a fresh SLES root with a repository that answers, and one that
// does not.
func slesSystem(t *testing.T) *host.Root {
	t.Helper()
	need(t, "rpm")
	root := openRoot(t, hosttest.SLESRoot(t))
	write(t, root.Path("/etc/zypp/repos.d/distro.repo"), []byte("[distro]\nname=distro\nenabled=1\nautorefresh=1\nbaseurl=file://"+distroDir+"\ngpgcheck=0\n"))
	write(t, root.Path("/etc/zypp/repos.d/base.repo"), []byte("[base]\nname=base\nenabled=1\nautorefresh=1\nbaseurl=http://127.0.0.1:9/base\ngpgcheck=1\n"))
	return root
}

// debSystem is the same for Debian.
func debSystem(t *testing.T) *host.Root {
	t.Helper()
	need(t, "dpkg-deb", "apt-ftparchive")
	root := openRoot(t, hosttest.DebianRoot(t))
	for _, dir := range []string{"/etc/apt/sources.list.d", "/var/lib/apt/lists"} {
		if err := os.RemoveAll(root.Path(dir)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, root.Path("/etc/apt/sources.list"), []byte("deb [trusted=yes] file:"+distroDir+" repodata/\ndeb http://127.0.0.1:9/debian bookworm main\n"))
	return root
}

func makeRPM(t *testing.T, dir string, s sample) {
	t.Helper()
	m := rpmpack.RPMMetaData{Name: s.name, Version: s.version, Release: "1", Arch: "noarch", Epoch: rpmpack.NoEpoch}
	if s.epoch > 0 {
		m.Epoch = uint32(s.epoch)
	}
	m.Requires, m.Obsoletes, m.Recommends = relations(t, s.depends), relations(t, s.instead), relations(t, s.recommends)
	pack(t, dir, packed{
		RPMMetaData: m, files: map[string]string{"/usr/bin/of-" + s.name: s.version + s.content},
		postin: "echo " + s.name + "-" + s.version + " >>" + posted + "\n",
	})
}

func relations(t *testing.T, list string) rpmpack.Relations {
	t.Helper()
	if list == "" {
		return nil
	}
	return needs(t, strings.Split(list, ", ")...)
}

func indexRPM(t *testing.T, root *host.Root, dir string) []artifact.Package {
	t.Helper()
	found, err := Find(t.Context(), root, dir, FindOptions{})
	if err != nil {
		t.Fatal(err)
	}
	writeRepo(t, root.Path(dir), found.Packages)
	var all []artifact.Package
	for _, p := range found.Packages {
		all = append(all, p.Package)
	}
	return all
}

func sampleDeb(t *testing.T, dir string, s sample) {
	t.Helper()
	top := t.TempDir()
	version := s.version + "-1"
	if s.epoch > 0 {
		version = fmt.Sprintf("%d:%s", s.epoch, version)
	}
	control := "Package: " + s.name + "\nVersion: " + version + "\nArchitecture: all\nMaintainer: T <t@one.example>\nDescription: test\n"
	if s.depends != "" {
		control += "Depends: " + strings.ReplaceAll(s.depends, "/usr/bin/of-", "") + "\n"
	}
	if s.instead != "" {
		control += "Replaces: " + s.instead + "\nConflicts: " + s.instead + "\nProvides: " + s.instead + "\n"
	}
	if s.recommends != "" {
		control += "Recommends: " + s.recommends + "\n"
	}
	write(t, filepath.Join(top, "DEBIAN/control"), []byte(control))
	write(t, filepath.Join(top, "DEBIAN/postinst"), []byte("#!/bin/sh\nset -e\necho "+s.name+"-"+s.version+" >>"+posted+"\n"+s.script+"\n"))
	write(t, filepath.Join(top, "usr/bin/of-"+s.name), []byte(s.version+s.content))
	if err := os.Chmod(filepath.Join(top, "DEBIAN/postinst"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "Packages", s.name+"_"+s.version+"-1_all.deb")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, "dpkg-deb", "--root-owner-group", "--build", top, file)
}

func indexDeb(t *testing.T, root *host.Root, dir string) []artifact.Package {
	t.Helper()
	const script = `cd "$1" && mkdir -p repodata && apt-ftparchive packages Packages >repodata/Packages && rm -f repodata/Release && apt-ftparchive release repodata >../Release && mv ../Release repodata/ && cat repodata/Packages`
	index := command(t, "sh", "-c", script, "sh", root.Path(dir))
	all, err := parseDpkg(strings.ReplaceAll(index, "Package: ", "Status: install ok installed\nPackage: "))
	if err != nil {
		t.Fatal(err)
	}
	var pkgs []artifact.Package
	for _, p := range all {
		pkgs = append(pkgs, p.Package)
	}
	return pkgs
}

// repository makes one out of samples in dir of the root, where there was
// another or none.
func (s system) repository(t *testing.T, root *host.Root, dir string, samples ...sample) []artifact.Package {
	t.Helper()
	if err := os.RemoveAll(root.Path(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(root.Path(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, one := range samples {
		s.make(t, root.Path(dir), one)
	}
	return s.index(t, root, dir)
}
