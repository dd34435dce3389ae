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

// UnitChange is a unit whose enablement an import changes, in the words of systemctl
// is-enabled.
type UnitChange struct {
	Unit string `json:"unit"`
	From string `json:"from,omitempty"` // "" where its package is not installed yet
	To   string `json:"to"`
}

// services notes which units of the stack run on the host, which are stopped before
// files are replaced, which are started after, and what of them is enabled, disabled
// or masked.
func (p *planner) services(ctx context.Context) error {
	p.plan.Standby = p.Standby
	p.plan.Services, p.plan.Start, p.plan.Enable = []string{}, []string{}, []UnitChange{}
	states, err := service.States(ctx, p.Root, p.Runner, roles(p.Stack.Services))
	if err != nil {
		return fmt.Errorf("services: %w", err)
	}
	for _, s := range states {
		if isActive(s) {
			p.plan.Services = append(p.plan.Services, s.Unit)
			p.plan.quiet = p.plan.quiet || p.staysOff(s.Unit)
		}
	}
	p.plan.Enable = p.enablement(states)
	if len(p.plan.Packages.Install)+len(p.plan.Packages.Names) > 0 { // their units come
		p.plan.Enable = append(p.plan.Enable, p.coming(states)...)
	}
	if p.NoStart || !service.Running(p.Root) {
		return nil
	}
	for _, role := range p.Stack.Services {
		if unit := p.unitOf(role, states); unit != "" && !p.staysOff(unit) && p.runs(unit, states) {
			p.plan.Start = append(p.plan.Start, unit)
		}
	}
	return nil
}

// unitOf is the unit that fills a role here: one that is there, or one that the
// source had and this import brings. "" for none.
func (p *planner) unitOf(role stack.Service, states []artifact.Service) string {
	for _, all := range [][]artifact.Service{states, p.snapshot.Config.Services} {
		for _, s := range all {
			if role.Has(s.Unit) {
				return s.Unit
			}
		}
	}
	return ""
}

// onSource returns the state of the unit that filled the same role on the source.
func (p *planner) onSource(unit string) (artifact.Service, bool) {
	all := p.snapshot.Config.Services
	if i := slices.IndexFunc(all, func(s artifact.Service) bool { return s.Unit == unit }); i >= 0 {
		return all[i], true
	}
	for _, role := range p.Stack.Services {
		if i := slices.IndexFunc(all, func(s artifact.Service) bool { return role.Has(s.Unit) }); i >= 0 && role.Has(unit) {
			return all[i], true
		}
	}
	return artifact.Service{}, false
}

// runs reports whether unit is to run here: it did on the source. Of one that the
// source did not have, or does not say, it is what it was before, in states.
func (p *planner) runs(unit string, states []artifact.Service) bool {
	i := slices.IndexFunc(states, func(s artifact.Service) bool { return s.Unit == unit })
	before := i >= 0 && isActive(states[i])
	was, known := p.onSource(unit)
	switch {
	case !known:
		return before
	case was.Active != "":
		return isActive(was)
	}
	return was.Enabled == service.Enabled || before && was.Enabled != service.Disabled && was.Enabled != service.Masked
}

// staysOff reports whether unit is kept from running on a standby.
func (p *planner) staysOff(unit string) bool {
	return p.Standby && slices.ContainsFunc(p.Stack.Services, func(s stack.Service) bool { return s.Has(unit) && !s.Both })
}

// wanted is the enablement unit is to have here, "" where it stays as it is.
func (p *planner) wanted(unit string) string {
	if p.staysOff(unit) {
		st, err := p.Root.Lstat("/etc/systemd/system/" + unit)
		if err == nil && st.IsRegular() {
			return service.Disabled // the mask would have to be in its place
		}
		return service.Masked
	}
	was, known := p.onSource(unit)
	if !p.sameRole(unit, unit) || !known || !canBe(was.Enabled) {
		return "" // firewalls are the host's
	}
	return was.Enabled
}

// canBe reports whether an enablement is one that can be chosen: static units and the
// like have none.
func canBe(enabled string) bool {
	return enabled == service.Enabled || enabled == service.Disabled || enabled == service.Masked
}

// enablement returns which of the units in states are to be enabled, disabled or
// masked.
func (p *planner) enablement(states []artifact.Service) []UnitChange {
	changes := []UnitChange{}
	for _, s := range states {
		if to := p.wanted(s.Unit); to != "" && to != s.Enabled && canBe(s.Enabled) {
			changes = append(changes, UnitChange{Unit: s.Unit, From: s.Enabled, To: to})
		}
	}
	return changes
}

// coming returns what becomes of units whose packages are not installed yet.
func (p *planner) coming(states []artifact.Service) (changes []UnitChange) {
	for _, was := range p.snapshot.Config.Services {
		here := slices.ContainsFunc(states, func(s artifact.Service) bool { return p.sameRole(s.Unit, was.Unit) })
		if to := p.wanted(was.Unit); !here && to != "" && to != service.Disabled {
			changes = append(changes, UnitChange{Unit: was.Unit, To: to})
		}
	}
	return changes
}

// sameRole reports whether two units fill one role of the stack.
func (p *planner) sameRole(a, b string) bool {
	return slices.ContainsFunc(p.Stack.Services, func(s stack.Service) bool { return s.Has(a) && s.Has(b) })
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
		return !slices.ContainsFunc(scripts.Guards, func(g stack.Service) bool { return g.Has(s.Unit) })
	})
}

// stopServices stops what runs now, last started first. The packages just installed
// may have started more than the plan saw.
func (a *applier) stopServices(ctx context.Context) error {
	units, err := activeUnits(ctx, a.Root, a.Runner, a.Stack)
	if err != nil {
		return err
	}
	for _, unit := range slices.Backward(units) {
		if err := service.Stop(ctx, a.Runner, unit); err != nil {
			return err
		}
	}
	return nil
}

// enableServices gives the units the enablement they had on the source, on a standby
// masks them. What only scripts of packages had enabled is disabled.
func (a *applier) enableServices(ctx context.Context) error {
	states, err := service.States(ctx, a.Root, a.Runner, roles(a.Stack.Services))
	if err != nil {
		return fmt.Errorf("services: %w", err)
	}
	changes := append(a.enablement(states), a.unmasked(states)...)
	for _, s := range states {
		if s.Enabled == service.Enabled && a.wanted(s.Unit) == "" && !a.belongs(s.Unit) {
			changes = append(changes, UnitChange{Unit: s.Unit, From: s.Enabled, To: service.Disabled})
		}
	}
	for _, c := range changes {
		if err := a.setEnablement(ctx, c.Unit, c.To); err != nil {
			return err
		}
		if c.From == service.Enabled {
			a.result.Disabled = append(a.result.Disabled, c.Unit)
		}
	}
	if len(changes) > 0 && service.Running(a.Root) {
		if err := service.Reload(ctx, a.Runner); err != nil {
			return err
		}
	}
	return a.placeFirstBoot(ctx)
}

// unmasked returns the units that were masked for a standby and that the source does
// not know: they become what they were before.
func (a *applier) unmasked(states []artifact.Service) (changes []UnitChange) {
	for _, s := range states {
		i := slices.IndexFunc(a.before, func(b artifact.Service) bool { return b.Unit == s.Unit && canBe(b.Enabled) })
		if _, known := a.onSource(s.Unit); known || i < 0 || a.staysOff(s.Unit) || s.Enabled != service.Masked || a.before[i].Enabled == service.Masked {
			continue
		}
		changes = append(changes, UnitChange{Unit: s.Unit, From: s.Enabled, To: a.before[i].Enabled})
	}
	return changes
}

// belongs reports whether unit is to start at boot here though the source does not
// say: it did before. What only scripts of packages enabled is not.
func (a *applier) belongs(unit string) bool {
	return !a.installed() || len(a.snapshot.Config.Services) == 0 ||
		slices.ContainsFunc(a.before, func(s artifact.Service) bool { return s.Unit == unit && isOn(s) })
}

// setEnablement makes and removes the links that enabling, disabling or masking unit
// takes, through the journal.
func (a *applier) setEnablement(ctx context.Context, unit, to string) error {
	if to == service.Masked { // so that it stays off when somebody lifts the mask
		if err := a.setEnablement(ctx, unit, service.Disabled); err != nil {
			return err
		}
	}
	add, remove, err := service.Enablement(a.Root, unit, to)
	if err != nil {
		return fmt.Errorf("unit %s: %w", unit, err)
	}
	for _, p := range remove {
		if err := a.removeIfThere(p); err != nil {
			return fmt.Errorf("unit %s: %w", unit, err)
		}
	}
	for _, l := range add {
		e := artifact.Entry{Type: artifact.TypeSymlink, Link: l.Target, Mode: 0o777, MTime: artifact.Time{Sec: a.Now.Unix()}}
		if err := a.putLink(ctx, l.Path, e); err != nil {
			return fmt.Errorf("unit %s: %w", unit, err)
		}
	}
	return nil
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
