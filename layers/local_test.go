package layers

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
)

// dpkgInstall has dpkg install a package of these files in the root at dir.
func dpkgInstall(t *testing.T, dir, name string, files ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("dpkg installs as root only")
	}
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		if os.Getenv("CI") == "true" || os.Getenv("XCRATE_TEST_ALL") == "1" {
			t.Fatalf("apt-get install dpkg: %v", err)
		}
		t.Skipf("apt-get install dpkg: %v", err)
	}
	tree, deb := t.TempDir(), filepath.Join(t.TempDir(), "a.deb")
	write := func(p, content string) {
		check(t, os.MkdirAll(filepath.Dir(p), 0o755))
		check(t, os.WriteFile(p, []byte(content), 0o644))
	}
	for _, p := range files {
		write(filepath.Join(tree, p), "content of "+p)
	}
	write(filepath.Join(tree, "DEBIAN/control"), fmt.Sprintf("Package: %s\nVersion: 2.17.0-snap1\nArchitecture: all\nMaintainer: a\nDescription: a\n", name))
	if _, err := os.Stat(filepath.Join(dir, "var/lib/dpkg/status")); err != nil {
		write(filepath.Join(dir, "var/lib/dpkg/status"), "")
		check(t, os.MkdirAll(filepath.Join(dir, "var/lib/dpkg/updates"), 0o755))
		check(t, os.MkdirAll(filepath.Join(dir, "var/lib/dpkg/info"), 0o755))
	}
	for _, args := range [][]string{
		{"dpkg-deb", "--root-owner-group", "-b", tree, deb},
		{"dpkg", "--root=" + dir, "--force-unsafe-io", "-i", deb},
	} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
	}
}

// TestLocalChangesDpkg captures a node whose packages dpkg installed: of what
// lies below /opt/xcat, what was changed and added comes along, and nothing else.
func TestLocalChangesDpkg(t *testing.T) {
	root := node(t)
	check(t, os.RemoveAll(root.Path("/opt/xcat")))
	const tmpl, version = "opt/xcat/share/xcat/install/ubuntu/compute.tmpl", "opt/xcat/lib/perl/xCAT/Version.pm"
	dpkgInstall(t, root.Dir(), "xcat-server", tmpl, version, "opt/xcat/sbin/xcatd", "usr/sbin/xcatd")
	dpkgInstall(t, root.Dir(), "xcat-vlan", "opt/xcat/lib/perl/xCAT_plugin/vlan.pm")
	check(t, os.WriteFile(root.Path(tmpl), []byte("changed"), 0o644))
	check(t, os.WriteFile(root.Path("/usr/sbin/xcatd"), []byte("changed"), 0o755))
	check(t, os.WriteFile(root.Path("/opt/xcat/lib/perl/xCAT_plugin/own.pm"), []byte("1;"), 0o644))
	check(t, os.Remove(root.Path("/opt/xcat/sbin/xcatd")))
	entries, c := captureOdd(t, opts(t, root))
	got := slices.Sorted(maps.Keys(entries))
	got = slices.DeleteFunc(got, func(k string) bool { return entries[k].Kind != artifact.KindOpt })
	if want := []string{"opt/xcat/lib/perl/xCAT_plugin/own.pm", tmpl, "usr/sbin/xcatd"}; !slices.Equal(got, want) {
		t.Errorf("kind opt: %q, want %q", got, want)
	}
	var modified []string
	for _, m := range c.Config.Modified {
		modified = append(modified, m.What+" "+m.Path+" "+m.Package)
	}
	if want := []string{
		"missing /opt/xcat/sbin/xcatd xcat-server-2.17.0-snap1.all",
		"..5...... /" + tmpl + " xcat-server-2.17.0-snap1.all",
		"..5...... /usr/sbin/xcatd xcat-server-2.17.0-snap1.all",
	}; !slices.Equal(modified, want) {
		t.Errorf("modified: %q, want %q", modified, want)
	}
	if l, ok := leftOut(c, "/opt/xcat"); !ok || !strings.Contains(l.Reason, "kind opt") || l.Restore != "" {
		t.Errorf("/opt/xcat: %+v", l)
	}
}
