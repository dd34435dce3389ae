package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/xcrate/xcrate/internal/stack"
	"github.com/xcrate/xcrate/restore"
)

type rollbackOptions struct {
	root string
	yes  bool
	json bool
}

func newRollback(a *app) *cobra.Command {
	var o rollbackOptions
	cmd := &cobra.Command{
		Use:   "rollback [ID]",
		Short: "Take back an import",
		Long: `Put back what an import changed: files, attributes, packages, database,
accounts and services are what they were before. Without ID it is the latest
import, finished or interrupted; an older one comes after those that followed
it. What was changed since is named before you are asked, and a copy is kept.`,
		Example: `  xcrate rollback                    # the latest import: what, question, done
  xcrate rollback --root /mnt/new    # of a mounted disk
  xcrate imports                     # which there are`,
		Args: func(c *cobra.Command, given []string) error {
			if len(given) == 0 {
				return nil
			}
			return args("ID")(c, given)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			id := ""
			if len(args) > 0 {
				id = args[0]
			}
			return runRollback(cmd.Context(), a, id, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.root, "root", "/", "of the import into this `DIR`, a mounted disk")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	f.BoolVar(&o.json, "json", false, "print what was done as JSON")
	return cmd
}

func runRollback(ctx context.Context, a *app, id string, o rollbackOptions) error {
	return a.onRoot(o.root, restore.Options{Runner: a.runner, Stack: stack.XCAT(), Now: a.now()}, func(ro restore.Options) error {
		done, err := restore.RollBack(ctx, ro, id, func(b *restore.Rollback) (bool, error) {
			ro.Progress.Done()
			return a.confirmRollback(ctx, b, o)
		})
		ro.Progress.Done()
		if err != nil || done == nil {
			return err
		}
		if o.json {
			err = a.printJSON(done)
		} else {
			err = a.print(func(p *printer) { p.rolledBack(done) })
		}
		if err == nil && len(done.Left) > 0 {
			return exit(exitWarnings)
		}
		return err
	})
}

func (a *app) confirmRollback(ctx context.Context, b *restore.Rollback, o rollbackOptions) (bool, error) {
	if !o.json {
		if err := a.print(func(p *printer) { p.rollback(b) }); err != nil {
			return false, err
		}
	}
	return a.goOn(ctx, "rollback", o.yes, "")
}

// rollback prints what taking back an import would do.
func (p *printer) rollback(b *restore.Rollback) {
	one := b.Import
	p.line("%s", cmp.Or(one.Title, "an import that had not begun"))
	p.line("  import   %s, %s", one.ID, one.Phase)
	p.line("  onto     %s", b.Root)
	p.line("\nplan:")
	p.line("  put back %s as they were, remove %s that came",
		count(int64(b.PutBack), "file", "files"), humanize.Comma(int64(b.Remove)))
	if b.Packages {
		p.line("  packages those that came are removed, those that were replaced come back")
	}
	if b.Tables {
		p.line("  database what the server held before")
	}
	if len(b.Services) > 0 {
		p.wrap("  ", "start    "+strings.Join(b.Services, ", "))
	}
	if b.SinceCount == 0 {
		return
	}
	p.line("\nchanged since the import, and lost here but for a copy in\n%s:", b.Kept)
	for _, path := range b.Since {
		p.line("  %s", path)
	}
	if more := b.SinceCount - len(b.Since); more > 0 {
		p.line("  and %s more", humanize.Comma(int64(more)))
	}
}

func (p *printer) rolledBack(b *restore.Rollback) {
	p.line("\nDone: import %s is taken back.", b.Import.ID)
	if b.Kept != "" {
		p.line("  kept     what was changed since: %s", b.Kept)
	}
	for _, left := range b.Left {
		p.wrap("  ", "but for  "+fmt.Sprint(left))
	}
}
