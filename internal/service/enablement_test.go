package service

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/hosttest"
)

// oddUnits are units of management nodes whose packages no root of the tests has,
// with what their sections Install say on Debian, EL and SLES, and such as use what
// those do not.
func oddUnits() map[string]string {
	service := func(install string) string { return "[Service]\nExecStart=/bin/true\n[Install]\n" + install }
	return map[string]string{
		"xcatd.service":                service("WantedBy=multi-user.target\n"),
		"named.service":                service("WantedBy=multi-user.target\nAlias=bind9.service\n"),
		"named-resolvconf.service":     service("WantedBy=named.service\nAlias=bind9-resolvconf.service\n"),
		"chrony.service":               service("Alias=chronyd.service\nWantedBy=multi-user.target\n"),
		"ntpsec.service":               service("Alias=ntp.service\nAlias=ntpd.service\nWantedBy=multi-user.target\n"),
		"ssh.service":                  service("WantedBy=multi-user.target\nAlias=sshd.service\n"),
		"rsyslog.service":              service("WantedBy=multi-user.target\nAlias=syslog.service\n"),
		"nfs-server.service":           service("WantedBy=multi-user.target\n"),
		"nfs-kernel-server.service":    "-> nfs-server.service",
		"nfsserver.service":            "-> nfs-server.service",
		"nfs-common.service":           "-> /dev/null",
		"nfs-client.target":            "[Install]\nWantedBy=multi-user.target\nWantedBy=remote-fs.target\n",
		"apache2.service":              service("WantedBy=multi-user.target\nAlias=httpd.service apache.service\n"),
		"apache2@.service":             service("WantedBy=multi-user.target\n"),
		"rpc-statd.service":            "[Service]\nExecStart=/bin/true\n",
		"dhcpd.service":                service("WantedBy=multi-user.target\n"),
		"virtqemu.service":             service("WantedBy=multi-user.target\nAlso=virtqemu.socket virtqemu-ro.socket missing.socket\n"),
		"virtqemu.socket":              "[Socket]\nListenStream=/run/a\n[Install]\nWantedBy=sockets.target\nAlso=virtqemu-ro.socket\n",
		"virtqemu-ro.socket":           "[Socket]\nListenStream=/run/b\n[Install]\nWantedBy=sockets.target\nAlso=virtqemu.service\n",
		"only-also.service":            service("Also=virtqemu.socket\n"),
		"required.service":             service("RequiredBy=xcatd.service named.service\nWantedBy=multi-user.target\n"),
		"quoted.service":               service("# WantedBy=none.target\nWantedBy=\"multi-user.target\"   'graphical.target'\n"),
		"continued.service":            service("WantedBy=multi-user.target \\\n  graphical.target\nAlias=c1.service \\\n# not this\n c2.service\n"),
		"emptied.service":              service("WantedBy=multi-user.target\nWantedBy=\nRequiredBy=graphical.target\n"),
		"twice.service":                service("WantedBy=multi-user.target\n[Unit]\nWantedBy=graphical.target\n[Install]\nWantedBy=rescue.target\n"),
		"default@.service":             service("DefaultInstance=one\nWantedBy=multi-user.target\n"),
		"of-instance@.service":         service("WantedBy=data@%i.target of-%p.target\n"),
		"spelled@.service":             service("WantedBy=%p-%j-%N.target\nAlias=short-%p@%i.service\n"),
		"a-b@.service":                 service("WantedBy=x-%j.target per%%cent.target\n"),
		"dropped.service":              "[Service]\nExecStart=/bin/true\n",
		"dropped.service.d/b.conf":     "[Install]\nWantedBy=multi-user.target\n",
		"dropped.service.d/a.conf":     "[Install]\nWantedBy=graphical.target\nAlias=other-name.service\n",
		"dropped.service.d/note.txt":   "[Install]\nWantedBy=rescue.target\n",
		"templated@.service":           service("WantedBy=multi-user.target\n"),
		"templated@.service.d/a.conf":  "[Install]\nWantedBy=\nWantedBy=graphical.target\n",
		"templated@x.service.d/b.conf": "[Install]\nRequiredBy=rescue.target\n",
		"overridden.service":           service("WantedBy=rescue.target\n"),
		"etc:overridden.service":       service("WantedBy=multi-user.target\n"),
		"masked-alias.service":         "-> rpc-masked.service",
		"rpc-masked.service":           service("WantedBy=multi-user.target\n"),
		"etc:rpc-masked.service":       "-> /dev/null",
		"etc:linked.service":           "-> /opt/linked/linked.service",
		"empty.service":                "",
	}
}

// TestReal compares what we say with what the programs of a real root do, which is
// made once for both.
func TestReal(t *testing.T) {
	full := hosttest.DatabaseRoot(t)
	t.Run("unit files", func(t *testing.T) { compareUnits(t, full) })
	t.Run("scripts", func(t *testing.T) { compareScript(t, full) })
}

// unitTree makes a root in that at full, with the units of that and oddUnits. run
// runs systemctl of full on it.
func unitTree(t *testing.T, full string) (root *host.Root, run func(args ...string) (string, error)) {
	t.Helper()
	top := filepath.Join(full, "tree")
	must(t, os.MkdirAll(filepath.Join(top, "usr/lib/systemd"), 0o755))
	must(t, os.MkdirAll(filepath.Join(top, "etc/systemd"), 0o755))
	must(t, os.MkdirAll(filepath.Join(top, "opt/linked"), 0o755))
	must(t, os.Symlink("usr/lib", filepath.Join(top, "lib")))
	must(t, os.WriteFile(filepath.Join(top, "opt/linked/linked.service"), []byte("[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"), 0o644))
	for _, dir := range []string{"usr/lib/systemd/system", "etc/systemd/system"} {
		if out, err := exec.Command("cp", "-a", filepath.Join(full, dir), filepath.Join(top, dir)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for name, text := range oddUnits() {
		p := filepath.Join(top, "usr/lib/systemd/system", name)
		if own, ok := strings.CutPrefix(name, "etc:"); ok {
			p = filepath.Join(top, "etc/systemd/system", own)
		}
		must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		must(t, os.RemoveAll(p))
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			must(t, os.Symlink(target, p))
			continue
		}
		must(t, os.WriteFile(p, []byte(text), 0o644))
	}
	root, err := host.OpenRoot(top)
	must(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return root, inside(t, full)
}

// inside returns what runs systemctl for /tree in root full. One shell there runs all:
// a test calls it a thousand times.
func inside(t *testing.T, full string) func(args ...string) (string, error) {
	t.Helper()
	// systemctl opens what it reads by its name in /proc. The mount ends with the shell.
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--", "sh", "-c", `mount --bind /proc "$0/proc" && exec chroot "$0" sh`, full)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "SYSTEMCTL_SKIP_SYSV=1"}
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(stdout)
	return func(args ...string) (string, error) {
		_, err := fmt.Fprintf(stdin, "systemctl --root=/tree '%s' 2>&1; echo exit $?\n", strings.Join(args, "' '"))
		must(t, err)
		var said strings.Builder
		for lines.Scan() {
			if code, ok := strings.CutPrefix(lines.Text(), "exit "); ok && code == "0" {
				return said.String(), nil
			} else if ok {
				return said.String(), fmt.Errorf("exit code %s", code)
			}
			said.WriteString(lines.Text() + "\n")
		}
		t.Fatalf("systemctl: the shell ended: %v", lines.Err())
		return "", nil
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// linksOf are the links of enabled units, by path.
func linksOf(t *testing.T, root *host.Root) map[string]string {
	t.Helper()
	all, err := units{root: root}.links()
	must(t, err)
	m := map[string]string{}
	for _, l := range all {
		m[l.Path] = l.Target
	}
	return m
}

// become gives root the links in want.
func become(t *testing.T, root *host.Root, want map[string]string) {
	t.Helper()
	for p, target := range linksOf(t, root) {
		if want[p] != target {
			must(t, os.Remove(root.Path(p)))
		}
	}
	for p, target := range want {
		must(t, os.MkdirAll(filepath.Dir(root.Path(p)), 0o755))
		if err := os.Symlink(target, root.Path(p)); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
	}
}

// after is what before becomes.
func after(t *testing.T, before map[string]string, add []Link, remove []string) map[string]string {
	t.Helper()
	m := maps.Clone(before)
	for _, p := range remove {
		if _, ok := m[p]; !ok {
			t.Errorf("%s: removed and not there", p)
		}
		delete(m, p)
	}
	for _, l := range add {
		if _, ok := m[l.Path]; ok {
			t.Errorf("%s: made and there", l.Path)
		}
		m[l.Path] = l.Target
	}
	return m
}

// allUnits are the units of root that can be named, with some instances.
func allUnits(t *testing.T, root *host.Root) []string {
	t.Helper()
	names, err := root.Names(vendorDir)
	must(t, err)
	more, err := root.Names(configDir)
	must(t, err)
	all := []string{"apache2@x.service", "default@two.service", "of-instance@x.service", "spelled@y.service", "a-b@z.service", "templated@x.service", "templated@y.service", "getty@tty3.service", "postgresql@15-main.service"}
	for _, n := range append(names, more...) {
		if isUnit(n) {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// compareUnits takes every unit of a root through its states, by systemctl, and
// compares at each what we say is to be changed with what systemctl changed, and the
// state we read with the one it does.
func compareUnits(t *testing.T, full string) {
	root, systemctl := unitTree(t, full)
	names, before := allUnits(t, root), linksOf(t, root)
	compareStates(t, root, systemctl, names)
	for _, unit := range names {
		become(t, root, before)
		u, err := openUnits(root)
		must(t, err)
		_, odd := oddUnits()[unit]
		if _, state, _ := u.stateOf(unit); state == static && !odd {
			continue // half of all; their states were compared
		}
		wants := []string{Enabled, Disabled}
		if odd {
			wants = []string{Enabled, Disabled, Masked, Enabled, Masked, Disabled, Unmasked}
		}
		for _, want := range wants {
			compareChange(t, root, systemctl, unit, want)
		}
	}
	become(t, root, before)
	_, _ = systemctl(append([]string{"--quiet", "enable"}, slices.DeleteFunc(slices.Clone(names), func(unit string) bool {
		_, _, err := Enablement(root, unit, Enabled) // systemctl ends at the first it cannot
		return err != nil
	})...)...)
	compareStates(t, root, systemctl, names)
}

// compareChange has systemctl bring unit to where it is wanted.
func compareChange(t *testing.T, root *host.Root, systemctl func(args ...string) (string, error), unit, want string) {
	t.Helper()
	u, err := openUnits(root)
	must(t, err)
	name, err := (&change{units: u}).real(unit)
	must(t, err)
	was := linksOf(t, root)
	add, remove, err := Enablement(root, unit, want)
	var said string
	var theirErr error
	switch want { // of an alias we mask the unit, and what is masked we unmask to enable it
	case Enabled:
		for _, n := range []string{unit, name} {
			if was[configDir+"/"+n] == masking {
				_, _ = systemctl("--quiet", "unmask", n)
			}
		}
		said, theirErr = systemctl("--quiet", "enable", unit)
	case Disabled:
		said, theirErr = systemctl("--quiet", "disable", unit)
	case Masked:
		said, theirErr = systemctl("--quiet", "mask", name)
	case Unmasked:
		said, theirErr = systemctl("--quiet", "unmask", name)
	}
	is := linksOf(t, root)
	got := after(t, was, add, remove)
	switch {
	case theirErr != nil && err == nil && unit == "linked.service" && want == Masked: // refused
	case theirErr != nil: // it stops where it fails, we say so before the first change
		if err == nil && !maps.Equal(got, is) {
			t.Errorf("%s %s: we %s, systemctl fails: %s", unit, want, difference(was, got), said)
		}
		become(t, root, was)
	case err != nil:
		t.Errorf("%s %s: %v, systemctl %s", unit, want, err, difference(was, is))
	case !maps.Equal(got, is):
		t.Errorf("%s %s: we %s, systemctl %s", unit, want, difference(was, got), difference(was, is))
	}
}

// compareStates reads the state of every unit as systemctl does.
func compareStates(t *testing.T, root *host.Root, systemctl func(args ...string) (string, error), names []string) {
	t.Helper()
	u, err := openUnits(root)
	must(t, err)
	asked := slices.DeleteFunc(slices.Clone(names), func(unit string) bool {
		f, found, err := u.find(unit)
		return err != nil || !found || f.name != unit
	})
	said, _ := systemctl(append([]string{"is-enabled"}, asked...)...)
	words := strings.Fields(said)
	if len(words) != len(asked) {
		t.Fatalf("%d units, said of them: %s", len(asked), said)
	}
	for i, unit := range asked {
		_, state, err := u.stateOf(unit)
		if err != nil || state != words[i] {
			t.Errorf("%s: %q, %v, want %q", unit, state, err, words[i])
		}
	}
}

// difference says what changed from a to b.
func difference(a, b map[string]string) string {
	var all []string
	for p, target := range a {
		if b[p] != target {
			all = append(all, "-"+p)
		}
	}
	for p, target := range b {
		if a[p] != target {
			all = append(all, "+"+p+"->"+target)
		}
	}
	slices.Sort(all)
	return "[" + strings.Join(all, " ") + "]"
}
