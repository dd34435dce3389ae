package machinetest

import (
	"strings"
	"testing"
)

// fault is what goes wrong on a machine during an import, and what comes of it:
// docs/restore.md promises each.
type fault struct {
	name      string
	cause     string // shell, as mend
	mend      string
	args      []string
	codes     []int
	says      []string
	takesBack bool // the import is taken back by itself
}

func faultsOfImports() []fault {
	refused, failed := []int{exitRefused}, []int{exitError}
	command := func(name, does string) string {
		return "mkdir -p /run/xcat-commands; echo " + does + " >/run/xcat-commands/" + name
	}
	const well = "rm -rf /run/xcat-commands"
	const full = "mkdir -p /var/lib/xcrate; mount -t tmpfs -o size=3m tmpfs /var/lib/xcrate"
	return []fault{
		{name: "full disk foreseen", cause: full, mend: "umount /var/lib/xcrate", codes: refused, says: []string{"/var/lib/xcrate", "needed"}, takesBack: true},
		{
			name: "full disk", cause: full, mend: "umount /var/lib/xcrate", args: []string{"--allow", "space"}, codes: failed,
			says: []string{"no space left on device", "put back"}, takesBack: true,
		},
		{
			name: "read-only", cause: "cp -a /etc/dhcp /run/dhcp; mount -t tmpfs tmpfs /etc/dhcp; cp -a /run/dhcp/. /etc/dhcp; mount -o remount,ro /etc/dhcp",
			mend: "umount /etc/dhcp", codes: []int{exitError, exitRefused}, says: []string{"read-only file system", "/etc/dhcp"}, takesBack: true,
		},
		{
			name:  "service",
			cause: `mkdir -p /run/systemd/system/httpd.service.d; printf '[Service]\nExecStartPre=/bin/false\n' >/run/systemd/system/httpd.service.d/x.conf; systemctl daemon-reload`,
			mend:  "rm -r /run/systemd/system/httpd.service.d; systemctl daemon-reload", codes: []int{exitWarnings}, says: []string{"httpd.service"},
		},
		// To rpm a script that fails after the files are there is no error: the import makes what it would have made.
		{name: "script of a package", cause: command("script", "fail"), mend: well, codes: []int{exitWarnings}, says: []string{"xCAT"}},
		{name: "command fails", cause: command("mknb", "fail"), mend: well, codes: []int{exitWarnings}, says: []string{"mknb x86_64"}},
		{name: "command hangs", cause: command("lsxcatd", "hang"), mend: well, codes: []int{exitWarnings}, says: []string{"lsxcatd"}},
		{name: "bind mount", cause: "mount --bind /etc/dhcp /etc/dhcp", mend: "true", codes: done()}, // below is the same filesystem
	}
}

// faults has one thing after the other go wrong. Nothing is lost by any: the import
// is taken back, or can be.
func (c *cluster) faults(t *testing.T) {
	t.Parallel()
	c.target = c.root(t)
	b := c.boot(t, c.target)
	before := c.now(t, b)
	for _, f := range faultsOfImports() {
		t.Run(f.name, func(t *testing.T) {
			b.Must(t, "bash", "-c", f.cause)
			said, code := b.Run(t, append([]string{"/mnt/lab/xcrate", "import", "--allow-unsigned", "/mnt/usb", "--yes"}, f.args...)...)
			b.Must(t, "bash", "-c", f.mend)
			right := false
			for _, want := range f.codes {
				right = right || code == want
			}
			if !right {
				t.Errorf("exit code %d, want one of %v", code, f.codes)
			}
			for _, want := range f.says {
				if !strings.Contains(strings.Join(strings.Fields(said), " "), want) {
					t.Errorf("%q is not said", want)
				}
			}
			logFailed(t, "import", said)
			if !f.takesBack {
				if said, code := b.Run(t, "/mnt/lab/xcrate", "rollback", "--yes"); code != exitOK && code != exitWarnings {
					t.Errorf("rollback: exit code %d\n%s", code, said)
				}
			}
			_, _ = b.Run(t, "systemctl", "reset-failed") // what failed before the rollback is remembered
			before.same(t, f.name, c.now(t, b))
			if t.Failed() { // and the next begins afresh
				_, _ = b.Run(t, "umount", "/etc/dhcp")
				_, _ = b.Run(t, "/mnt/lab/xcrate", "rollback", "--yes")
			}
		})
	}
	b.Stop(t)
}
