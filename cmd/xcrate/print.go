package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/layers"
)

// printer gathers what a verb says to people; it is written in one go.
type printer struct{ buf bytes.Buffer }

// print lets fn fill a printer and writes it to standard output. Names from a
// snapshot are escaped: they must not act on the terminal.
func (a *app) print(fn func(*printer)) error {
	var p printer
	fn(&p)
	_, err := fmt.Fprint(a.out, escape(p.buf.String()))
	return err
}

func (p *printer) line(format string, args ...any) {
	fmt.Fprintf(&p.buf, format, args...)
	p.buf.WriteByte('\n')
}

// table prints rows in columns.
func (p *printer) table(rows [][]string) {
	w := tabwriter.NewWriter(&p.buf, 0, 8, 2, ' ', 0)
	for _, row := range rows {
		_, _ = fmt.Fprintf(w, "  %s\n", strings.Join(row, "\t"))
	}
	_ = w.Flush()
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(n) + " " + many
}

// kinds prints one line per kind of the snapshot.
func (p *printer) kinds(c artifact.Config) {
	rows := [][]string{{"KIND", "ENTRIES", "SIZE", "STORED"}}
	for _, k := range c.Kinds {
		rows = append(rows, []string{string(k.Kind), humanize.Comma(k.Entries), size(k.Bytes), size(k.Stored)})
	}
	p.table(rows)
}

// places prints where packages were found.
func (p *printer) places(all []layers.Place) {
	if len(all) == 0 {
		return
	}
	p.line("")
	rows := [][]string{{"PACKAGES", "FROM"}}
	for _, place := range all {
		rows = append(rows, []string{humanize.Comma(int64(place.Packages)), place.Where})
	}
	p.table(rows)
}

// leftOut prints what is not in a snapshot: what has to come back first.
func (p *printer) leftOut(all []artifact.LeftOut) {
	p.leftOutStack(all)
	var system, rest []string
	for _, l := range all {
		switch {
		case l.System && l.Restore != "":
			system = append(system, l.Path+": "+l.Restore)
		case l.Restore == "":
			rest = append(rest, describeLeftOut(l))
		}
	}
	p.list("left out because it belongs to the base system; mind it on a new host:", system)
	p.list("left out, nothing to do:", rest)
}

// leftOutStack prints what the stack will miss, each with its way back.
func (p *printer) leftOutStack(all []artifact.LeftOut) {
	heading := "\nleft out, and what brings it back:"
	for _, l := range all {
		if l.Restore == "" || l.System {
			continue
		}
		if heading != "" {
			p.line("%s", heading)
			heading = ""
		}
		p.wrap("  ", describeLeftOut(l))
		p.line("      %s", l.Restore) // a command is not wrapped: it is to be copied
	}
}

// list prints lines below a heading, nothing if there are none.
func (p *printer) list(heading string, lines []string) {
	if len(lines) == 0 {
		return
	}
	p.line("\n%s", heading)
	for _, l := range lines {
		p.wrap("  ", l)
	}
}

// width is what a line of prose may take on a terminal.
const width = 80

// wrap prints text in lines of at most width, the first after indent, the
// others two columns further in. A word that is longer stands alone.
func (p *printer) wrap(indent, text string) {
	if text, more, ok := strings.Cut(text, "\n"); ok { // of a list, further in
		p.wrap(indent, text)
		for line := range strings.SplitSeq(more, "\n") {
			p.wrap(indent+"  ", line)
		}
		return
	}
	line := indent
	for i, word := range strings.Split(text, " ") {
		if i > 0 && len(line)+1+len(word) > width {
			p.line("%s", line)
			line = indent + "  " + word
			continue
		}
		if i > 0 {
			line += " "
		}
		line += word
	}
	p.line("%s", line)
}

func describeLeftOut(l artifact.LeftOut) string {
	s := l.Path
	if l.What != "" {
		s += ": " + l.What
	}
	if l.Size > 0 {
		s += ", " + size(l.Size)
	}
	if l.Restore == "" && l.Reason != "" {
		s += " (" + l.Reason + ")"
	}
	return s
}

func (p *printer) warnings(c artifact.Config) {
	p.list("warnings:", c.Warnings)
	p.list("installed here, found nowhere, and not in the snapshot:", c.MissingPackages)
	p.list("could not be read, and are not in the snapshot:", c.Unreadable)
	p.list("changed while they were read, and stored as they were at that moment:", c.Changed)
}

func (p *printer) exported(s *exported) {
	var stored int64
	for _, k := range s.Snapshot.Kinds {
		stored += k.Stored
	}
	p.line("%s", s.Snapshot.Title())
	p.line("  written to  %s", s.Place)
	p.line("  tags        %s", strings.Join(s.Tags, ", "))
	p.line("  digest      %s", s.Digest)
	layers := s.Layers
	if s.Tool > 0 {
		layers--
	}
	p.line("  stored      %s in %d layers", size(stored), layers)
	if s.Tool > 0 {
		p.line("  program     %s, started by RESTORE.sh", size(s.Tool))
	}
	if secrets := s.Snapshot.Secrets; secrets != nil {
		p.line("  secrets     %s", inWords(secrets))
	}
	if s.Signed != "" {
		p.line("  signed      with the key %s", s.Signed)
	}
	if s.Reused > 0 {
		p.line("  unchanged   %s in %d of them, not read again", size(s.ReusedBytes), s.Reused)
	}
	p.packed(s.Volumes)
	p.line("")
	p.kinds(s.Snapshot)
	p.places(s.Places)
	p.leftOutStack(s.Snapshot.LeftOut)
	p.logs(s.Snapshot.Database.LeftOut)
	p.line("")
	p.wrap("", fmt.Sprintf("All %s left out, with the reason: xcrate inspect %s",
		count(int64(len(s.Snapshot.LeftOut)), "path that was", "paths that were"), s.Place))
	p.warnings(s.Snapshot)
	p.line("\nnext: xcrate verify %s:%s", s.Place, s.Tags[0])
}

// logs names the tables that were left out and had something in them.
func (p *printer) logs(left []artifact.TableLeftOut) {
	var names []string
	for _, l := range left {
		if l.Rows > 0 {
			names = append(names, fmt.Sprintf("%s (%s)", l.Name, count(l.Rows, "row", "rows")))
		}
	}
	if len(names) > 0 {
		p.line("")
		p.wrap("", "Tables that were left out, --with-logs takes them: "+strings.Join(names, ", "))
	}
}

// inspection is what inspect prints as JSON.
type inspection struct {
	Reference string          `json:"reference"`
	Digest    string          `json:"digest"`
	Size      int64           `json:"size"`
	Manifest  any             `json:"manifest"`
	Config    artifact.Config `json:"config"`
}

func inspected(s *source) inspection {
	return inspection{s.place.String(), s.Descriptor.Digest.String(), s.Size(), s.Manifest, s.Config}
}

// database says what is to be known of the database beside its size.
func (p *printer) database(d artifact.Database) {
	if s := d.Server; s != nil {
		where := cmp.Or(s.Host, "the local socket")
		if s.Remote {
			where += ", another machine"
		}
		p.line("            %s of user %s on %s, server %s", s.Name, s.User, where, cmp.Or(s.Version, "of an unknown version"))
	}
	for _, l := range d.LeftOut {
		p.line("            without %s (%s): %s", l.Name, count(l.Rows, "row", "rows"), l.Reason)
	}
	if len(d.Skipped) > 0 {
		p.wrap("            ", "with "+strings.Join(d.Skipped, ", ")+", which site.skiptables keeps out of xCAT's own dumps")
	}
}

func (p *printer) inspected(s *source) {
	c := s.Config
	p.line("%s", c.Title())
	p.line("  digest    %s", s.Descriptor.Digest)
	p.line("  created   %s by %s", c.Created.UTC().Format("2006-01-02 15:04:05 UTC"), c.Tool)
	p.line("  host      %s", cmp.Or(c.Host.FQDN, c.Host.Name))
	p.line("  distro    %s", cmp.Or(c.Host.Distro.Name, c.Host.Distro.ID))
	p.line("  size      %s in %d layers", size(s.Size()), len(s.Manifest.Layers))
	p.secrets(c.Secrets)
	p.line("")
	p.kinds(c)
	var rows int64
	for _, t := range c.Database.Tables {
		rows += t.Rows
	}
	install := 0
	signed := map[string]int{}
	for _, pkg := range c.Packages {
		if pkg.Install {
			install++
		}
		signed[pkg.Signature]++
	}
	p.line("\n  database  %s, %s, %s", c.Database.Engine,
		count(int64(len(c.Database.Tables)), "table", "tables"), count(rows, "row", "rows"))
	p.database(c.Database)
	p.line("  packages  %d, of which an import installs %d", len(c.Packages), install)
	for _, state := range slices.Sorted(maps.Keys(signed)) {
		if state != "" { // of a snapshot that is older than the check
			p.line("            signature: %s: %d", state, signed[state])
		}
	}
	if n := len(c.PackageKeys); n > 0 {
		p.line("            %s that signed them", count(int64(n), "key", "keys"))
	}
	var distro []string
	for _, pkg := range c.DistroPackages {
		distro = append(distro, pkg.NEVRA())
	}
	p.list("of the distro, not in the snapshot; an import installs them by name:", distro)
	if len(c.Modified) > 0 {
		p.line("\nnot as their packages had them (letters as in rpm -V):")
		table := [][]string{}
		for _, m := range c.Modified {
			table = append(table, []string{m.What, m.Path, m.Package})
		}
		p.table(table)
	}
	if len(c.Services) > 0 {
		p.line("\nservices on the source:")
		table := [][]string{}
		for _, svc := range c.Services {
			table = append(table, []string{svc.Unit, svc.Enabled, svc.Active})
		}
		p.table(table)
	}
	for _, l := range c.Links {
		p.line("\n%s was a symlink to %s; its contents are stored as %s", l.Path, l.Target, l.Path)
	}
	p.leftOut(c.LeftOut)
	p.warnings(c)
}

func (p *printer) listed(place string, list []listed) {
	if len(list) == 0 {
		p.line("no snapshots in %s", place)
		return
	}
	rows := [][]string{{"TAG", "CREATED", "HOST", "DISTRO", "STACK", "SIZE", "DIGEST"}}
	for _, l := range list {
		tags := l.Tags
		if len(tags) == 0 {
			tags = []string{"-"}
		}
		short := strings.TrimPrefix(l.Digest, "sha256:")
		short = short[:min(12, len(short))]
		for i, tag := range tags {
			if l.Problem != "" {
				rows = append(rows, []string{tag, "?", "?", "?", "?", "?", short})
			} else if i == 0 {
				rows = append(rows, []string{tag, l.Created.UTC().Format("2006-01-02 15:04"), l.Host, l.Distro, l.Stack, size(l.Size), short})
			} else {
				rows = append(rows, []string{tag, "  same"})
			}
		}
	}
	p.table(rows)
	for _, l := range list {
		if l.Problem != "" {
			p.line("\n%s cannot be read: %s", l.Digest, l.Problem)
		}
	}
}
