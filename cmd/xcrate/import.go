package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/hooks"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/restore"
)

// onRoot calls fn with what acts on root, a directory of this machine.
func (a *app) onRoot(root string, ro restore.Options, fn func(restore.Options) error) (err error) {
	if ro.Root, err = openRoot(root); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ro.Root.Close()) }()
	temp, remove, err := host.TempDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	p := a.progress()
	defer p.Done()
	ro.TempDir, ro.Progress = temp, p
	return advised(fn(ro), root)
}

func runImport(ctx context.Context, a *app, text string, o importOptions) (err error) {
	ro, err := o.restoreOptions(a)
	if err = cmp.Or(err, o.hooks.check("import")); err != nil {
		return err
	}
	agreedOn, err := o.takePlan(&ro)
	if err != nil {
		return err
	}
	s, err := a.openHere(ctx, text, o, "", ro.Choices)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	ro.Source = s.absolute()
	return a.onRoot(o.root, ro, func(ro restore.Options) error {
		if o.dryRun || o.check {
			plan, err := restore.NewPlan(ctx, s, s.Snapshot, ro)
			ro.Progress.Done()
			if err != nil {
				return err
			}
			return a.planned(ctx, plan, o)
		}
		h := a.aroundImport(s, ro.Root, o)
		return a.importing(ctx, ro, o, h, func(confirm func(*restore.Plan) (bool, error)) (*restore.Result, error) {
			return restore.Apply(ctx, s, s.Snapshot, ro, agreed(agreedOn, confirm))
		})
	})
}

// importing runs an import with its question, hooks and report.
func (a *app) importing(ctx context.Context, ro restore.Options, o importOptions, h *importHooks, run func(func(*restore.Plan) (bool, error)) (*restore.Result, error)) error {
	var seen *restore.Plan
	result, err := run(func(plan *restore.Plan) (bool, error) {
		ro.Progress.Done()
		seen = plan
		ok, err := a.confirm(ctx, plan, o)
		if err == nil && ok && !plan.Empty() {
			err = h.beforeImport(ctx, plan)
		}
		return ok, err
	})
	ro.Progress.Done()
	warn := h.afterImport(ctx, result, err)
	if err != nil && result == nil && (!o.json || seen == nil) {
		return err
	}
	return errors.Join(err, a.imported(seen, result, h.done, o), warn)
}

// openHere opens the snapshot that reference text names, where an import can read it
// at will. If begun is not "", an import of the snapshot with that digest was begun: it has
// passed the policy, and no other one is read.
func (a *app) openHere(ctx context.Context, text string, o importOptions, begun digest.Digest, choices restore.Choices) (*source, error) {
	s, err := a.locate(ctx, text, o.source)
	if err != nil {
		return nil, err
	}
	switch begun {
	case "":
		err = a.policy(ctx, s, o.trust, !o.dryRun && !o.check, o.yes)
	case s.desc.Digest:
	default:
		err = fmt.Errorf("snapshot: digest %s, the import was of %s", s.desc.Digest, begun)
	}
	if err == nil {
		err = s.load(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	// Whether it can be opened does not wait until all of it is here.
	opened := *s
	if err := a.unseal(ctx, &opened, o.opening, choices.Wants); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if s.remote == nil && len(s.layout.Missing()) == 0 {
		return &opened, nil
	}
	if s, err = a.here(ctx, s, o.cacheDir); err != nil {
		return nil, err
	}
	if opened.key == nil {
		return s, nil
	}
	return s, s.open(opened.key)
}

// runResume finishes an import that was interrupted. What it was told then counts.
func runResume(cmd *cobra.Command, a *app, args []string, o importOptions) error {
	ctx := cmd.Context()
	allowed := append([]string{"resume", "root", "yes", "json", "show-files", "quiet", "no-hooks", "hook-timeout"}, append(o.source.names(), o.opening.names()...)...)
	var other string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if !slices.Contains(allowed, f.Name) {
			other = f.Name
		}
	})
	if other != "" {
		return usage(fmt.Errorf("--%s beside --resume", other), "an import goes on as it was begun; to begin another: xcrate rollback first")
	}
	ro, err := o.restoreOptions(a)
	if err = cmp.Or(err, o.hooks.check("import")); err != nil {
		return err
	}
	return a.onRoot(o.root, ro, func(ro restore.Options) error {
		h := a.aroundResume(ro.Root, o)
		h.begun = true // those before were run when it was begun
		open := func(ctx context.Context, one restore.Import) (content.Fetcher, *artifact.Snapshot, func() error, error) {
			from := one.Source
			if len(args) > 0 {
				from = args[0]
			}
			s, err := a.openHere(ctx, from, o, one.Snapshot, one.Choices)
			if err != nil {
				return nil, nil, nil, hint(err, "the import needs its snapshot once more: bring it back there, or say where it\n        is: xcrate import --resume SRC%s", atRoot(o.root))
			}
			h.about.Source, h.about.Snapshot = s.absolute(), s.Descriptor.Digest.String()
			return s, s.Snapshot, s.Close, nil
		}
		return a.importing(ctx, ro, o, h, func(confirm func(*restore.Plan) (bool, error)) (*restore.Result, error) {
			return restore.Resume(ctx, ro, open, confirm)
		})
	})
}

// aroundResume is aroundImport for an import whose snapshot is opened later, if at all.
func (a *app) aroundResume(root *host.Root, o importOptions) *importHooks {
	return &importHooks{
		around: &around{app: a, options: o.hooks, done: []hooks.Result{}, pre: hooks.PreImport, post: hooks.PostImport},
		root:   root, about: hooks.Document{Root: root.Dir()},
	}
}

// atRoot is the flag that names root, where it has to be given.
func atRoot(root string) string {
	if root == "/" {
		return ""
	}
	return " --root " + root
}

// advised adds to err what to type about the import it is about.
func advised(err error, root string) error {
	at := atRoot(root)
	switch {
	case errors.Is(err, restore.ErrUnfinished), errors.Is(err, restore.ErrHalfway):
		return hint(err, "finish it: xcrate import --resume%s\n        or take it back: xcrate rollback%s", at, at)
	case errors.Is(err, restore.ErrNoImport):
		return hint(err, "see which there are: xcrate imports%s", at)
	}
	return err
}

func (a *app) dryRun(ctx context.Context, plan *restore.Plan, o importOptions) error {
	var err error
	if o.json {
		err = a.printJSON(plan)
	} else {
		err = a.printPlan(ctx, plan, o.showFiles)
	}
	if err == nil && len(plan.Blocked()) > 0 {
		return exit(exitRefused)
	}
	return err
}
