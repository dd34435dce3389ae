package pkgmgr

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/host"
)

// deb is a package for dpkg: fields of its control file beside the needed ones,
// files by path.
type deb struct {
	name, version, fields string
	files                 map[string]string
	conffiles             []string
}

// packDeb writes p to directory dir and returns its path.
func packDeb(t *testing.T, dir string, p deb) string {
	t.Helper()
	tree := t.TempDir()
	for file, content := range p.files {
		write(t, filepath.Join(tree, file), []byte(content))
	}
	arch := "all"
	if strings.Contains(p.fields, "Multi-Arch: same") {
		arch = strings.TrimSpace(command(t, "dpkg", "--print-architecture"))
	}
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Test <test@example.com>\n%sDescription: test\n", p.name, p.version, arch, p.fields)
	write(t, filepath.Join(tree, "DEBIAN/control"), []byte(control))
	write(t, filepath.Join(tree, "DEBIAN/conffiles"), []byte(strings.Join(append(p.conffiles, ""), "\n")))
	file := filepath.Join(dir, p.name+"_"+p.version+".deb")
	command(t, "dpkg-deb", "--root-owner-group", "-b", tree, file)
	return file
}

// dpkgIn has dpkg act on root.
func dpkgIn(t *testing.T, root *host.Root, args ...string) {
	t.Helper()
	command(t, "dpkg", append([]string{"--root=" + root.Dir(), "--force-unsafe-io,confold"}, args...)...)
}

// dpkgRoot has packages installed by dpkg in a root with a merged /usr: one of
// xCAT, whose first version had a configuration file the second does not have,
// and a file of which is diverted by another; one that several architectures may
// have; one that was removed but for its configuration.
func dpkgRoot(t *testing.T) *host.Root {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("dpkg installs as root only")
	}
	need(t, "dpkg", "dpkg-deb", "dpkg-divert")
	root := openRoot(t, t.TempDir())
	for _, dir := range []string{"usr/lib", "var/lib/dpkg/info", "var/lib/dpkg/updates"} {
		if err := os.MkdirAll(root.Path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("usr/lib", root.Path("/lib")); err != nil {
		t.Fatal(err)
	}
	write(t, root.Path("/etc/passwd"), []byte("root:x:0:0::/root:/bin/sh\n"))
	write(t, root.Path(dpkgStatus), nil)
	debs := t.TempDir()
	files := map[string]string{"lib/merged": "merged", "lib/merged.kept": "merged"}
	for _, name := range []string{"kept", "content", "gone", "kind", "diverted", "local", "dir/kept", "dir/gone", "lost/file"} {
		files["opt/xcat/"+name] = "content of " + name
	}
	conf := []string{"/etc/xcat/conf", "/etc/xcat/conf.gone", "/etc/xcat/conf.kept", "/etc/xcat/with a blank"}
	for _, name := range append(conf, "/etc/xcat/conf.old") {
		files[name] = name
	}
	first := packDeb(t, debs, deb{"xcat", "2.17.0-snap1", "", files, append(conf, "/etc/xcat/conf.old")})
	delete(files, "/etc/xcat/conf.old")
	second := packDeb(t, debs, deb{"xcat", "2.17.0-snap2", "", files, conf})
	other := packDeb(t, debs, deb{"other", "1", "", map[string]string{"opt/xcat/diverted": "of other"}, nil})
	same := packDeb(t, debs, deb{"same", "1:1", "Multi-Arch: same\n", map[string]string{"opt/same": "same"}, nil})
	gone := packDeb(t, debs, deb{"gone", "1", "", map[string]string{"etc/gone": "gone", "opt/xcat/of-gone": "gone"}, []string{"/etc/gone"}})
	dpkgIn(t, root, "-i", first)
	command(t, "dpkg-divert", "--root", root.Dir(), "--package", "other", "--divert", "/opt/xcat/diverted.xcat", "--rename", "--add", "/opt/xcat/diverted")
	write(t, root.Path("/etc/xcat/conf"), []byte("the administrator's"))
	dpkgIn(t, root, "-i", second, other, same, gone)
	dpkgIn(t, root, "-r", "gone")
	return root
}

// damageDpkg changes files of dpkgRoot in every way dpkg -V tells apart.
const damageDpkg = `set -e
cd "$1"/opt/xcat
echo changed >content
rm gone; rm kind; ln -s nowhere kind
rm -r lost; echo file >lost
dpkg-divert --root "$1" --local --divert /opt/xcat/local.distrib --rename --add /opt/xcat/local
echo "the administrator's" >local
mv dir elsewhere; ln -s elsewhere dir; rm dir/gone
echo changed >../same
echo changed >"$1"/lib/merged
cd "$1"/etc/xcat
rm conf.gone
echo changed >"with a blank"; echo changed >conf.old; echo changed >../gone
mkdir "$1"/opt/xcat/new; echo new >"$1"/opt/xcat/new/file; echo new >"$1"/usr/lib/new
`

// dpkgVerify says what dpkg -V does, as lines of rendered. Why a file is missing
// is left away.
func dpkgVerify(t *testing.T, root *host.Root, names ...string) string {
	t.Helper()
	args := []string{"--verify"}
	if !root.IsLive() {
		args = []string{"--root=" + root.Dir(), "--verify"}
	}
	out, _ := exec.Command("dpkg", append(args, names...)...).Output() // it may exit 1 where there is a difference
	var lines []string
	for line := range strings.Lines(string(out)) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), " (")
		lines = append(lines, strings.Join(strings.Fields(strings.ReplaceAll(line, "?", ".")), " ")+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func TestModifiedDpkg(t *testing.T) {
	root := dpkgRoot(t)
	names := []string{"xcat", "other", "same"}
	// Of a conffile that was changed before an update, dpkg remembers what the
	// update brought.
	if got, want := rendered(modified(t, root, names...)), dpkgVerify(t, root, names...); got != want || got != "..5...... c /etc/xcat/conf\n" {
		t.Errorf("nothing else was changed: %s\ndpkg -V\n%s", got, want)
	}
	command(t, "sh", "-c", damageDpkg, "sh", root.Dir())
	before := tree(t, root.Dir())
	all := modified(t, root, names...)
	if got, want := rendered(all), dpkgVerify(t, root, names...); got != want || strings.Count(want, "\n") < 11 {
		t.Errorf("found\n%s\ndpkg -V\n%s", got, want)
	}
	if after := tree(t, root.Dir()); after != before {
		t.Errorf("files were touched: %s, they were %s", after, before)
	}
	if p := all[0].Package; p != "xcat-2.17.0-snap2.all" {
		t.Errorf("package %q", p)
	}
	if all := modified(t, root, "gone"); len(all) > 0 {
		t.Errorf("of a package that was removed: %+v", all)
	}
	write(t, root.Path("/opt/xcat/diverted.xcat"), []byte("changed"))
	write(t, root.Path("/opt/xcat/diverted"), []byte("changed"))
	more := modified(t, root, names...)
	for _, want := range []Difference{
		{Package: "xcat-2.17.0-snap2.all", Path: "/opt/xcat/diverted.xcat", What: "..5......"},
		{Package: "other-1.all", Path: "/opt/xcat/diverted", What: "..5......"},
	} {
		if !slices.Contains(more, want) || len(more) != len(all)+2 {
			t.Errorf("no %+v in %+v", want, more)
		}
	}
}

// TestModifiedDebian compares packages of the machine the test runs on, which is
// a whole system.
func TestModifiedDebian(t *testing.T) {
	need(t, "dpkg")
	if os.Geteuid() != 0 {
		t.Skip("some files can be read by root only")
	}
	names := []string{"base-files", "bash", "dash", "dpkg", "libc6", "login", "tar", "tzdata"}
	root := openRoot(t, "/")
	if rpm, err := InstalledOn(t.Context(), root, t.TempDir()); err != nil || !slices.ContainsFunc(rpm, func(p Installed) bool { return p.Name == "dpkg" }) {
		t.Skipf("not a Debian system: %v", err)
	}
	if got, want := rendered(modified(t, root, names...)), dpkgVerify(t, root, names...); got != want {
		t.Errorf("found\n%s\ndpkg -V\n%s", got, want)
	}
}

func TestUnownedDpkg(t *testing.T) {
	root := dpkgRoot(t)
	command(t, "sh", "-c", damageDpkg, "sh", root.Dir())
	// The whole tree is moved elsewhere: packages' paths lead there through a link.
	if err := errors.Join(os.Rename(root.Path("/opt"), root.Path("/data")), os.Symlink("/data", root.Path("/opt"))); err != nil {
		t.Fatal(err)
	}
	got, err := Unowned(t.Context(), root, t.TempDir(), []string{"/opt", "/etc", "/usr/lib", "/nowhere"})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(command(t, "find", root.Path("/data"), root.Path("/etc"), root.Path("/usr/lib"), "-mindepth", "1", "-printf", `%p\n`)) {
		p := strings.TrimPrefix(strings.TrimSpace(line), root.Dir())
		p = strings.Replace(p, "/data", "/opt", 1)
		asked := strings.NewReplacer("/usr/lib/", "/lib/", "/elsewhere/", "/dir/").Replace(p)
		cmd := exec.Command("dpkg", "--admindir="+root.Path("/var/lib/dpkg"), "-S", asked)
		// What took the place of a file the administrator diverted is his.
		if cmd.Run() != nil || p == "/opt/xcat/local" {
			want = append(want, p)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) || !slices.Contains(got, "/opt/xcat/new/file") || slices.Contains(got, "/etc/gone") {
		t.Errorf("found %q\ndpkg -S %q", got, want)
	}
}

// TestDpkgHostile has a database that leads astray: each is an error that says
// where, or harmless.
func TestDpkgHostile(t *testing.T) {
	const status = "Package: xcat\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"
	const list, sums = "var/lib/dpkg/info/xcat.list", "var/lib/dpkg/info/xcat.md5sums"
	for _, tt := range []struct{ name, file, content, want string }{
		{"climbs", list, "/opt/../../../etc/shadow\n", list},
		{"cut_off", list, "/opt\n/opt/xc", "has no end"},
		{"empty_line", list, "/opt\n\n", `path ""`},
		{"no_list", "", "", list},
		{"sums_climb", sums, strings.Repeat("0", 32) + "  ../x\n", sums},
		{"sums_short", sums, "0  opt\n", sums},
		{"diversions", "var/lib/dpkg/diversions", "/opt\n/etc\n", "diversions"},
		{"diverted_out", "var/lib/dpkg/diversions", "/opt\n/../etc\n:\n", "diversions"},
		{"conffile", dpkgStatus, status + "Conffiles:\n nothing\n", "configuration file"},
		{"slash", dpkgStatus, strings.Replace(status, "xcat", "../../../x", 1), `name "../../../x`},
		{"large", list, strings.Repeat("/opt/xcat\n", maxDpkgFile/10+1), "more than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := openRoot(t, t.TempDir())
			write(t, root.Path(dpkgStatus), []byte(status))
			if tt.name != "no_list" {
				write(t, root.Path(list), []byte("/.\n/opt\n"))
				write(t, root.Path(tt.file), []byte(tt.content))
			}
			_, err := Modified(t.Context(), root, t.TempDir(), func(string) bool { return true })
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
	t.Run("links_out", func(t *testing.T) {
		root := openRoot(t, t.TempDir())
		write(t, root.Path(dpkgStatus), []byte(status))
		write(t, root.Path(list), []byte("/opt/out/passwd\n/opt/fifo\n/opt/loop/x\n"))
		write(t, root.Path(sums), []byte(strings.Repeat("0", 32)+"  opt/out/passwd\n"+strings.Repeat("0", 32)+"  opt/fifo\n"))
		command(t, "sh", "-c", `mkdir "$1/opt"; ln -s ../../../../../../../../etc "$1/opt/out"; mkfifo "$1/opt/fifo"; ln -s loop "$1/opt/loop"`, "sh", root.Dir())
		if got, want := rendered(modified(t, root, "xcat")), ".M....... /opt/fifo\nmissing /opt/loop/x\nmissing /opt/out/passwd\n"; got != want {
			t.Errorf("found %s, want %s", got, want)
		}
		if all, err := Unowned(t.Context(), root, t.TempDir(), []string{"/opt"}); err != nil || !slices.Equal(all, []string{"/opt/loop", "/opt/out"}) {
			t.Errorf("%q, %v", all, err)
		}
	})
}

// TestDpkgConffiles has the lines dpkg writes.
func TestDpkgConffiles(t *testing.T) {
	sum := strings.Repeat("a", md5Digits)
	for line, want := range map[string]string{
		" /etc/a " + sum:                                 "/etc/a=" + sum,
		" /etc/a b " + sum:                               "/etc/a b=" + sum,
		" /etc/a " + sum + " obsolete":                   "/etc/a=" + sum,
		" /etc/a " + sum + " remove-on-upgrade":          "/etc/a=" + sum,
		" /etc/a " + sum + " obsolete remove-on-upgrade": "/etc/a=" + sum,
		" /etc/a newconffile":                            "/etc/a=",
		" /etc/obsolete -":                               "/etc/obsolete=",
	} {
		got, err := dpkgPackage{conffiles: []string{line}}.conffileDigests()
		path, digest, _ := strings.Cut(want, "=")
		if d, ok := got[path]; err != nil || !ok || d != digest || len(got) != 1 {
			t.Errorf("%q: %v, %v", line, got, err)
		}
	}
}

// TestPackageDBGone is that a list that is gone is no database that is gone.
func TestPackageDBGone(t *testing.T) {
	root := openRoot(t, t.TempDir())
	write(t, root.Path(dpkgStatus), []byte("Package: half\nStatus: install ok half-installed\nArchitecture: all\n"))
	if all, err := Unowned(t.Context(), root, t.TempDir(), []string{"/var"}); err != nil || len(all) < 3 {
		t.Errorf("a package that never came to have files: %q, %v", all, err)
	}
	write(t, root.Path(dpkgStatus), []byte("Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"))
	if _, err := Unowned(t.Context(), root, t.TempDir(), []string{"/var"}); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNone) {
		t.Errorf("error %v", err)
	}
}
