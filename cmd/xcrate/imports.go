package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/xcrate/xcrate/restore"
)

type importsOptions struct {
	root string
	json bool
}

func newImports(a *app) *cobra.Command {
	var o importsOptions
	cmd := &cobra.Command{
		Use:   "imports",
		Short: "List the imports into this machine",
		Long: `List the imports into this machine, the newest first: what was put there and
when, whether it was finished, and what the originals take that it replaced.`,
		Example: `  xcrate imports
  xcrate imports clean 20261122T081500Z-3f1c9a0b7d42   # free the originals`,
		Args: args(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runImports(cmd.Context(), a, o) },
	}
	f := cmd.PersistentFlags()
	f.StringVar(&o.root, "root", "/", "of the imports into this `DIR`, a mounted disk")
	f.BoolVar(&o.json, "json", false, "print as JSON")
	clean := &cobra.Command{
		Use:   "clean ID",
		Short: "Free what an import replaced",
		Long: `Remove the originals of what an import replaced. It cannot be rolled back any
more; its report stays.`,
		Example: `  xcrate imports clean 20261122T081500Z-3f1c9a0b7d42`,
		Args:    args("ID"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runClean(cmd.Context(), a, args[0], o) },
	}
	cmd.AddCommand(clean)
	return cmd
}

func runImports(_ context.Context, a *app, o importsOptions) error {
	root, err := openRoot(o.root)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	all, err := restore.Imports(root)
	if err != nil {
		return err
	}
	if o.json {
		return a.printJSON(struct {
			Imports []restore.Import `json:"imports"`
		}{all})
	}
	return a.print(func(p *printer) { p.imports(all, o.root) })
}

func (p *printer) imports(all []restore.Import, root string) {
	if len(all) == 0 {
		p.line("no imports")
		return
	}
	rows := [][]string{{"ID", "STATE", "KEPT", "SNAPSHOT TAKEN"}}
	for _, one := range all {
		rows = append(rows, []string{one.ID, string(one.Phase), size(one.Size), one.Created.UTC().Format("2006-01-02 15:04")})
	}
	p.table(rows)
	for _, one := range all {
		switch one.Phase {
		case restore.PhaseInterrupted, restore.PhaseStarting:
			p.line("\n%s was interrupted: finish it with xcrate import --resume%s,", one.ID, atRoot(root))
			p.line("or take it back with xcrate rollback%s", atRoot(root))
		case restore.PhaseWaiting:
			p.line("\n%s is finished by the first boot of %s", one.ID, root)
		case restore.PhaseDone, restore.PhaseCleaned:
		}
	}
}

func runClean(ctx context.Context, a *app, id string, o importsOptions) error {
	return a.onRoot(o.root, restore.Options{}, func(ro restore.Options) error {
		freed, err := restore.Clean(ctx, ro.Root, id)
		if err != nil {
			return err
		}
		if o.json {
			return a.printJSON(struct {
				ID    string `json:"id"`
				Freed int64  `json:"freed"`
			}{id, freed})
		}
		return a.print(func(p *printer) { p.line("%s freed; import %s cannot be rolled back any more", size(freed), id) })
	})
}
