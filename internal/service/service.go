// Package service tells and changes the state of systemd units, on a running
// machine through systemctl and in a root directory by what lies in it.
package service

import (
	"context"
	"fmt"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// States returns the state of one unit per role: of the candidates units, the
// first the host has. A role without a unit on the host is not listed. An alias is
// listed as the unit it stands for.
//
// Enabled is one of the words of "systemctl is-enabled": enabled, disabled, masked,
// static, indirect, linked.
func States(ctx context.Context, root *host.Root, run host.Runner, roles [][]string) ([]artifact.Service, error) {
	u, err := openUnits(root)
	if err != nil {
		return nil, err
	}
	states := []artifact.Service{}
	for _, candidates := range roles {
		for _, name := range candidates {
			unit, enabled, err := u.stateOf(name + ".service")
			if err != nil {
				return nil, err
			}
			if unit == "" {
				continue
			}
			states = append(states, artifact.Service{Unit: unit, Enabled: enabled, Active: Active(ctx, root, run, unit)})
			break
		}
	}
	return states, nil
}

// State returns the name that unit ("bind9.service") has without aliases, and the word
// "systemctl is-enabled" has for it, as States does. Both are "" if root does not have
// it. One that is static, indirect or linked is not for Enablement to change.
func State(root *host.Root, unit string) (name, enabled string, err error) {
	u, err := openUnits(root)
	if err != nil {
		return "", "", err
	}
	return u.stateOf(unit)
}

// stateOf returns the name of unit without aliases and its state, two times "" if
// the host does not have it.
func (u units) stateOf(unit string) (name, enabled string, err error) {
	f, found, err := u.find(unit)
	switch {
	case err != nil:
		return "", "", err
	case found:
		enabled, err = u.state(f)
		return f.name, enabled, err
	case u.isSysV(unit):
		enabled, err = u.sysVState(unit)
		return unit, enabled, err
	}
	return "", "", nil
}

// Running reports whether systemd is there to be asked about root.
func Running(root *host.Root) bool { return root.IsLive() && root.Exists("/run/systemd/system") }

// Active returns what systemd says of unit: "active", "inactive", "failed",
// "activating" and the like, "" where root does not run. Exit codes other than 0
// are answers too: the word is on stdout.
func Active(ctx context.Context, root *host.Root, run host.Runner, unit string) string {
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
// the running machine, elsewhere the links go that enabling it made. A unit that is
// not there has none.
func Disable(ctx context.Context, root *host.Root, run host.Runner, unit string) error {
	if Running(root) {
		_, err := run.Run(ctx, host.Command{Name: "systemctl", Args: []string{"disable", unit}})
		return err
	}
	add, remove, err := Enablement(root, unit, Disabled)
	if err != nil {
		return err
	}
	if err := apply(root, add, remove); err != nil {
		return fmt.Errorf("unit %s: %w", unit, err)
	}
	return nil
}
