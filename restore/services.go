package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/xcrate/xcrate/internal/service"
)

// services notes which units of the stack run on the host: they are stopped
// before files are replaced, and started again after.
func (p *planner) services(ctx context.Context) (err error) {
	p.plan.Services, err = p.activeServices(ctx)
	return err
}

func (p *planner) activeServices(ctx context.Context) ([]string, error) {
	units := []string{}
	if !service.Running(p.Root) {
		return units, nil
	}
	var roles [][]string
	for _, s := range p.Stack.Services {
		roles = append(roles, s.Units)
	}
	states, err := service.States(ctx, p.Root, p.Runner, roles)
	if err != nil {
		return nil, fmt.Errorf("services: %w", err)
	}
	for _, s := range states {
		if s.Active == "active" || s.Active == "activating" {
			units = append(units, s.Unit)
		}
	}
	return units, nil
}

// stopServices stops what runs now, last started first. The packages just
// installed may have started more than the plan saw.
func (a *applier) stopServices(ctx context.Context) (stopped []string, err error) {
	units, err := a.activeServices(ctx)
	if err != nil {
		return nil, err
	}
	for _, unit := range slices.Backward(units) {
		if err := service.Stop(ctx, a.Runner, unit); err != nil {
			return stopped, err
		}
		stopped = slices.Insert(stopped, 0, unit)
	}
	return stopped, nil
}

// startServices starts units in order, all of them even if one does not start.
func (a *applier) startServices(ctx context.Context, units []string) error {
	var errs []error
	for _, unit := range units {
		if err := service.Start(ctx, a.Runner, unit); err != nil {
			errs = append(errs, fmt.Errorf("service %s: %w", unit, err))
		}
	}
	return errors.Join(errs...)
}
