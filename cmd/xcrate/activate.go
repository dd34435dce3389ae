package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xcrate/xcrate/internal/stack"
	"github.com/xcrate/xcrate/restore"
)

type activateOptions struct {
	yes   bool
	json  bool
	allow []string
}

func newActivate(a *app) *cobra.Command {
	var o activateOptions
	cmd := &cobra.Command{
		Use:   "activate",
		Short: "Make a standby the management node",
		Long: `Make this machine, onto which a snapshot was imported with --standby, the
management node: its services are unmasked, enabled and started as they were on
the source, and asked whether they answer. Switch the old management node off
first.`,
		Example: `  xcrate activate`,
		Args:    args(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runActivate(cmd.Context(), a, o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	f.StringSliceVar(&o.allow, "allow", nil, "go on despite the check called `CODE`")
	f.BoolVar(&o.json, "json", false, "print what was done as JSON")
	return cmd
}

func runActivate(ctx context.Context, a *app, o activateOptions) error {
	ro := restore.Options{Runner: a.runner, Stack: stack.XCAT(), Now: a.now()}
	if err := allow(&ro, o.allow); err != nil {
		return err
	}
	return a.onRoot("/", ro, func(ro restore.Options) error {
		result, err := restore.Activate(ctx, ro, func(plan *restore.Activation) (bool, error) {
			return a.confirmActivation(ctx, plan, o)
		})
		ro.Progress.Done()
		if result == nil {
			return err
		}
		if o.json {
			err = errors.Join(err, a.printJSON(result))
		} else {
			err = errors.Join(err, a.print(func(p *printer) { p.report(result.Report) }))
		}
		if err == nil && !passed(result.Report) {
			return exit(exitWarnings)
		}
		return err
	})
}

func (a *app) confirmActivation(ctx context.Context, plan *restore.Activation, o activateOptions) (bool, error) {
	if !o.json {
		err := a.print(func(p *printer) {
			p.line("%s, a standby since %s", plan.Import.Title, plan.Import.Begun.UTC().Format("2006-01-02 15:04 UTC"))
			p.findings(plan.Checks)
			p.line("\nplan:")
			p.unitChanges(plan.Enable)
			p.wrap("  ", "start    "+strings.Join(plan.Start, ", "))
		})
		if err != nil {
			return false, err
		}
	}
	if blocked := plan.Blocked(); len(blocked) > 0 {
		return false, refused(blocked)
	}
	return a.goOn(ctx, "activate", o.yes, "")
}
