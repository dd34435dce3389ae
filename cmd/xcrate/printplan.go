package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/restore"
)

// printPlan prints an import's plan, with every file if showFiles is set.
func (a *app) printPlan(ctx context.Context, plan *restore.Plan, showFiles bool) error {
	var listed error
	err := a.print(func(p *printer) { listed = p.plan(ctx, plan, showFiles) })
	return errors.Join(listed, err)
}

// plan prints an import's plan: what stands in the way first, then what would
// be done, then what is left to the administrator. An error is about the
// snapshot, which is read again for the files.
func (p *printer) plan(ctx context.Context, plan *restore.Plan, showFiles bool) error {
	p.line("%s", plan.Title)
	p.line("  taken   %s", plan.Created.UTC().Format("2006-01-02 15:04:05 UTC"))
	p.line("  digest  %s", plan.Snapshot)
	p.line("  onto    %s", plan.Root)
	p.findings(plan.Findings)
	if plan.Empty() {
		p.line("\nNothing to do: everything is as the snapshot has it.")
		return nil
	}
	p.line("\nplan:")
	p.planPackages(plan.Packages)
	p.planAccounts(plan.Accounts)
	p.planServices(plan)
	for _, path := range plan.Remove {
		p.line("  remove   %s (not of this identity)", path)
	}
	p.planFiles(plan.Files, showFiles)
	p.planOwnFiles(plan)
	p.planDatabase(plan.Database)
	p.line("")
	for _, s := range plan.Space {
		p.line("  space    %s: %s needed, %s free", s.Mount, size(s.Need), size(s.Free))
	}
	p.line("  What is replaced or removed is kept in %s.", restore.StateDir)
	if showFiles {
		p.line("\nfiles:")
		err := plan.Changes(ctx, func(c restore.Change) error {
			p.line("  %-8s %s", c.State, c.Path)
			if c.Reason != "" {
				p.line("           (%s)", c.Reason)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	heading := "\nafterwards, by hand:"
	for _, l := range plan.ToDo {
		if slices.ContainsFunc(plan.Commands, func(c restore.StackCommand) bool { return c.Command == l.Restore && runs(plan, c) }) {
			continue
		}
		if heading != "" {
			p.line("%s", heading)
			heading = ""
		}
		p.line("  %s", l.Restore)
	}
	return nil
}

// runs reports whether an import on this very machine runs c.
func runs(plan *restore.Plan, c restore.StackCommand) bool {
	return !c.Advice && plan.Root == "/" && !plan.Standby && !plan.Options.NoStart
}

func (p *printer) planPackages(plan restore.PackagePlan) {
	if len(plan.Install) == 0 && plan.Installed > 0 {
		p.line("  keep     %s, installed already", count(int64(plan.Installed), "package", "packages"))
	}
	if len(plan.Install) > 0 {
		checked := "signatures are checked"
		switch plan.Signed {
		case len(plan.Install):
		case 0:
			checked = "not signed: the snapshot's digests vouch"
		default:
			checked = fmt.Sprintf("%d of them signed", plan.Signed)
		}
		p.line("  install  %s with %s (%s):", count(int64(len(plan.Install)), "package", "packages"), plan.Manager, checked)
	}
	instead := map[string]string{}
	for _, r := range plan.Replace {
		instead[r.To] = r.From
	}
	for _, pkg := range plan.Install {
		p.line("             %s", pkg.NEVRA())
		if old := instead[pkg.NEVRA()]; old != "" {
			p.line("               in place of %s", old)
		}
	}
	if len(plan.Names) > 0 {
		p.wrap("  ", "install  of the distro, from this host's repositories: "+strings.Join(plan.Names, ", "))
	}
	if plan.Definition != "" && plan.Keep {
		p.line("  keep     the repository as %s", plan.Definition)
	}
}

func (p *printer) planServices(plan *restore.Plan) {
	if plan.Standby {
		p.line("  standby  what the packages start or enable is stopped and masked too")
	}
	if len(plan.Services) > 0 {
		p.wrap("  ", "stop     "+strings.Join(plan.Services, ", "))
	}
	p.unitChanges(plan.Enable)
	if len(plan.Start) > 0 {
		p.wrap("  ", "start    "+strings.Join(plan.Start, ", "))
	}
	var off []string
	for _, unit := range plan.Services {
		if !slices.Contains(plan.Start, unit) {
			off = append(off, unit)
		}
	}
	if len(off) > 0 {
		p.wrap("  ", "leave    stopped: "+strings.Join(off, ", "))
	}
	for _, c := range plan.Commands {
		if runs(plan, c) {
			p.wrap("  ", "run      "+c.Command+": "+c.Why)
		}
	}
}

// unitChanges names the units that are enabled, disabled or masked.
func (p *printer) unitChanges(all []restore.UnitChange) {
	verbs := map[string]string{"enabled": "enable", "disabled": "disable", "masked": "mask"}
	for _, to := range []string{"enabled", "disabled", "masked"} {
		var units []string
		for _, c := range all {
			if c.To == to {
				units = append(units, c.Unit)
			}
		}
		if len(units) > 0 {
			p.wrap("  ", fmt.Sprintf("%-8s %s", verbs[to], strings.Join(units, ", ")))
		}
	}
}

// planAccounts names what is added to passwd and group, with ids.
func (p *printer) planAccounts(all []restore.Account) {
	for _, kind := range []string{"group", "user"} {
		var names []string
		for _, acc := range all {
			if acc.Type == kind {
				names = append(names, accountName(acc))
			}
		}
		if len(names) > 0 {
			p.wrap("  ", fmt.Sprintf("make     %ss: %s", kind, strings.Join(names, ", ")))
		}
	}
}

func (p *printer) planFiles(files []restore.FilePlan, showFiles bool) {
	rows := [][]string{{"  KIND", "ADD", "REPLACE", "SAME", "KEEP", "WRITE"}}
	for _, f := range files {
		rows = append(rows, []string{
			"  " + string(f.Kind), humanize.Comma(int64(f.New)), humanize.Comma(int64(f.Changed)),
			humanize.Comma(int64(f.Same)), humanize.Comma(int64(f.Kept)), size(f.Bytes),
		})
	}
	if len(rows) > 1 {
		p.line("")
		p.table(rows)
	}
	if len(rows) > 1 && !showFiles {
		p.line("    (--show-files names each)")
	}
	for _, f := range files {
		if f.Beside {
			p.line("    %s: beside what is there, each as NAME%s", f.Kind, restore.BesideSuffix)
		}
	}
}

func (p *printer) planDatabase(d restore.DatabasePlan) {
	if d.Engine == "" {
		return
	}
	p.line("")
	for _, step := range d.SetUp {
		p.wrap("  ", "set up   "+step)
	}
	for _, note := range d.Notes {
		p.wrap("  ", "note     "+note)
	}
	if d.From != "" {
		p.line("  change   the database from %s to %s", d.From, d.Engine)
	}
	var rows int64
	for _, t := range d.Restore {
		rows += t.Rows
	}
	where := d.Dir
	if d.Server != "" {
		where = d.Server
	}
	by := ", and read them back"
	if d.ByStack {
		by = " by restorexCATdb, and compare them"
	}
	if len(d.Restore) > 0 {
		p.wrap("  ", fmt.Sprintf("restore  %s with %s in %s (%s)%s",
			count(int64(len(d.Restore)), "table", "tables"), count(rows, "row", "rows"), where, d.Engine, by))
	}
	if d.Same > 0 {
		p.line("  keep     %s, equal row for row", count(int64(d.Same), "table", "tables"))
	}
	if len(d.Keep) > 0 {
		p.wrap("  ", "keep     tables the snapshot leaves out: "+strings.Join(d.Keep, ", "))
	}
	switch {
	case len(d.Remove) > 0 && d.Server != "":
		p.wrap("  ", "empty    tables the snapshot does not have: "+strings.Join(d.Remove, ", "))
	case len(d.Remove) > 0:
		p.wrap("  ", "remove   tables the snapshot does not have: "+strings.Join(d.Remove, ", "))
	}
	if len(d.Stale) > 0 {
		p.wrap("  ", "remove   SQLite tables that nothing reads then: "+strings.Join(d.Stale, ", "))
	}
	if d.Cfgloc != "" {
		p.line("  %-8s %s", d.Cfgloc, database.Cfgloc)
	}
}
