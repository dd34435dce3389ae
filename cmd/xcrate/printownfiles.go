package main

import (
	"fmt"
	"strings"

	"github.com/xcrate/xcrate/restore"
)

// planOwnFiles prints what becomes of files that are the host's own as well as the
// snapshot's.
func (p *printer) planOwnFiles(plan *restore.Plan) {
	if len(plan.Merges)+len(plan.Conflicts) > 0 {
		p.line("")
	}
	for _, m := range plan.Merges {
		p.wrap("  ", fmt.Sprintf("merge    %s: %s", m.Path, strings.Join(m.Notes, "; ")))
	}
	for _, c := range plan.Conflicts {
		if c.KeptAs != "" {
			p.wrap("  ", fmt.Sprintf("replace  %s, which was changed here: kept as %s", c.Path, c.KeptAs))
			continue
		}
		p.wrap("  ", fmt.Sprintf("replace  %s, which was changed here: kept with what else is replaced", c.Path))
	}
}

// keptBeside names the copies of what was changed on the host and is replaced.
func (p *printer) keptBeside(all []restore.Conflict) {
	for _, c := range all {
		if c.KeptAs != "" {
			p.line("           %s, as it was here", c.KeptAs)
		}
	}
}

// accountName is an account to be made, with its number here.
func accountName(acc restore.Account) string {
	if acc.TakenBy != "" {
		return fmt.Sprintf("%s (%d, as %d is that of %s here)", acc.Name, acc.ID, acc.Account.ID, acc.TakenBy)
	}
	return fmt.Sprintf("%s (%d)", acc.Name, acc.ID)
}
