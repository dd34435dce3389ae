package restore

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/xcrate/xcrate/artifact"
)

// RepositoryDir is where a snapshot's packages lie on the host.
const RepositoryDir = "/var/lib/xcrate/repository"

// StateDir holds one directory per import: its journal and what it replaced.
const StateDir = "/var/lib/xcrate/imports"

// Plan says what an import would do. It is data: it can be printed, written as
// JSON, and compared.
type Plan struct {
	Format   int           `json:"format"` // PlanFormat
	Snapshot digest.Digest `json:"snapshot"`
	Title    string        `json:"title"`
	Created  time.Time     `json:"created"`
	Root     string        `json:"root"`
	// Options are what was asked for.
	Options PlanOptions `json:"options"`
	// Host is a digest of what the plan rests on: what was seen of the files to be
	// replaced or removed, of the package database, tables, services and accounts.
	// With the same snapshot and options, another one is another plan.
	Host digest.Digest `json:"host"`
	// Steps are those of the import that have something to do, in their order.
	Steps []PlanStep `json:"steps"`
	// Findings are what every check said, in a fixed order: also those that found
	// nothing and those that could not be made.
	Findings []Finding   `json:"checks"`
	Packages PackagePlan `json:"packages"`
	Files    []FilePlan  `json:"files"` // per kind, in manifest order
	// Merges are files that get lines of the host and of the snapshot.
	Merges []MergePlan `json:"merges"`
	// Conflicts are files below /etc that somebody changed here and that are replaced.
	Conflicts []Conflict   `json:"conflicts"`
	Remove    []string     `json:"remove"`   // extra paths in identity trees
	Accounts  []Account    `json:"accounts"` // to be made
	Database  DatabasePlan `json:"database"`
	Services  []string     `json:"services"` // that run now, and are stopped
	Enable    []UnitChange `json:"enable"`
	Start     []string     `json:"start"` // once everything is in place, in this order
	// Commands of the stack are run once the services are.
	Commands []StackCommand `json:"commands"`
	// Standby says that the services of the stack stay stopped and are masked.
	Standby bool    `json:"standby,omitempty"`
	Space   []Space `json:"space"`
	// ToDo lists what the snapshot left out and the administrator has to bring.
	ToDo []artifact.LeftOut `json:"to_do"`

	quiet bool   // a service runs that is to stay off
	files files  // what Files counts
	facts []Fact // what Host is the digest of
}

// FilePlan counts the entries of one kind. Kept are directories that are
// symlinks to directories on the host, and stay so, those beside whose files others
// are placed, and files that a standby has of its own.
type FilePlan struct {
	Kind    artifact.Kind `json:"kind"`
	New     int           `json:"new"`
	Changed int           `json:"changed"`
	Same    int           `json:"same"`
	Kept    int           `json:"kept"`
	Merged  int           `json:"merged,omitempty"`
	Bytes   int64         `json:"bytes"` // contents to be written
	// Beside says that files get BesideSuffix, so that the host's own stay.
	Beside bool `json:"beside,omitempty"`
}

// DatabasePlan says what would become of the database.
type DatabasePlan struct {
	Engine string `json:"engine"`         // that it goes into, "" if it stays as it is
	From   string `json:"from,omitempty"` // that of the source, if it is another
	Dir    string `json:"dir,omitempty"`  // of the SQLite files
	// Server is the database on a server, for people: "xcatdb on 10.0.0.1, user
	// xcatadm". SetUp is what has to be done there first, Notes what else is to be
	// known of it.
	Server  string           `json:"server,omitempty"`
	SetUp   []string         `json:"set_up,omitempty"`
	Notes   []string         `json:"notes,omitempty"`
	Restore []artifact.Table `json:"restore"`
	Same    int              `json:"same"`
	// Remove are tables the snapshot does not have: their files go, on a server
	// their rows. Keep are those that it leaves out on purpose: they stay.
	Remove []string `json:"remove"`
	Keep   []string `json:"keep,omitempty"`
	// Stale are SQLite tables of the host that nothing reads once the database is
	// elsewhere: they go.
	Stale []string `json:"stale,omitempty"`
	// Cfgloc says what becomes of the file that tells the stack where its database
	// is: "write", "remove", "" for nothing.
	Cfgloc string `json:"cfgloc,omitempty"`
	// ByStack says that the stack's own program restores the tables.
	ByStack bool `json:"by_stack,omitempty"`
}

// changes reports whether anything of the database has to be changed.
func (d DatabasePlan) changes() bool {
	return len(d.Restore)+len(d.Remove)+len(d.Stale)+len(d.SetUp) > 0 || d.Cfgloc != ""
}

// Account is a user or group to be made, with the id it gets here.
type Account struct {
	artifact.Account
	ID int `json:"new_id"`
	// TakenBy is who has the account's old number here, "" for nobody.
	TakenBy string `json:"taken_by,omitempty"`
}

// Space is what one filesystem needs and has.
type Space struct {
	Mount string `json:"mount"`
	Need  int64  `json:"need"`
	Free  int64  `json:"free"`
}

// Empty reports whether the plan changes nothing.
func (p *Plan) Empty() bool {
	return !p.files.anyMissing() && len(p.Merges) == 0 && len(p.Packages.Install)+len(p.Packages.Names) == 0 && p.Packages.Definition == "" && len(p.Enable) == 0 && !p.quiet && len(p.Remove) == 0 &&
		!p.Database.changes() && len(p.Accounts) == 0
}

// Blocked returns the findings that stop an import.
func (p *Plan) Blocked() []Finding { return blocked(p.Findings) }

// Warned returns the findings to be read that do not stop the import.
func (p *Plan) Warned() []Finding { return at(Warn, p.Findings) }

func blocked(findings []Finding) []Finding { return at(Block, findings) }

func at(l Level, findings []Finding) (all []Finding) {
	for _, f := range findings {
		if f.Level == l {
			all = append(all, f)
		}
	}
	return all
}

// Level is the verdict of a check.
type Level string

// The levels.
const (
	Pass  Level = "pass"  // nothing was found
	Skip  Level = "skip"  // the check could not be made, or there was nothing to check
	Warn  Level = "warn"  // said, and gone on
	Block Level = "block" // the import stops unless the code is allowed
)

// Finding is what a check said. One check may have several.
type Finding struct {
	// Code names the check; --allow takes it.
	Code  string `json:"id"`
	Level Level  `json:"verdict"`
	// Message is what was seen, or why nothing could be.
	Message string `json:"seen"`
	// Remedy is what to do about it.
	Remedy string `json:"mend,omitempty"`
	// Override is the flag that goes on all the same, "" where none does.
	Override string `json:"override,omitempty"`
	// Allowed says that the finding would block and was allowed.
	Allowed bool `json:"allowed,omitempty"`
}

// The codes of findings that --allow can override.
const (
	CodeDistro        = "distro"           // another distro than the snapshot's
	CodeVersion       = "distro-version"   // another version of it
	CodeArch          = "arch"             // another architecture
	CodeStackVersion  = "stack-version"    // another version of the stack is installed
	CodeNewerPackages = "newer-packages"   // a package is installed in a newer version
	CodeDependencies  = "dependencies"     // the package manager cannot install the packages
	CodeServiceNode   = "service-node"     // the host is a service node
	CodeNodes         = "existing-nodes"   // the host's database has managed nodes that would be replaced
	CodeDatabase      = "database-damaged" // the host's database cannot be read
	CodeRows          = "database-rows"    // rows that the engine asked for could not hold
	CodeColumns       = "database-columns" // columns that the host's tables lack
	CodeServer        = "database-server"  // the database server is not to be had
	CodeSpace         = "space"            // too little free space
	CodeNotRoot       = "not-root"         // owners cannot be set
	CodeConflict      = "type-conflict"    // a directory where a file goes, or the other way round
	CodeOldNode       = "old-node"         // the management node of the snapshot still answers
	CodeSecrets       = "no-secrets"       // the snapshot is for support, without secrets
	CodeClock         = "clock"            // the host's clock is before the snapshot
)

// Codes lists every code that can be allowed.
func Codes() []string {
	return []string{
		CodeDistro, CodeVersion, CodeArch, CodeStackVersion, CodeNewerPackages, CodeServiceNode, CodeNodes, CodeDatabase, CodeSpace, CodeNotRoot,
		CodeOldNode, CodeClock, CodeSecrets,
	}
}

// Change is one entry of a plan, for people and machines to read.
type Change struct {
	State string `json:"state"` // "new", "changed", "merged" or "kept"
	Path  string `json:"path"`
	// Reason is why it is kept, or what it is merged of.
	Reason string `json:"reason,omitempty"`
}

// Changes calls fn for every entry the plan adds, replaces, merges, or keeps as the
// host has it, in the order of the catalog, which it reads again.
func (p *Plan) Changes(ctx context.Context, fn func(Change) error) error {
	return p.files.each(ctx, func(_ int, s state, e artifact.Entry) error {
		if !s.missing() && s != isKept && s != isMerged || !e.IsFirst() {
			return nil
		}
		c := Change{State: s.String(), Path: p.files.target(e)}
		switch s { //nolint:exhaustive // the others say it all
		case isKept:
			c.Reason = p.files.whyKept(e)
		case isMerged:
			c.Reason = "has lines of the host and of the snapshot"
		}
		return fn(c)
	})
}

// whyKept says why the host's own stays in the place of e.
func (f *files) whyKept(e artifact.Entry) string {
	if f.isBeside(e.Kind) {
		return "a directory of the host's own: files are placed beside what is in it"
	}
	if e.Type == artifact.TypeFile {
		return "a daemon has written to it since this snapshot was restored"
	}
	return "a link to a directory here, which is filled"
}
