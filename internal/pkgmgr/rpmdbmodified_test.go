package pkgmgr

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/hosttest"
)

const modifiedSpec = `
Name: files
Version: 1
Release: 1
Summary: Files of every sort
License: Apache-2.0
BuildArch: noarch
AutoReqProv: no
%description
Files.
%install
mkdir -p %{buildroot}/etc/files %{buildroot}/opt/files/dir %{buildroot}/opt/files/doc %{buildroot}/opt/files/moved %{buildroot}/opt/files/log %{buildroot}/opt/shared
for f in kept content mode owner group time gone size kind target acl capable setuid both; do echo "content of $f" >%{buildroot}/opt/files/$f; done
for f in conf conf.gone conf.kept; do echo "$f" >%{buildroot}/etc/files/$f; done
echo text >%{buildroot}/opt/files/doc/text
echo ours >%{buildroot}/opt/files/moved/ours
echo log >%{buildroot}/opt/files/log/ghost
echo log >%{buildroot}/opt/files/log/ghost.gone
echo shared >%{buildroot}/opt/shared/file
touch -d 2020-01-01 %{buildroot}/opt/shared/file
ln -s kept %{buildroot}/opt/files/link
ln -s kept %{buildroot}/opt/files/link.kept
%files
%dir /etc/files
%config /etc/files/conf
%config /etc/files/conf.gone
%config(missingok) /etc/files/conf.kept
%doc /opt/files/doc/text
%dir /opt/files
%dir /opt/files/dir
%dir /opt/files/doc
%dir /opt/files/moved
/opt/files/moved/ours
%verify(not md5 size mtime) /opt/files/content
%attr(4755,nobody,nogroup) /opt/files/setuid
/opt/files/kept
/opt/files/mode
/opt/files/owner
/opt/files/group
/opt/files/time
/opt/files/gone
/opt/files/size
/opt/files/kind
/opt/files/target
/opt/files/acl
/opt/files/capable
/opt/files/both
/opt/files/link
/opt/files/link.kept
%ghost /opt/files/log/ghost
%ghost /opt/files/log/ghost.gone
/opt/shared/file
`

// otherSpec has a file of modifiedSpec, with another time. The digest is the same.
const otherSpec = `
Name: other
Version: 1
Release: 1
Summary: A file of another package
License: Apache-2.0
BuildArch: noarch
%description
File.
%install
mkdir -p %{buildroot}/opt/shared
echo shared >%{buildroot}/opt/shared/file
touch -d 2020-01-01 %{buildroot}/opt/shared/file
%files
/opt/shared/file
`

// damage changes files of modifiedSpec in every way rpm -V tells apart.
const damage = `set -e
cd "$1"/opt/files
echo changed >content
chmod 600 mode; chmod 711 dir
chown 7:8 owner; chgrp 9 group; chown 7 setuid; chmod 4755 setuid
touch -d 2001-01-01 time
rm gone
echo "a longer content" >size
rm kind; mkdir kind
rm target; ln -s kept target
setcap cap_net_raw=ep capable
echo x >both; chmod 700 both; chown 3:3 both
ln -sfn both link
mv moved elsewhere; ln -s elsewhere moved
mkdir -p log; rm -f log/ghost; mkdir log/ghost; chmod 700 log/ghost
cd ../../etc/files
echo changed >conf; rm conf.gone conf.kept
touch -d 2002-02-02 "$1"/opt/shared/file
mkdir "$1"/opt/files/new; echo new >"$1"/opt/files/new/file; echo new >"$1"/opt/files/dir/file
`

// rpmVerify says what rpm -V does, as lines of rendered.
func rpmVerify(t *testing.T, root *host.Root, args ...string) string {
	t.Helper()
	cmd := exec.Command("rpm", append([]string{"--root", root.Dir(), "--dbpath", "/var/lib/rpm", "-V", "--noscripts", "--nodeps"}, args...)...)
	out, _ := cmd.Output() // it exits 1 where there is a difference
	var lines []string
	for line := range strings.Lines(string(out)) {
		lines = append(lines, strings.Join(strings.Fields(line), " ")+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func rendered(all []Difference) string {
	lines := []string{}
	for _, d := range all {
		kind := ""
		switch {
		case d.Config:
			kind = "c "
		case d.Doc:
			kind = "d "
		case d.Ghost:
			kind = "g "
		}
		lines = append(lines, d.What+" "+kind+d.Path+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func modified(t *testing.T, root *host.Root, names ...string) []Difference {
	t.Helper()
	all, err := Modified(t.Context(), root, t.TempDir(), func(name string) bool { return slices.Contains(names, name) })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// modifiedRoot has two packages with a file in common installed.
func modifiedRoot(t *testing.T) *host.Root {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("rpm installs as root only")
	}
	need(t, "rpm", "setfacl", "setcap")
	root := openRoot(t, t.TempDir())
	machine := openRoot(t, "/")
	for _, file := range []string{"/etc/passwd", "/etc/group"} {
		write(t, root.Path(file), readFile(t, machine.Path(file)))
	}
	dir := t.TempDir()
	rpmbuild(t, dir, modifiedSpec)
	rpmbuild(t, dir, otherSpec)
	rpms, err := filepath.Glob(filepath.Join(dir, "*.noarch.rpm"))
	if err != nil || len(rpms) != 2 {
		t.Fatalf("%q, %v", rpms, err)
	}
	command(t, "rpm", append([]string{"--root", root.Dir(), "--dbpath", "/var/lib/rpm", "-i", "--nodeps"}, rpms...)...)
	return root
}

func TestModified(t *testing.T) {
	root := modifiedRoot(t)
	if all := modified(t, root, "files", "other"); len(all) > 0 {
		t.Fatalf("nothing was changed: %+v", all)
	}
	command(t, "sh", "-c", damage, "sh", root.Dir())
	before := tree(t, root.Path("/opt"))
	all := modified(t, root, "files")
	if got, want := rendered(all), rpmVerify(t, root, "files"); got != want || strings.Count(want, "\n") < 15 {
		t.Errorf("found\n%s\nrpm -V\n%s", got, want)
	}
	if all[0].Package != "files-1-1.noarch" {
		t.Errorf("package %q", all[0].Package)
	}
	if after := tree(t, root.Path("/opt")); after != before {
		t.Errorf("files were touched: %s, they were %s", after, before)
	}
	// Some builds of rpm look at access control lists, some do not.
	command(t, "setfacl", "-m", "u:7:r", root.Path("/opt/files/acl"))
	with := modified(t, root, "files")
	if !slices.Contains(with, Difference{Package: "files-1-1.noarch", Path: "/opt/files/acl", What: ".M......."}) || len(with) != len(all)+1 {
		t.Errorf("with an access control list: %+v", with)
	}
	if all := modified(t, root, "other"); len(all) != 0 {
		t.Errorf("of two owners of a file neither owns its time: %+v", all)
	}
}

// TestModifiedELRoot compares a whole system, as it is and changed.
func TestModifiedELRoot(t *testing.T) {
	root := openRoot(t, hosttest.ELRoot(t))
	names := strings.Fields(command(t, "rpm", "--root", root.Dir(), "--dbpath", "/var/lib/rpm", "-qa", "--qf", `%{NAME}\n`))
	if got, want := rendered(modified(t, root, names...)), rpmVerify(t, root, "-a"); got != want {
		t.Errorf("found\n%s\nrpm -V\n%s", got, want)
	}
}

func TestUnowned(t *testing.T) {
	root := modifiedRoot(t)
	command(t, "sh", "-c", damage, "sh", root.Dir())
	// The whole tree is moved elsewhere: packages' paths lead there through a link.
	if err := errors.Join(os.Rename(root.Path("/opt"), root.Path("/data")), os.Symlink("/data", root.Path("/opt"))); err != nil {
		t.Fatal(err)
	}
	got, err := Unowned(t.Context(), root, t.TempDir(), []string{"/opt", "/etc/files", "/nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(command(t, "find", root.Path("/data"), root.Path("/etc/files"), "-mindepth", "1", "-printf", `%p\n`)) {
		p := strings.TrimPrefix(strings.TrimSpace(line), root.Dir())
		p = strings.Replace(p, "/data", "/opt", 1)
		asked := strings.Replace(p, "/elsewhere/", "/moved/", 1)
		cmd := exec.Command("rpm", "--root", root.Dir(), "--dbpath", "/var/lib/rpm", "-qf", asked)
		if cmd.Run() != nil {
			want = append(want, p)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) || !slices.Contains(got, "/opt/files/new/file") {
		t.Errorf("found %q\nrpm -qf %q", got, want)
	}
}

func TestModifiedNone(t *testing.T) {
	root := openRoot(t, t.TempDir())
	if _, err := Modified(t.Context(), root, t.TempDir(), func(string) bool { return true }); !errors.Is(err, ErrNone) {
		t.Errorf("Modified: error %v, want %v", err, ErrNone)
	}
	if _, err := Unowned(t.Context(), root, t.TempDir(), []string{"/opt"}); !errors.Is(err, ErrNone) {
		t.Errorf("Unowned: error %v, want %v", err, ErrNone)
	}
}
