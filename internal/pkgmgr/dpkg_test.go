package pkgmgr

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestInstalledOnDebian compares with dpkg-query on the machine the test runs on.
func TestInstalledOnDebian(t *testing.T) {
	need(t, "dpkg-query")
	machine := openRoot(t, "/")
	root := openRoot(t, t.TempDir())
	write(t, root.Path(dpkgStatus), readFile(t, machine.Path(dpkgStatus)))
	got, err := InstalledOn(t.Context(), root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{}
	for _, p := range got {
		version := p.Version
		if p.Epoch != "" {
			version = p.Epoch + ":" + version
		}
		if p.Release != "" {
			version += "-" + p.Release
		}
		lines = append(lines, p.Name+" "+version+" "+p.Arch+" "+p.Packager)
	}
	out := command(t, "dpkg-query", "--admindir="+root.Path("/var/lib/dpkg"), "-W", "-f", `${db:Status-Status} ${Package} ${Version} ${Architecture} ${Maintainer}\n`)
	var want []string
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(line, "installed "); ok {
			want = append(want, strings.TrimSpace(rest))
		}
	}
	slices.Sort(lines)
	slices.Sort(want)
	if !slices.Equal(lines, want) || len(want) < 50 {
		t.Errorf("read %q\nwant %q", lines, want)
	}
}

// TestInstalledOnBoth has a Debian system where somebody ran rpm, and one that
// never had a package.
func TestInstalledOnBoth(t *testing.T) {
	need(t, "rpm")
	root := openRoot(t, t.TempDir())
	command(t, "rpm", "--root", root.Dir(), "--dbpath", "/var/lib/rpm", "--initdb")
	if all, err := InstalledOn(t.Context(), root, t.TempDir()); err != nil || len(all) != 0 {
		t.Errorf("empty database: %+v, %v", all, err)
	}
	write(t, root.Path(dpkgStatus), []byte("Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"))
	if all, err := InstalledOn(t.Context(), root, t.TempDir()); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v, want the one of dpkg", all, err)
	}
}

func TestParseDpkg(t *testing.T) {
	status := `Package: xcat-client
Status: install ok installed
Maintainer: xCAT <x@example.com>
Architecture: amd64
Version: 2:2.17.0-snap-1
Description: with
 Version: more lines
 .

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: half
Status: install ok unpacked
Architecture: all
Version: 1-1


Package: native
Status: hold ok triggers-pending
Architecture: all
Version: 1.0`
	got, err := parseDpkg(status)
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if p := got[0]; p.Epoch != "2" || p.Version != "2.17.0-snap" || p.Release != "1" || p.Packager != "xCAT <x@example.com>" {
		t.Errorf("%+v", p)
	}
	if p := got[1]; p.Name != "native" || p.Epoch != "" || p.Version != "1.0" || p.Release != "" {
		t.Errorf("%+v", p)
	}
}

func TestParseDpkgDamaged(t *testing.T) {
	for _, tt := range []struct{ name, status, want string }{
		{"no_field", "Package: a\nStatus\n", "line 2: no field"},
		{"twice", "Package: a\nPackage: b\n", `field "package" twice`},
		{"no_status", "Package: a\nVersion: 1\n", `package "a" with status ""`},
		{"no_version", "Package: a\nStatus: install ok installed\n", "without version"},
		{"no_name", "Version: 1\nStatus: install ok installed\n", `package ""`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := openRoot(t, t.TempDir())
			write(t, root.Path(dpkgStatus), []byte(tt.status))
			_, err := InstalledOn(t.Context(), root, t.TempDir())
			if err == nil || errors.Is(err, ErrNone) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), root.Path(dpkgStatus)) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}
