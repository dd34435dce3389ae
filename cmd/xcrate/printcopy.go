package main

import (
	"strings"

	"github.com/xcrate/xcrate/layout"
)

// copied says what a copy did.
func (a *app) copied(s *source, r *copyResult, asJSON bool) error {
	if asJSON {
		return a.printJSON(r)
	}
	return a.print(func(p *printer) {
		p.line("%s", s.Config.Title())
		p.line("  written to  %s", r.Place)
		p.line("  tags        %s", strings.Join(r.Tags, ", "))
		p.line("  digest      %s", r.Digest)
		if len(r.Volumes) > 0 { // they hold more than the snapshot
			p.line("  size        %s", size(r.Size))
		} else {
			p.line("  size        %s, %s of it new there", size(r.Size), size(r.Written))
		}
		p.packed(r.Volumes)
	})
}

// packed lists the volumes that a snapshot was written to.
func (p *printer) packed(all []layout.Packed) {
	if len(all) == 0 {
		return
	}
	p.line("")
	rows := [][]string{{"VOLUME", "LABEL", "SIZE"}}
	for _, v := range all {
		rows = append(rows, []string{v.Path, v.Label, size(v.Size)})
	}
	p.table(rows)
}
