package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/xcrate/xcrate/restore"
)

// maxPlan bounds the file of a plan.
const maxPlan = 64 << 20

// planFlags are those that a plan decides, so that they cannot stand beside one.
func planFlags() []string {
	return []string{
		"root", "only", "skip", "allow", "keep-repo", "standby", "no-start", "with-database", "db-engine", "db-restore", "remote-database", "dry-run", "check", "plan-out",
	}
}

// checkPlanFlags refuses flags that say the contrary of each other.
func checkPlanFlags(c *cobra.Command, o importOptions) error {
	switch {
	case o.check && o.dryRun:
		return usage(errors.New("--check beside --dry-run"), "--check shows the checks alone, --dry-run all of the plan")
	case o.planOut != "" && !o.check && !o.dryRun:
		return usage(errors.New("--plan-out without --dry-run"), "write the plan with --dry-run --plan-out FILE, then carry it out: --plan FILE")
	case o.plan == "":
		return nil
	}
	for _, name := range planFlags() {
		if c.Flags().Changed(name) {
			return usage(fmt.Errorf("--%s beside --plan", name), "the plan says all of it: make a new one with --dry-run --plan-out FILE")
		}
	}
	return nil
}

// writePlan makes file of plan, readable by its owner alone, durable. What was there
// before is replaced once it is written.
func writePlan(file string, plan *restore.Plan) (err error) {
	b, err := plan.Encode()
	if err != nil {
		return err
	}
	root, d, name, err := parentOf(file)
	if err != nil {
		return fmt.Errorf("plan file: %w", err)
	}
	defer func() { err = errors.Join(err, d.Close(), root.Close()) }()
	temp := ".xcrate-plan-" + rand.Text()
	f, err := d.Create(temp)
	if err != nil {
		return fmt.Errorf("plan file: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = d.Rename(temp, d, name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("plan file: %w", err), d.Remove(temp))
	}
	return d.Sync()
}

// readPlan reads what writePlan wrote.
func readPlan(file string) (*restore.Plan, error) {
	b, err := readFile(file, maxPlan)
	if err != nil {
		return nil, fmt.Errorf("plan file: %w", err)
	}
	plan, err := restore.DecodePlan(b)
	if err != nil {
		return nil, refusedPlan(fmt.Errorf("plan file %s: %w", file, err))
	}
	return plan, nil
}

// takePlan reads the plan that o names and takes its options over. A nil plan: none
// is named.
func (o *importOptions) takePlan(ro *restore.Options) (*restore.Plan, error) {
	if o.plan == "" {
		return nil, nil
	}
	plan, err := readPlan(o.plan)
	if err != nil {
		return nil, err
	}
	plan.Options.Set(ro)
	o.root = plan.Root
	return plan, nil
}

// refusedPlan ends with the code of a check, and says what to do.
func refusedPlan(err error) error {
	return &hinted{err: err, hint: "make a new plan, and read it: xcrate import SRC --dry-run --plan-out FILE", code: exitRefused}
}

// agreed wraps confirm so that what is done now is what plan says. Nil plan: there is
// none to compare with.
func agreed(plan *restore.Plan, confirm func(*restore.Plan) (bool, error)) func(*restore.Plan) (bool, error) {
	return func(now *restore.Plan) (bool, error) {
		if plan != nil {
			if err := plan.Differs(now); err != nil {
				return false, refusedPlan(err)
			}
		}
		return confirm(now)
	}
}

// planned writes the plan to the file that was asked for and shows it.
func (a *app) planned(ctx context.Context, plan *restore.Plan, o importOptions) error {
	if o.planOut != "" {
		if err := writePlan(o.planOut, plan); err != nil {
			return err
		}
	}
	if o.check {
		return a.checked(plan, o)
	}
	return a.dryRun(ctx, plan, o)
}
