package main

import (
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/xcrate/xcrate/restore"
)

// checked shows what the checks say, and ends with a code that tells it.
func (a *app) checked(plan *restore.Plan, o importOptions) error {
	var err error
	if o.json {
		err = a.printJSON(struct {
			Format   int               `json:"format"`
			Snapshot digest.Digest     `json:"snapshot"`
			Root     string            `json:"root"`
			Checks   []restore.Finding `json:"checks"`
		}{plan.Format, plan.Snapshot, plan.Root, plan.Findings})
	} else {
		err = a.print(func(p *printer) { p.allChecks(plan) })
	}
	switch {
	case err != nil:
		return err
	case len(plan.Blocked()) > 0:
		return exit(exitRefused)
	case len(plan.Warned()) > 0:
		return exit(exitWarnings)
	}
	return nil
}

// allChecks prints every check, and what they come to.
func (p *printer) allChecks(plan *restore.Plan) {
	p.line("%s", plan.Title)
	p.line("  onto    %s", plan.Root)
	p.line("\nchecks:")
	for _, f := range plan.Findings {
		p.finding(f)
	}
	blocked, warned := len(plan.Blocked()), len(plan.Warned())
	p.line("")
	switch {
	case blocked > 0:
		p.line("%s the import, %s. Nothing was changed.", stops(blocked), count(int64(warned), "warning", "warnings"))
	case warned > 0:
		p.line("Nothing stops the import; %s to read. Nothing was changed.", count(int64(warned), "warning", "warnings"))
	default:
		p.line("Nothing stops the import. Nothing was changed.")
	}
}

func stops(n int) string {
	if n == 1 {
		return "1 check stops"
	}
	return fmt.Sprintf("%d checks stop", n)
}

// findings prints those that are to be read before a plan.
func (p *printer) findings(all []restore.Finding) {
	heading := "\nchecks:"
	for _, f := range all {
		if f.Level != restore.Warn && f.Level != restore.Block {
			continue
		}
		if heading != "" {
			p.line("%s", heading)
			heading = ""
		}
		p.finding(f)
	}
}

// finding prints one, with what mends it and what goes on all the same.
func (p *printer) finding(f restore.Finding) {
	word := "warning"
	switch {
	case f.Level == restore.Block:
		word = "BLOCKED"
	case f.Level == restore.Pass:
		word = "ok     "
	case f.Level == restore.Skip:
		word = "skipped"
	case f.Allowed:
		word = "allowed"
	}
	p.wrap("  ", fmt.Sprintf("%s  %s: %s", word, f.Code, f.Message))
	if f.Remedy != "" {
		p.wrap("    ", "-> "+f.Remedy)
	}
	if f.Override != "" && f.Level == restore.Block {
		p.wrap("    ", "or go on all the same: "+f.Override)
	}
}
