package machinetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// standby makes a machine a standby, on which nothing of the stack may run, boots it,
// makes it the management node, and takes all of that back.
func (c *cluster) standby(t *testing.T) {
	root := c.root(t)
	b := c.boot(t, root)
	before := fresh{whole(t, root), c.states(t, b)}
	said := xcrate(t, b, done(), "import", "--allow-unsigned", "/mnt/usb", "--yes", "--standby", "--with-database")
	defer func() { logFailed(t, "standby", said) }()
	off := func(what string) {
		t.Helper()
		for _, u := range c.units {
			state, _ := b.Run(t, "bash", "-c", "echo $(systemctl is-enabled "+u+") $(systemctl is-active "+u+")")
			runs := u == "rsyslog" || u == "chronyd" // each node has its own
			if fields := strings.Fields(state); !runs && (len(fields) < 2 || fields[len(fields)-1] == "active" || !strings.Contains(state, "masked")) {
				t.Errorf("%s: %s: %s", what, u, state)
			}
		}
	}
	off("imported")
	// What a stopped server holds cannot be seen: the tables are restored once more.
	xcrate(t, b, done(), "import", "--allow-unsigned", "/mnt/usb", "--yes", "--standby", "--with-database")
	off("imported again")
	xcrate(t, b, done(), "rollback", "--yes")
	off("rolled back once")
	if again := xcrate(t, b, done(), "import", "--allow-unsigned", "/mnt/usb", "--yes", "--standby"); !strings.Contains(again, "Nothing to do") {
		t.Errorf("second import without the database:\n%s", again)
	}
	b.Stop(t)
	b = c.boot(t, root)
	off("booted")
	activated := xcrate(t, b, done(), "activate", "--yes")
	defer func() { logFailed(t, "activated", activated) }()
	c.want.same(t, look(t, b, c.distro))
	answers(t, b)
	if said, code := b.Run(t, "/mnt/lab/xcrate", "activate", "--yes"); code != exitError || !strings.Contains(said, "no import as a standby") {
		t.Errorf("activated twice: exit code %d: %s", code, said)
	}
	xcrate(t, b, done(), "rollback", "--yes")
	before.same(t, "rolled back", fresh{whole(t, root), c.states(t, b)})
	b.Stop(t)
}

// firstBoot imports into the root of a machine that is off. Its first boot starts
// what the source had running, and asks it.
func (c *cluster) firstBoot(t *testing.T) {
	root := c.root(t)
	check(t, os.WriteFile(filepath.Join(root, "etc/hostname"), []byte("mgmt01\n"), 0o644))
	before := whole(t, root)
	run := func(codes []int, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), filepath.Join(c.lab, "xcrate"), append(args, "--root", root)...)
		out, err := cmd.CombinedOutput()
		for _, code := range codes {
			if cmd.ProcessState.ExitCode() == code {
				return string(out)
			}
		}
		t.Fatalf("xcrate %v: %v\n%s", args, err, out)
		return ""
	}
	said := run(done(), "import", "--allow-unsigned", c.usb, "--yes", "--no-hooks")
	defer func() { logFailed(t, "imported", said) }()
	if list := run(done(), "imports"); !strings.Contains(list, "waiting") {
		t.Errorf("imports:\n%s", list)
	}
	if again := run(done(), "import", "--allow-unsigned", c.usb, "--yes", "--no-hooks", "--skip", "database"); !strings.Contains(again, "Nothing to do") {
		t.Errorf("second import:\n%s", again)
	}
	b := c.boot(t, root)
	for begun := time.Now(); ; time.Sleep(time.Second) {
		if list := xcrate(t, b, done(), "imports"); strings.Contains(list, "done") {
			break
		}
		if time.Since(begun) > 2*time.Minute {
			t.Fatalf("the first boot has not ended the import:\n%s", b.Must(t, "systemctl", "status", "--no-pager", "-l", "xcrate-firstboot"))
		}
	}
	c.want.same(t, look(t, b, c.distro))
	answers(t, b)
	report := b.Must(t, "bash", "-c", "cat /var/lib/xcrate/imports/*/report.txt")
	for _, want := range []string{"PASS  xcatd", "PASS  lsxcatd", "PASS  services", "ran   mknb x86_64"} {
		if !strings.Contains(report, want) {
			t.Errorf("%q is not in the report:\n%s", want, report)
		}
	}
	for _, p := range []string{"usr/local/sbin/xcrate-firstboot", "etc/systemd/system/xcrate-firstboot.service", "etc/systemd/system/multi-user.target.wants/xcrate-firstboot.service"} {
		if _, err := os.Lstat(filepath.Join(root, p)); err == nil {
			t.Errorf("%s is left", p)
		}
	}
	xcrate(t, b, done(), "rollback", "--yes")
	b.Stop(t)
	untouched(t, "rolled back", before, whole(t, root))
}
