package service

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/xcrate/xcrate/internal/host"
)

// script is the header of Debian's isc-dhcp-server, which has no unit file.
const script = `#!/bin/sh
### BEGIN INIT INFO
# Provides:          isc-dhcp-server
# Required-Start:    $remote_fs $network $syslog
# Should-Start:      $local_fs slapd $named
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: DHCP server
### END INIT INFO
# Default-Start:     9
exit 0
`

// compareScript compares what we say of a script with what update-rc.d does, as systemctl
// calls it.
func compareScript(t *testing.T, top string) {
	must(t, os.WriteFile(filepath.Join(top, "etc/init.d/isc-dhcp-server"), []byte(script), 0o755))
	root, err := host.OpenRoot(top)
	must(t, err)
	defer func() { _ = root.Close() }()
	const unit = "isc-dhcp-server.service"
	links := func() map[string]string {
		all, err := units{root: root}.runlevelLinks("isc-dhcp-server")
		must(t, err)
		m := map[string]string{}
		for _, l := range all {
			m[l.Path] = l.Target
		}
		return m
	}
	state := func() string {
		all, err := States(t.Context(), root, host.Exec{}, [][]string{{"dhcpd", "isc-dhcp-server"}})
		must(t, err)
		if len(all) != 1 || all[0].Unit != unit || all[0].Active != "" {
			t.Fatalf("states %+v", all)
		}
		return all[0].Enabled
	}
	for i, want := range []string{Disabled, Enabled, Enabled, Disabled, Disabled} {
		was := links()
		add, remove, err := Enablement(root, unit, want)
		must(t, err)
		for _, args := range [][]string{{"defaults"}, {map[string]string{Enabled: "enable", Disabled: "disable"}[want]}} {
			cmd := exec.CommandContext(t.Context(), "chroot", append([]string{top, "/usr/sbin/update-rc.d", "isc-dhcp-server"}, args...)...)
			cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "_SKIP_SYSTEMD_NATIVE=1", "LC_ALL=C.UTF-8"}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		if got, is := after(t, was, add, remove), links(); !maps.Equal(got, is) || len(is) != 7 {
			t.Errorf("%d %s: we %s, update-rc.d %s", i, want, difference(was, got), difference(was, is))
		}
		if got := state(); got != want {
			t.Errorf("%d: %s, want %s", i, got, want)
		}
	}
	if _, _, err := Enablement(root, "none.service", Enabled); !errors.Is(err, ErrNoUnit) {
		t.Errorf("no unit: %v", err)
	}
	add, remove, err := Enablement(root, "none.service", Disabled)
	if err != nil || len(add)+len(remove) > 0 {
		t.Errorf("no unit: %v %v, %v", add, remove, err)
	}
}

// TestDisableInRoot makes the changes, through an alias.
func TestDisableInRoot(t *testing.T) {
	top := t.TempDir()
	for p, text := range map[string]string{
		"usr/lib/systemd/system/named.service": "[Install]\nWantedBy=multi-user.target\nAlias=bind9.service\n",
		"usr/lib/systemd/system/other.service": "[Install]\nWantedBy=multi-user.target\n",
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(top, p)), 0o755))
		must(t, os.WriteFile(filepath.Join(top, p), []byte(text), 0o644))
	}
	root, err := host.OpenRoot(top)
	must(t, err)
	defer func() { _ = root.Close() }()
	roles := [][]string{{"bind9"}, {"other"}, {"none"}}
	state := func(unit, enabled string) {
		t.Helper()
		all, err := States(t.Context(), root, host.Exec{}, roles)
		if err != nil || len(all) != 2 || all[0].Unit != unit || all[0].Enabled != enabled || all[1].Enabled != Enabled {
			t.Errorf("states %+v, %v, want %s %s", all, err, unit, enabled)
		}
	}
	for _, unit := range []string{"named.service", "other.service"} {
		add, remove, err := Enablement(root, unit, Enabled)
		must(t, err)
		must(t, apply(root, add, remove))
	}
	state("named.service", Enabled)
	must(t, Disable(t.Context(), root, host.Exec{}, "bind9.service"))
	if name, enabled, err := State(root, "none.service"); name+enabled != "" || err != nil {
		t.Errorf("no unit: %q %q, %v", name, enabled, err)
	}
	roles[0] = []string{"bind9", "named"}
	state("named.service", Disabled)
	must(t, Disable(t.Context(), root, host.Exec{}, "none.service"))
}
