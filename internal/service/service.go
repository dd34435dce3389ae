// Package service tells and changes the state of systemd units, on a running
// machine through systemctl and in a root directory by what lies in it.
package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// unitDirs are where unit files lie (systemd.unit(5), "Unit File Load Path").
var unitDirs = []string{"/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// States returns the state of one unit per role: of the candidates units, the
// first the host has. A role without a unit on the host is not listed.
func States(ctx context.Context, root *host.Root, run host.Runner, roles [][]string) ([]artifact.Service, error) {
	states := []artifact.Service{}
	for _, units := range roles {
		for _, u := range units {
			unit := u + ".service"
			has, err := exists(root, unit)
			if err != nil {
				return nil, err
			}
			if !has {
				continue
			}
			enabled, err := enablement(root, unit)
			if err != nil {
				return nil, err
			}
			states = append(states, artifact.Service{Unit: unit, Enabled: enabled, Active: active(ctx, root, run, unit)})
			break
		}
	}
	return states, nil
}

func exists(root *host.Root, unit string) (bool, error) {
	for _, dir := range unitDirs {
		_, err := root.Lstat(dir + "/" + unit)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
			return false, err
		}
	}
	return false, nil
}

// enablement reads what systemctl is-enabled would say from the links an
// enabled unit leaves below /etc/systemd/system.
func enablement(root *host.Root, unit string) (string, error) {
	if target, err := root.Readlink(unitDirs[0] + "/" + unit); err == nil && target == "/dev/null" {
		return "masked", nil
	}
	names, err := root.Names(unitDirs[0])
	if errors.Is(err, fs.ErrNotExist) {
		return "disabled", nil
	}
	if err != nil {
		return "", fmt.Errorf("unit %s: %w", unit, err)
	}
	for _, dir := range names {
		if !strings.HasSuffix(dir, ".wants") && !strings.HasSuffix(dir, ".requires") {
			continue
		}
		if st, err := root.Lstat(unitDirs[0] + "/" + dir + "/" + unit); err == nil && st.IsSymlink() {
			return "enabled", nil
		}
	}
	return "disabled", nil
}

// Running reports whether systemd is there to be asked about root.
func Running(root *host.Root) bool { return root.IsLive() && root.Exists("/run/systemd/system") }

// active asks systemd. Exit codes other than 0 are answers too: the word is
// on stdout.
func active(ctx context.Context, root *host.Root, run host.Runner, unit string) string {
	if !Running(root) {
		return ""
	}
	out, _ := run.Run(ctx, host.Command{Name: "systemctl", Args: []string{"is-active", unit}})
	return strings.TrimSpace(string(out))
}

// Stop stops unit and the units that are part of it, and returns when all of them
// ended. systemd stops those too, but systemctl waits for what it was told only:
// Debian's postgresql.service is a name for postgresql@15-main.service and others,
// which are still at work then.
func Stop(ctx context.Context, run host.Runner, unit string) error {
	parts, err := run.Run(ctx, host.Command{Name: "systemctl", Args: []string{"show", "--property=ConsistsOf", "--value", unit}})
	if err != nil {
		return err
	}
	_, err = run.Run(ctx, host.Command{Name: "systemctl", Args: append([]string{"stop", unit}, strings.Fields(string(parts))...)})
	return err
}

// Start makes systemd read its unit files again and starts unit.
func Start(ctx context.Context, run host.Runner, unit string) error {
	if err := Reload(ctx, run); err != nil {
		return err
	}
	_, err := run.Run(ctx, host.Command{Name: "systemctl", Args: []string{"start", unit}})
	return err
}

// Reload makes systemd read its unit files again.
func Reload(ctx context.Context, run host.Runner) error {
	_, err := run.Run(ctx, host.Command{Name: "systemctl", Args: []string{"daemon-reload"}})
	return err
}

// Disable has unit not started any more when root boots: systemctl does it on
// the running machine, elsewhere the links go that enabling it made.
func Disable(ctx context.Context, root *host.Root, run host.Runner, unit string) error {
	if Running(root) {
		_, err := run.Run(ctx, host.Command{Name: "systemctl", Args: []string{"disable", unit}})
		return err
	}
	names, err := root.Names(unitDirs[0])
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("unit %s: %w", unit, err)
	}
	for _, name := range names {
		p := unitDirs[0] + "/" + name
		if strings.HasSuffix(name, ".wants") || strings.HasSuffix(name, ".requires") {
			p += "/" + unit
		} else if target, err := root.Readlink(p); err != nil || path.Base(target) != unit {
			continue // no alias of it
		}
		if err := removeLink(root, p); err != nil {
			return fmt.Errorf("unit %s: %w", unit, err)
		}
	}
	return nil
}

// removeLink removes p if it is a symlink.
func removeLink(root *host.Root, p string) error {
	d, name, err := root.OpenParent(p)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	st, err := d.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !st.IsSymlink() {
		return nil
	}
	if err != nil {
		return err
	}
	return d.Remove(name)
}
