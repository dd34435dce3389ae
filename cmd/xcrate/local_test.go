package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/hosttest"
)

// TestLocalChanges changes and adds files below /opt/xcat, where packages put
// theirs, and moves the node to another root: they come along, and only they.
func TestLocalChanges(t *testing.T) {
	mn, usb, root := filepath.Join(t.TempDir(), "mn"), filepath.Join(t.TempDir(), "usb"), hosttest.ELRoot(t)
	if err := hosttest.SampleMN(mn, hosttest.SampleOptions{Nodes: 5}); err != nil {
		t.Fatal(err)
	}
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--tag", "sample")
	xcrate(t, exitWarnings, "import", "--allow-unsigned", usb, "--root", root, "--yes")
	const tmpl, own = "opt/xcat/share/xcat/install/rocky/compute.rocky9.tmpl", "opt/xcat/own"
	for _, act := range []func() error{
		func() error { return os.WriteFile(filepath.Join(root, tmpl), []byte("changed"), 0o644) },
		func() error { return os.Mkdir(filepath.Join(root, own), 0o750) },
		func() error { return os.WriteFile(filepath.Join(root, own, "plugin.pm"), []byte("1;"), 0o644) },
		func() error { return os.Chmod(filepath.Join(root, own, "plugin.pm"), 0o644) }, // whatever the umask
		func() error { return os.Symlink("plugin.pm", filepath.Join(root, own, "link")) },
		func() error { return os.Symlink("/opt/xcat/share", filepath.Join(root, own, "dir")) },
		func() error { return os.WriteFile(filepath.Join(root, own, "token"), []byte("CANARY"), 0o600) },
	} {
		if err := act(); err != nil {
			t.Fatal(err)
		}
	}
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", root, "--tag", "changed")
	c := config(t, usb+":changed")
	if opt, _ := c.Kind(artifact.KindOpt); opt.Files != 2 || opt.Entries != 5 {
		t.Errorf("kind opt: %+v", opt) // the template, the plugin, two links and the directory; the token is a secret
	}
	if i := slices.IndexFunc(c.Modified, func(m artifact.Modified) bool { return m.Path == "/"+tmpl }); i < 0 || !strings.HasPrefix(c.Modified[i].What, "S.5") {
		t.Errorf("modified: %+v", c.Modified)
	}
	if said := xcrate(t, 0, "inspect", usb+":changed"); !strings.Contains(said, "/"+tmpl) {
		t.Errorf("inspect does not name it:\n%s", said)
	}
	other := hosttest.ELRoot(t)
	xcrate(t, exitWarnings, "import", "--allow-unsigned", usb+":changed", "--root", other, "--yes")
	for _, line := range hosttest.DiffTrees(tree(t, filepath.Join(root, "opt/xcat")), tree(t, filepath.Join(other, "opt/xcat")), hosttest.DiffOptions{IgnoreDirTimes: true}) {
		t.Error(line)
	}
	if again := xcrate(t, 0, "import", "--allow-unsigned", usb+":changed", "--root", other, "--yes"); !strings.Contains(again, "Nothing to do") {
		t.Errorf("second import:\n%s", again)
	}
	besideAnotherBuild(t, usb+":changed", other, tmpl, own)
}

// besideAnotherBuild imports local changes, template tmpl and directory own
// among them, where another build of xCAT is: what is there stays.
func besideAnotherBuild(t *testing.T, ref, root, tmpl, own string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "chroot", root, "rpm", "-e", "--justdb", "--nodeps", "perl-xCAT").CombinedOutput()
	if err != nil {
		t.Fatalf("rpm: %v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(root, tmpl), []byte("of this build"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(root, own, "plugin.pm")); err != nil {
		t.Fatal(err)
	}
	said := xcrate(t, 0, "import", "--allow-unsigned", ref, "--root", root, "--dry-run", "--show-files", "--skip", "packages")
	for _, want := range []string{"local-changes", "perl-xCAT-", "as NAME.snapshot", "new      /" + tmpl + ".snapshot", "new      /" + own + "/plugin.pm.snapshot"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in the plan:\n%s", want, said)
		}
	}
	xcrate(t, exitWarnings, "import", "--allow-unsigned", ref, "--root", root, "--skip", "packages", "--yes")
	for p, want := range map[string]string{tmpl: "of this build", tmpl + ".snapshot": "changed", own + "/plugin.pm": "", own + "/plugin.pm.snapshot": "1;"} {
		if b, err := os.ReadFile(filepath.Join(root, p)); string(b) != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", p, b, err)
		}
	}
	if to, err := os.Readlink(filepath.Join(root, own, "link.snapshot")); err != nil || to != "plugin.pm" {
		t.Errorf("link to %q, %v", to, err)
	}
	if again := xcrate(t, 0, "import", "--allow-unsigned", ref, "--root", root, "--skip", "packages", "--yes"); !strings.Contains(again, "Nothing to do") {
		t.Errorf("second import:\n%s", again)
	}
	// With its packages the host gets the snapshot's build, and the changes their places.
	if said := xcrate(t, 0, "import", "--allow-unsigned", ref, "--root", root, "--dry-run"); strings.Contains(said, "local-changes") {
		t.Errorf("plan that installs the build:\n%s", said)
	}
}
