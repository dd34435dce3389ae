package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xcrate/xcrate/internal/hosttest"
)

// scriptedExport exports the sample MN with packages whose scripts do what xCAT's
// do.
func scriptedExport(t *testing.T, o hosttest.ScriptedOptions) (mn, usb string) {
	t.Helper()
	mn, usb = filepath.Join(t.TempDir(), "mn"), filepath.Join(t.TempDir(), "usb")
	sample(t, mn)
	xcrate(t, exitWarnings, "export", "--no-encrypt", usb, "--root", mn, "--packages", scriptedPackages(t, o))
	return mn, usb
}

func scriptedPackages(t *testing.T, o hosttest.ScriptedOptions) string {
	t.Helper()
	dir := t.TempDir()
	if err := hosttest.ScriptedPackages(dir, "../../testdata/real-mn/sqlite/policy.sqlite", o); err != nil {
		t.Fatal(err)
	}
	return dir
}

// scriptedRoot is an EL root with a firewall, SELinux, exports and a key of its own.
func scriptedRoot(t *testing.T) string {
	t.Helper()
	root := hosttest.ELRoot(t)
	for name, content := range map[string]string{
		"etc/selinux/config": "SELINUX=enforcing\n", "etc/exports": "/home *(ro)\n",
		"usr/lib/systemd/system/firewalld.service": "[Unit]\nDescription=firewall\n", "root/.ssh/authorized_keys": "admin\n",
	} {
		writeFile(t, filepath.Join(root, name), content)
	}
	wants := filepath.Join(root, "etc/systemd/system/multi-user.target.wants")
	if err := os.MkdirAll(wants, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/usr/lib/systemd/system/firewalld.service", filepath.Join(wants, "firewalld.service")); err != nil {
		t.Fatal(err)
	}
	return root
}

func writeFile(t *testing.T, p, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// whole is a root but for what package managers write on the side: logs, caches,
// the database of rpm, which holds times and numbers.
func whole(t *testing.T, root string) map[string]hosttest.Node {
	t.Helper()
	all := tree(t, root)
	for p := range all {
		for _, side := range []string{"var/lib/rpm", "var/lib/dnf", "var/lib/zypp", "var/lib/apt", "var/lib/dpkg", "var/cache", "var/log", "var/tmp", "root/.gnupg", "run", "tmp", "."} {
			if p == side || strings.HasPrefix(p, side+"/") {
				delete(all, p)
			}
		}
	}
	return all
}

// unchanged compares a root with what it was. Times of directories in which
// packages came and went are not brought back.
func unchanged(t *testing.T, what string, before map[string]hosttest.Node, root string) {
	t.Helper()
	for _, line := range hosttest.DiffTrees(before, whole(t, root), hosttest.DiffOptions{IgnoreDirTimes: true}) {
		t.Errorf("%s: %s", what, line)
	}
}

// mergedExports checks that a root exports what it did and what mn does, and nothing
// that a script asked for.
func mergedExports(t *testing.T, mn, root string) {
	t.Helper()
	theirs, err := os.ReadFile(filepath.Join(mn, "etc/exports"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, "etc/exports"))
	if err != nil || !strings.HasPrefix(string(got), "/home *(ro)\n") || strings.Contains(string(got), "/install *(rw,no_root_squash)\n") {
		t.Errorf("exports %q, %v", got, err)
	}
	for line := range strings.Lines(string(theirs)) {
		if strings.Count(string(got), line) != 1 {
			t.Errorf("no %q in exports %q", line, got)
		}
	}
}

// TestScriptsAreOverruled imports packages whose scripts make keys, rows and
// accounts and switch off what is not theirs: in the end the root has what the
// snapshot has, and its own settings.
func TestScriptsAreOverruled(t *testing.T) {
	mn, usb := scriptedExport(t, hosttest.ScriptedOptions{})
	root := scriptedRoot(t)
	said := xcrate(t, exitWarnings, "import", "--allow-unsigned", usb, "--root", root, "--yes")
	for _, p := range []string{"etc/xcat/ca/ca-cert.pem", "etc/xcat/ca/private/ca-key.pem", "root/.xcat/client-key.pem", "install/postscripts/_ssh/authorized_keys"} {
		want, err := os.ReadFile(filepath.Join(mn, p))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(root, p)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, holds %.60q", p, err, got)
		}
	}
	mergedExports(t, mn, root)
	for _, p := range []string{"etc/xcat/ca/of-the-installation.pem", "etc/xcat/made.sqlite", "etc/yum.repos.d/xcrate-snapshot.repo", "etc/systemd/system/multi-user.target.wants/kea-dhcp4.service"} {
		if _, err := os.Lstat(filepath.Join(root, p)); err == nil {
			t.Errorf("%s is there", p)
		}
	}
	if b, _ := os.ReadFile(filepath.Join(root, "etc/selinux/config")); string(b) != "SELINUX=enforcing\n" {
		t.Errorf("SELinux: %q", b)
	}
	for _, unit := range []string{"firewalld", "xcatd"} {
		if _, err := os.Readlink(filepath.Join(root, "etc/systemd/system/multi-user.target.wants", unit+".service")); err != nil {
			t.Error(err)
		}
	}
	for _, want := range []string{"4 installed, in the versions of the snapshot", "/etc/selinux/config", "firewalld.service", "firewalld.service is on here and was off on the source", "selinux: SELinux enforces", "disabled kea-dhcp4.service"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said:\n%s", want, said)
		}
	}
	if again := xcrate(t, 0, "import", "--allow-unsigned", usb, "--root", root, "--yes"); !strings.Contains(again, "Nothing to do") {
		t.Errorf("second import:\n%s", again)
	}
	// The repository is made known, and forgotten again.
	def := filepath.Join(root, "etc/yum.repos.d/xcrate-snapshot.repo")
	xcrate(t, exitWarnings, "import", "--allow-unsigned", usb, "--root", root, "--yes", "--keep-repo")
	if b, err := os.ReadFile(def); err != nil || !strings.Contains(string(b), "file:///var/lib/xcrate/repository") {
		t.Errorf("%v: %s", err, b)
	}
	if again := xcrate(t, 0, "import", "--allow-unsigned", usb, "--root", root, "--yes", "--keep-repo"); !strings.Contains(again, "Nothing to do") {
		t.Errorf("second import with --keep-repo:\n%s", again)
	}
	// With the definition of an earlier import there, one package is missing.
	if out, err := exec.CommandContext(t.Context(), "chroot", root, "rpm", "-e", "--nodeps", "goconserver").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if said := xcrate(t, exitWarnings, "import", "--allow-unsigned", usb, "--root", root, "--yes"); !strings.Contains(said, "1 installed, in the version") {
		t.Errorf("one package was missing:\n%s", said)
	}
	if _, err := os.Lstat(def); err != nil {
		t.Errorf("the definition that was to be kept: %v", err)
	}
}

// TestStandby imports onto a host that is not to be the management node yet.
func TestStandby(t *testing.T) {
	_, usb := scriptedExport(t, hosttest.ScriptedOptions{})
	root := scriptedRoot(t)
	said := xcrate(t, exitWarnings, "import", "--allow-unsigned", usb, "--root", root, "--yes", "--standby")
	wants, err := os.ReadDir(filepath.Join(root, "etc/systemd/system/multi-user.target.wants"))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wants {
		if slices.Contains([]string{"xcatd.service", "kea-dhcp4.service"}, w.Name()) {
			t.Errorf("%s is enabled:\n%s", w.Name(), said)
		}
	}
	if again := xcrate(t, 0, "import", "--allow-unsigned", usb, "--root", root, "--yes", "--standby"); !strings.Contains(again, "Nothing to do") {
		t.Errorf("second import:\n%s", again)
	}
}

// TestScriptsAreTakenBack has an import that fails after the packages were
// installed: a script has put a directory where a file goes.
func TestScriptsAreTakenBack(t *testing.T) {
	_, usb := scriptedExport(t, hosttest.ScriptedOptions{Script: hosttest.Script + "rm -f /etc/logrotate.d/xcat; mkdir -p /etc/logrotate.d/xcat/dir\n"})
	root := scriptedRoot(t)
	before, installed := whole(t, root), rpmQuery(t, root)
	var out, errs bytes.Buffer
	code := run([]string{"xcrate", "import", "--allow-unsigned", usb, "--root", root, "--yes"}, strings.NewReader(""), &out, &errs)
	if code != exitRefused || !strings.Contains(errs.String(), "etc/logrotate.d/xcat") || !strings.Contains(errs.String(), "everything that was changed is put back") {
		t.Errorf("exit code %d\n%s%s", code, &out, &errs)
	}
	unchanged(t, "taken back", before, root)
	if got := rpmQuery(t, root); !slices.Equal(got, installed) {
		t.Errorf("installed %q, was %q", got, installed)
	}
}

// TestDependencyIsMissing has packages that need what nobody offers: it is a
// finding of the plan, and nothing changes.
func TestDependencyIsMissing(t *testing.T) {
	_, usb := scriptedExport(t, hosttest.ScriptedOptions{Requires: []string{"perl(No::Such)", "/usr/lib/no/such"}})
	root := scriptedRoot(t)
	before := whole(t, root)
	for _, args := range [][]string{{"--dry-run"}, {"--yes"}} {
		var out, errs bytes.Buffer
		code := run(append([]string{"xcrate", "import", "--allow-unsigned", usb, "--root", root}, args...), strings.NewReader(""), &out, &errs)
		if code != exitRefused || !strings.Contains(out.String(), "perl(No::Such) needed by xCAT-2.17.0") || !strings.Contains(out.String(), "/usr/lib/no/such") {
			t.Errorf("%v: exit code %d\n%s%s", args, code, &out, &errs)
		}
		unchanged(t, "refused", before, root)
	}
}

// TestNewerIsInstalled refuses to go back, unless it is told to.
func TestNewerIsInstalled(t *testing.T) {
	_, usb := scriptedExport(t, hosttest.ScriptedOptions{})
	_, newer := scriptedExport(t, hosttest.ScriptedOptions{Version: "2.18.0"})
	root := scriptedRoot(t)
	xcrate(t, exitWarnings, "import", "--allow-unsigned", newer, "--root", root, "--yes")
	before := whole(t, root)
	var out, errs bytes.Buffer
	code := run([]string{"xcrate", "import", "--allow-unsigned", usb, "--root", root, "--yes"}, strings.NewReader(""), &out, &errs)
	if code != exitRefused || !strings.Contains(out.String(), "newer-packages") || !strings.Contains(out.String(), "in place of xCAT-2.18.0") {
		t.Errorf("exit code %d\n%s%s", code, &out, &errs)
	}
	unchanged(t, "refused", before, root)
	said := xcrate(t, exitWarnings, "import", "--allow-unsigned", usb, "--root", root, "--yes", "--allow", "newer-packages,stack-version")
	if got := rpmQuery(t, root); !slices.Contains(got, "xCAT-2.17.0-snap202411131023.x86_64") || slices.Contains(got, "xCAT-2.18.0-snap202411131023.x86_64") {
		t.Errorf("installed %q\n%s", got, said)
	}
	if !strings.Contains(said, "xCAT-2.18.0-snap202411131023.x86_64 -> xCAT-2.17.0") {
		t.Errorf("what was replaced is not said:\n%s", said)
	}
}

// TestKilledTransaction cuts the power while a package's script runs: the program
// and all that runs in the root are gone at once. A rollback puts everything back.
func TestKilledTransaction(t *testing.T) {
	_, usb := scriptedExport(t, hosttest.ScriptedOptions{Script: hosttest.Script + "echo >/etc/started\nsleep 300\n"})
	bin, root := program(t), scriptedRoot(t)
	before, installed := whole(t, root), rpmQuery(t, root)
	cmd := exec.CommandContext(t.Context(), bin, "import", "--allow-unsigned", usb, "--root", root, "--yes")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Lstat(filepath.Join(root, "etc/started")); err == nil {
			break
		}
		if time.Since(begun) > 3*time.Minute {
			t.Fatal("the script was never run")
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	killIn(t, root)
	var out, errs bytes.Buffer
	if code := run([]string{"xcrate", "import", "--allow-unsigned", usb, "--root", root}, strings.NewReader(""), &out, &errs); code != exitRefused || !strings.Contains(errs.String(), "was interrupted") {
		t.Errorf("exit code %d\n%s%s", code, &out, &errs)
	}
	xcrate(t, 0, "rollback", "--root", root, "--yes")
	unchanged(t, "after a power cut", before, root)
	if got := rpmQuery(t, root); !slices.Equal(got, installed) {
		t.Errorf("installed %q, was %q", got, installed)
	}
}

// killIn kills every process whose root directory is root.
func killIn(t *testing.T, root string) {
	t.Helper()
	for again := true; again; {
		again = false
		links, err := filepath.Glob("/proc/[0-9]*/root")
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links {
			if at, err := os.Readlink(link); err != nil || at != root {
				continue
			}
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil && syscall.Kill(pid, syscall.SIGKILL) == nil {
				again = true
			}
		}
	}
}
