package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/xcrate/xcrate/internal/accept"
	"github.com/xcrate/xcrate/internal/hooks"
	"github.com/xcrate/xcrate/restore"
)

// imported reports what was done. No result: there was nothing to do, or the
// answer was no.
func (a *app) imported(plan *restore.Plan, result *restore.Result, ran []hooks.Result, o importOptions) error {
	var err error
	switch {
	case o.json:
		err = a.printJSON(struct {
			Plan   *restore.Plan   `json:"plan"`
			Result *restore.Result `json:"result"`
			Hooks  []hooks.Result  `json:"hooks"`
		}{plan, result, ran})
	case result != nil:
		err = a.print(func(p *printer) {
			p.imported(result, o.root)
			p.report(result.Report)
		})
	}
	if err == nil && result != nil && (len(result.Lost) > 0 || plan != nil && warned(plan) || !passed(result.Report)) {
		return exit(exitWarnings)
	}
	return err
}

func warned(plan *restore.Plan) bool { return len(plan.Warned()) > 0 }

func passed(r *restore.Report) bool {
	return r == nil || r.Verdict != accept.Warn && r.Verdict != accept.Fail
}

// report prints how an import came out.
func (p *printer) report(r *restore.Report) {
	if r != nil {
		p.line("\n%s", strings.TrimSuffix(r.Text(), "\n"))
	}
}

// imported says what an import did, and how it came out.
func (p *printer) imported(r *restore.Result, root string) {
	p.line("\nDone: import %s.", r.ID)
	if r.Plan != nil {
		var added, replaced int
		for _, f := range r.Plan.Files {
			added += f.New
			replaced += f.Changed
		}
		p.line("  files    %s added, %s replaced", humanize.Comma(int64(added)), humanize.Comma(int64(replaced)))
	}
	p.packagesDone(r.Packages)
	if r.Tables > 0 {
		p.line("  database %s read back, every row equal", count(int64(r.Tables), "table", "tables"))
	}
	for _, step := range slices.Concat(r.SetUp, r.Prepared) {
		p.wrap("           ", step)
	}
	if len(r.Settings) > 0 {
		p.wrap("  ", "kept     as they were here, though packages changed them: "+strings.Join(r.Settings, ", "))
	}
	if len(r.Disabled) > 0 {
		p.wrap("  ", "disabled "+strings.Join(r.Disabled, ", "))
	}
	p.line("  kept     what was replaced: %s", r.Kept)
	if r.Plan != nil {
		p.keptBeside(r.Plan.Conflicts)
	}
	p.line("           to take it all back: xcrate rollback%s", atRoot(root))
	if len(r.Lost) > 0 {
		p.line("\nextended attributes their filesystem did not take:")
		for _, path := range slices.Sorted(maps.Keys(r.Lost)) {
			p.line("  %s: %s", path, strings.Join(r.Lost[path], ", "))
		}
	}
}

// packagesDone names what came or went beside the packages of the snapshot.
func (p *printer) packagesDone(r restore.PackageResult) {
	if r.Installed > 0 {
		p.line("  packages %d installed, in the versions of the snapshot", r.Installed)
	}
	for _, list := range []struct {
		what string
		all  []string
	}{{"came along:", r.Extra}, {"replaced:  ", r.Replaced}, {"removed:   ", r.Gone}} {
		for _, pkg := range list.all {
			p.line("           %s %s", list.what, pkg)
		}
	}
}
