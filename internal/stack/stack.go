// Package stack says, as data, what the management software of a cluster is
// made of: which trees a snapshot takes, which secrets are among them, what is
// left out and how it comes back, which services and packages belong to it.
//
// A Stack is nouns only. Bind joins it with one host's tables and homes; the
// Bound that results answers questions about paths. The package opens no file:
// callers hand in what it has to look at.
//
// The facts about xCAT are those of xcat-core 2.19 (github.com/xcat2/xcat-core).
package stack

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Stack is one management software as data.
type Stack struct {
	Name  string // "xcat": what config and annotations say
	Title string // "xCAT": for people
	// VersionFile is the host path of the file that Version reads.
	VersionFile string
	// Credentials is the directory in the home of every user of the stack.
	Credentials string
	// Local is where the stack's programs are: what no package brought there is an
	// administrator's.
	Local string
	// NodeTable is the table with a row per managed node, ServiceTable that with one per
	// service node, or group of them.
	NodeTable, ServiceTable string
	// LeaveTables are those an export leaves out unless it is told to take logs.
	LeaveTables []LeaveTable
	Markers     []Marker
	Vars        []Var
	Rules       []Rule
	Marks       []Mark
	Columns     []Column
	// SecretColumns hold secrets though they are not called like it.
	SecretColumns []SecretColumn
	Services      []Service
	Packages      Packages
	Scripts       Scripts
	Probes        Probes
	Commands      []Command
	// Archs are the architectures that {arch} of a command can stand for.
	Archs []string
	// Living are files, as patterns of path.Match, that daemons write all the time: of
	// a snapshot that was restored before, what they wrote since is the better one.
	Living []string
	// Merges are files that an import merges with those of the host.
	Merges []Merge
	// EveryFile are directories, as patterns of path.Match, in which a file counts
	// whatever it is called.
	EveryFile []string
	// MasterKey is the key of the site row with the node's own address or name.
	MasterKey string
	Served    []Served
}

// Marker is a file that tells what a host is.
type Marker struct {
	Path string
	// Refuse is the reason to stop when Path exists; "" means that Path must
	// exist.
	Refuse string
}

// Var is a path that a site row can set. Rules and columns name it as {NAME}.
type Var struct {
	Name string
	// Key is the key of the site row that holds the value, "" for a fixed one.
	Key string
	// Default holds where the row is missing or empty. With "" too, rules that
	// name the variable do not apply.
	Default string
}

// Service is a role of the stack and the systemd units that can fill it.
type Service struct {
	Role string
	// Units are unit names without ".service", in the order in which they are
	// looked for: the first that the host has counts.
	Units []string
	// Both says that it runs on a standby as well: time and logs are each node's own.
	Both bool
}

// Has reports whether unit, a name with ".service", can fill the role.
func (s Service) Has(unit string) bool {
	name, ok := strings.CutSuffix(unit, ".service")
	return ok && slices.Contains(s.Units, name)
}

// LeaveTable is a table, or a pattern of path.Match for several, that a snapshot
// does not hold by default.
type LeaveTable struct {
	Name   string
	Reason string
}

// LeavesTable returns why a snapshot does not hold table, "" if it does.
func (s Stack) LeavesTable(table string) string {
	for _, l := range s.LeaveTables {
		if matchAny([]string{l.Name}, table) {
			return l.Reason
		}
	}
	return ""
}

// Site returns the values of site rows with this key that are in force.
func (t Tables) Site(key string) (values []string) {
	for _, row := range t[tableSite] {
		if row["key"] == key && active(row) {
			values = append(values, row["value"])
		}
	}
	return values
}

// SkipTables are the tables that the stack's own dump leaves out because a row
// of site says so.
func (t Tables) SkipTables() (names []string) {
	for _, value := range t.Site("skiptables") {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

// Tables are the rows of the stack's database by table name. A row maps column
// to value; NULL columns are absent. Disabled rows are among them.
type Tables map[string][]map[string]string

// ErrNotMN says that a host is no management node of the stack.
var ErrNotMN = errors.New("not a management node")

// CheckMarkers reports whether the host is a management node; exists tells
// whether a host path does. The error wraps ErrNotMN and says why not.
func (s Stack) CheckMarkers(exists func(path string) bool) error {
	for _, m := range s.Markers {
		switch found := exists(m.Path); {
		case found && m.Refuse != "":
			return fmt.Errorf("%w of %s: %s exists: %s", ErrNotMN, s.Title, m.Path, m.Refuse)
		case !found && m.Refuse == "":
			return fmt.Errorf("%w of %s: %s does not exist", ErrNotMN, s.Title, m.Path)
		}
	}
	return nil
}

// Wants returns the names of the tables Bind and Follow read, sorted.
func (s Stack) Wants() []string {
	want := []string{tableSite, tableOSImage, tableLinuxImage, tableOSDistro}
	for _, c := range s.Columns {
		want = append(want, c.Table)
	}
	slices.Sort(want)
	return slices.Compact(want)
}

// Tables that are read for more than their path columns.
const (
	tableSite       = "site"
	tableOSImage    = "osimage"
	tableLinuxImage = "linuximage"
	tableOSDistro   = "osdistro"
)

// active reports whether row is in force: xCAT takes a row as switched off
// unless its column disable is NULL, "0" or some spelling of "no"
// (perl-xCAT/xCAT/Table.pm).
func active(row map[string]string) bool {
	v, ok := row["disable"]
	return !ok || slices.Contains([]string{"0", "no", "NO", "No", "nO"}, v)
}
