package restore

import (
	"context"
	"errors"
	"fmt"

	"github.com/xcrate/xcrate/internal/service"
)

// ErrNoStandby says that nothing on the host waits to be activated.
var ErrNoStandby = errors.New("no import as a standby is in place here")

// Activation says what making a standby the management node would do.
type Activation struct {
	Format int          `json:"format"` // 1
	Import Import       `json:"import"`
	Enable []UnitChange `json:"enable"`
	Start  []string     `json:"start"`
	Checks []Finding    `json:"checks"`
}

// Blocked returns the findings that stop an activation.
func (a *Activation) Blocked() []Finding { return blocked(a.Checks) }

// Activate makes a standby the management node: services are unmasked, enabled as on
// the source, and started, and everything is asked whether it answers. It is part of
// the import: a rollback takes it back too, and after a kill a resume finishes it. A
// nil Result means that nothing was changed.
func Activate(ctx context.Context, o Options, confirm func(*Activation) (bool, error)) (_ *Result, err error) {
	o = o.complete()
	release, err := lock(o.Root)
	if err != nil {
		return nil, err
	}
	defer func() { _ = release() }()
	one, err := standby(o)
	if err != nil {
		return nil, err
	}
	state, err := openImport(o.Root, one.ID)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	r, err := readReached(state)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", one.ID, err)
	}
	o.Choices = one.Choices
	o.Standby = false
	a, err := reopen(o, one, state, r)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", one.ID, err)
	}
	defer a.work.close()
	defer func() { err = errors.Join(err, a.journal.close()) }()
	plan, err := a.activation(ctx, one)
	if err != nil {
		return nil, err
	}
	if ok, err := confirm(plan); err != nil || !ok {
		return nil, err
	}
	if len(plan.Blocked()) > 0 {
		return nil, ErrBlocked
	}
	// From here on it is no standby: a resume does the same.
	one.Choices.Standby, one.Activated = false, o.Now
	if err := replaceJSON(state, importFile, one); err != nil {
		return nil, err
	}
	if err := errors.Join(a.journal.write(record{Op: opDone}), a.journal.sync()); err != nil {
		return nil, err
	}
	whole := context.WithoutCancel(ctx)
	if err := a.enableServices(whole); err != nil {
		return nil, err
	}
	return a.result, a.start(whole)
}

// standby finds the import that made the host a standby.
func standby(o Options) (Import, error) {
	open, err := Unfinished(o.Root)
	if err != nil {
		return Import{}, err
	}
	if open != nil {
		return Import{}, fmt.Errorf("import %s: %w", open.ID, ErrUnfinished)
	}
	all, err := imports(o.Root)
	if err != nil {
		return Import{}, err
	}
	if len(all) == 0 || !all[0].Choices.Standby || all[0].Phase != PhaseDone {
		return Import{}, ErrNoStandby
	}
	return all[0], nil
}

// activation plans.
func (a *applier) activation(ctx context.Context, one Import) (*Activation, error) {
	states, err := service.States(ctx, a.Root, a.Runner, roles(a.Stack.Services))
	if err != nil {
		return nil, fmt.Errorf("services: %w", err)
	}
	plan := &Activation{Format: 1, Import: one, Enable: append(a.enablement(states), a.unmasked(states)...), Start: []string{}, Checks: []Finding{}}
	for _, s := range states {
		if a.runs(s.Unit, a.before) {
			plan.Start = append(plan.Start, s.Unit)
		}
	}
	if err := a.readHost(); err != nil {
		return nil, err
	}
	a.plan.Findings = []Finding{}
	src := source{port: a.Stack.Probes.Ports[0].Default}
	a.checkOldNode(ctx, src)
	a.checkDuplicates(ctx, src)
	plan.Checks = a.plan.Findings
	return plan, ctx.Err()
}
