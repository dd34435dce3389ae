package stack

import (
	"fmt"
	"slices"
	"strings"
)

// Markdown renders the stack as a page for people: what a snapshot takes, what
// it leaves out, and why.
func Markdown(s Stack) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What a snapshot of an %s management node holds\n\n", s.Title)
	b.WriteString("This page is rendered from the rows in `internal/stack`; `go test ./internal/stack -update` writes it anew.\n\n")
	b.WriteString("The deepest matching path decides. `*` stands for any text within one name, `~` for the home of every\n" +
		"user, and a name in braces for a directory:\n\n")
	variableTable(&b, s.Vars)
	b.WriteString("\n## Taken\n\nSecrets are a kind of their own. *Exact* means that an import removes what else lies there on the\n" +
		"target, and keeps it for a rollback.\n\n")
	row(&b, "Path", "Kind", "What it is")
	row(&b, "---", "---", "---")
	for _, r := range sorted(s.Rules) {
		if r.Take != "" {
			what := r.What
			if r.Mirror {
				what += " (exact)"
			}
			row(&b, code(r.Path), string(r.Take), what)
		}
	}
	b.WriteString("\n## Left out\n\nWhat of these a host has is listed in its snapshot, with its size.\n\n")
	row(&b, "Path", "What it is", "Why it is left out", "How it comes back")
	row(&b, "---", "---", "---", "---")
	for _, r := range sorted(s.Rules) {
		if r.Take == "" {
			row(&b, code(r.Path), r.What, r.Reason, r.Restore)
		}
	}
	markTable(&b, s.Marks)
	leftTables(&b, s)
	columnTable(&b, s.Columns)
	packageList(&b, s)
	return b.String()
}

func variableTable(b *strings.Builder, vars []Var) {
	row(b, "Name", "Set by", "Otherwise")
	row(b, "---", "---", "---")
	for _, v := range vars {
		set, value := "", "not used"
		if v.Key != "" {
			set = "site." + v.Key
		}
		if v.Default != "" {
			value = code(v.Default)
		}
		row(b, code("{"+v.Name+"}"), set, value)
	}
}

func markTable(b *strings.Builder, marks []Mark) {
	b.WriteString("\n## Left out wherever it lies\n\nTrees that are told by what lies in them, below `{installdir}`, `{tftpdir}` and where the database leads.\n\n")
	row(b, "Told by", "What it is", "What of it is left out", "Why", "How it comes back")
	row(b, "---", "---", "---", "---", "---")
	for _, m := range marks {
		var told []string
		for _, alternatives := range m.Has {
			told = append(told, either(strings.Split(alternatives, "|")))
		}
		if len(m.Any) > 0 {
			told = append(told, either(m.Any))
		}
		items := "all"
		if len(m.Items) > 0 {
			items = codes(m.Items)
		}
		row(b, strings.Join(told, " and "), m.What, items, m.Reason, code(m.Restore))
	}
}

// leftTables lists what of the database a snapshot does not hold.
func leftTables(b *strings.Builder, s Stack) {
	b.WriteString("\n## Tables left out\n\nAll tables of the database are taken but these, whose number of rows is listed in the snapshot;\n" +
		"`export --with-logs` takes them as well. Tables that `site.skiptables` keeps out of " + s.Title + "'s own dumps are\ntaken, and named.\n\n")
	row(b, "Table", "Why it is left out")
	row(b, "---", "---")
	for _, t := range s.LeaveTables {
		row(b, code(t.Name), t.Reason)
	}
}

func columnTable(b *strings.Builder, columns []Column) {
	b.WriteString("\n## Followed from the database\n\nFiles that these columns name are taken wherever they lie, and so are those that the named\n" +
		"files include or synchronise.\n\n")
	row(b, "Column", "Leads on by", "Where no path above decides")
	row(b, "---", "---", "---")
	leads := map[Scan]string{ScanNone: "", ScanIncludes: "`#INCLUDE:PATH#`", ScanSynclist: "sources of the synclist"}
	for _, c := range columns {
		fate := "taken into " + string(c.Kind)
		if c.Sources != "" {
			fate += ", sources into " + string(c.Sources)
		}
		if c.Leave != "" {
			fate = "left out: " + c.Leave
		}
		row(b, code(c.Table+"."+c.Column), leads[c.Scan], fate)
	}
}

func packageList(b *strings.Builder, s Stack) {
	// What lies in a tree is listed in the data for the sake of symlinks.
	trees := slices.DeleteFunc(slices.Clone(s.Packages.Trees), func(tree string) bool { return strings.HasSuffix(tree, "/*") })
	b.WriteString("\n## Packages\n\nOf what is installed, those are taken that are called " + codes(s.Packages.Install) +
		",\nand whatever else the same places offer in just the installed version. They are looked for in " + codes(trees) +
		",\nand where docs/cli.md says. Only " + s.Title + " itself has " + codes(s.Packages.Own) +
		":\nwithout the file of one of these there is no snapshot.\n\nParts of the distro that " + s.Title +
		" uses are listed and not taken: " + codes(s.Packages.Companions) + ".\nDrivers of databases, " + codes(s.Packages.Drivers) +
		",\nare taken where " + s.Title + "'s own places or `--packages` offer them.\n")
	b.WriteString("\n## Services\n\nIn start order; of several names the first that the host has counts.\n\n")
	row(b, "Role", "Units")
	row(b, "---", "---")
	for _, v := range s.Services {
		row(b, v.Role, codes(v.Units))
	}
}

// sorted returns the rules by path.
func sorted(rules []Rule) []Rule {
	return slices.SortedStableFunc(slices.Values(rules), func(a, b Rule) int { return strings.Compare(a.Path, b.Path) })
}

// row writes one row of a table; a pipe in a cell would end it.
func row(b *strings.Builder, cells ...string) {
	for _, c := range cells {
		b.WriteString("| " + strings.ReplaceAll(c, "|", `\|`) + " ")
	}
	b.WriteString("|\n")
}

func code(s string) string { return "`" + s + "`" }

func codes(set []string) string {
	var all []string
	for _, s := range set {
		all = append(all, code(s))
	}
	return strings.Join(all, ", ")
}

func either(set []string) string {
	if len(set) == 1 {
		return code(set[0])
	}
	return "one of " + codes(set)
}
