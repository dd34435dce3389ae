package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/service"
)

// start takes the steps that come once everything is in place. What fails is in the
// report; an error is about the journal, or the report itself.
func (a *applier) start(ctx context.Context) error {
	defer a.commit.near.close()
	a.result.Report = a.newReport()
	if a.leftToFirstBoot() {
		return a.waitForBoot(ctx)
	}
	for _, s := range starting() {
		if err := a.mark(opStep, s.ID); err != nil {
			return err
		}
		if err := s.do(a, ctx); err != nil {
			a.result.Report.fail(s.ID, err)
		}
		if err := a.mark(opTook, s.ID); err != nil {
			return err
		}
	}
	if err := a.dropFirstBoot(); err != nil {
		return err
	}
	return a.withState(func(state *host.Dir) error {
		return errors.Join(a.writeReport(state), a.noteAccounts(state), a.noteChanges(ctx, state), a.journal.write(record{Op: opEnd}), a.journal.sync())
	})
}

// startWithin is how long a service may take to start: xcatd waits for its database
// for 200 seconds, and systemd for xcatd for 600 (xcatd.service).
const startWithin = 11 * time.Minute

// startServices starts in order what is to run here, all of it even if one does not
// start.
func (a *applier) startServices(ctx context.Context) error {
	if !service.Running(a.Root) {
		return nil
	}
	units, err := a.toStart(ctx)
	if err != nil {
		return err
	}
	a.Progress.Phase("starting services", 0)
	var failed []string
	for _, unit := range units {
		err := service.StartWithin(ctx, a.Runner, unit, startWithin)
		a.result.Report.started(unit, err)
		if err != nil {
			failed = append(failed, unit)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d services do not run", len(failed), len(units))
	}
	return nil
}

// toStart lists the units that are to run here, in the order of the stack: those that
// did on the source, and those of others that ran here before.
func (a *applier) toStart(ctx context.Context) ([]string, error) {
	if a.NoStart {
		return nil, nil
	}
	states, err := service.States(ctx, a.Root, a.Runner, roles(a.Stack.Services))
	if err != nil {
		return nil, fmt.Errorf("services: %w", err)
	}
	var units []string
	for _, s := range states {
		if !a.staysOff(s.Unit) && a.runs(s.Unit, a.before) {
			units = append(units, s.Unit)
		}
	}
	if unit := a.serverUnit(); unit != "" && !slices.Contains(units, unit) {
		units = slices.Insert(units, 0, unit) // Debian's stands for the one that runs already
	}
	return units, nil
}

// relabel gives what was restored its labels, where SELinux is on.
func (a *applier) relabel(ctx context.Context) error {
	if !service.Running(a.Root) {
		return nil
	}
	return relabel(ctx, a.Root, a.Runner, a.touched)
}
