package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/service"
	"github.com/xcrate/xcrate/internal/stack"
)

// services notes which units of the stack run on the host: they are stopped
// before files are replaced, and started again after.
func (p *planner) services(ctx context.Context) (err error) {
	p.plan.Services, err = activeUnits(ctx, p.Root, p.Runner, p.Stack)
	if err != nil || !p.Standby {
		return err
	}
	p.plan.Standby = true
	p.plan.Disable, err = p.enabledUnits(ctx)
	return err
}

// enabledUnits are the units of the stack that start when the host does.
func (p *planner) enabledUnits(ctx context.Context) (units []string, err error) {
	states, err := service.States(ctx, p.Root, p.Runner, roles(p.Stack.Services))
	if err != nil {
		return nil, fmt.Errorf("services: %w", err)
	}
	for _, s := range states {
		if s.Enabled == "enabled" {
			units = append(units, s.Unit)
		}
	}
	return units, nil
}

// activeUnits are the units of the stack that run, in the order they are started.
func activeUnits(ctx context.Context, root *host.Root, run host.Runner, s stack.Stack) ([]string, error) {
	units := []string{}
	if !service.Running(root) {
		return units, nil
	}
	states, err := service.States(ctx, root, run, roles(s.Services))
	if err != nil {
		return nil, fmt.Errorf("services: %w", err)
	}
	for _, s := range states {
		if isActive(s) {
			units = append(units, s.Unit)
		}
	}
	return units, nil
}

func isActive(s artifact.Service) bool { return s.Active == "active" || s.Active == "activating" }

// roles are the candidates for each role.
func roles(all []stack.Service) [][]string {
	var units [][]string
	for _, s := range all {
		units = append(units, s.Units)
	}
	return units
}

// guards are those of states that are no units of the stack.
func guards(states []artifact.Service, scripts stack.Scripts) []artifact.Service {
	return slices.DeleteFunc(slices.Clone(states), func(s artifact.Service) bool {
		return !slices.ContainsFunc(scripts.Guards, func(g stack.Service) bool {
			return slices.ContainsFunc(g.Units, func(unit string) bool { return unit+".service" == s.Unit })
		})
	})
}

// stopServices stops what runs now, last started first, and has what is not to
// run here not start again when the machine does. The packages just installed may
// have started and enabled more than the plan saw.
func (a *applier) stopServices(ctx context.Context) error {
	units, err := activeUnits(ctx, a.Root, a.Runner, a.Stack)
	if err != nil {
		return err
	}
	for _, unit := range slices.Backward(units) {
		if err := service.Stop(ctx, a.Runner, unit); err != nil {
			return err
		}
		a.stopped = slices.Insert(a.stopped, 0, unit)
	}
	enabled, err := a.enabledUnits(ctx)
	if err != nil {
		return err
	}
	for _, unit := range enabled {
		if !a.Standby && a.belongs(unit) {
			continue
		}
		if err := service.Disable(ctx, a.Root, a.Runner, unit); err != nil {
			return err
		}
		a.result.Disabled = append(a.result.Disabled, unit)
	}
	return nil
}

// belongs reports whether unit is to run here: it did before, or it did on the
// source. What only scripts of packages started is not.
func (a *applier) belongs(unit string) bool {
	source := a.snapshot.Config.Services
	on := func(s artifact.Service) bool { return s.Unit == unit && isOn(s) }
	return !a.installs() || len(source) == 0 || slices.ContainsFunc(a.before, on) || slices.ContainsFunc(source, on)
}

// startServices starts in order what was stopped and is to run here, all of it
// even if one does not start.
func (a *applier) startServices(ctx context.Context) error {
	var errs []error
	units := slices.DeleteFunc(slices.Clone(a.stopped), func(unit string) bool { return a.Standby || !a.belongs(unit) })
	if unit := a.serverUnit(); unit != "" && !slices.Contains(units, unit) {
		units = slices.Insert(units, 0, unit) // Debian's stands for the one that runs already
	}
	for _, unit := range units {
		if err := service.Start(ctx, a.Runner, unit); err != nil {
			errs = append(errs, fmt.Errorf("service %s: %w", unit, err))
		}
	}
	return errors.Join(errs...)
}

// asBefore starts those of units that ran and do not, and has SELinux enforce its
// policy if it did.
func asBefore(ctx context.Context, root *host.Root, run host.Runner, units []artifact.Service, enforced bool) error {
	var errs []error
	for _, s := range units {
		if !isActive(s) {
			continue
		}
		if err := service.Start(ctx, run, s.Unit); err != nil {
			errs = append(errs, fmt.Errorf("service %s: %w", s.Unit, err))
		}
	}
	if enforced && !enforcing(root) {
		_, err := run.Run(ctx, host.Command{Name: "setenforce", Args: []string{"1"}})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
