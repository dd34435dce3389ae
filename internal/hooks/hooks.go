// Package hooks runs the programs that products around a management node leave
// on a machine, to be run before and after its export and its import.
//
// They lie in one directory for each Point, POINT.d below Dir, and are run in
// order of name, one after the other. What is run is owned by root, or by who
// runs xcrate, and nobody else can write to it or change what its path leads
// to. docs/hooks.md tells the whole contract.
package hooks

import (
	"encoding/json"
	"time"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// Dir is where a machine keeps its hooks.
const Dir = "/etc/xcrate/hooks"

// Format is the version of Document, told as its "format".
const Format = 1

// Point is when hooks are run.
type Point string

// The points, as the names of their directories begin.
const (
	PreExport  Point = "pre-export"
	PostExport Point = "post-export"
	PreImport  Point = "pre-import"
	PostImport Point = "post-import"
)

// Dir returns the name of the directory of p below the one of all hooks.
func (p Point) Dir() string { return string(p) + ".d" }

// before reports whether the hooks of p can still stop what comes.
func (p Point) before() bool { return p == PreExport || p == PreImport }

// Status is what became of a hook.
type Status string

// The statuses, as results tell them.
const (
	OK          Status = "ok"
	Failed      Status = "failed"
	TimedOut    Status = "timeout"
	Interrupted Status = "interrupted"
	// Unsafe is a hook, or a directory of hooks, that somebody else could change.
	// It is not run.
	Unsafe Status = "unsafe"
	// Skipped is a file that is not executable.
	Skipped Status = "skipped"
)

// Result is what became of one hook.
type Result struct {
	Name   string `json:"name"` // with its directory: pre-import.d/10-x
	Status Status `json:"status"`
	// Took is in seconds, to the millisecond.
	Took float64 `json:"took"`
	// Message is why it is not ok, "" if it is. It holds nothing of what the hook wrote.
	Message string `json:"message,omitempty"`
}

// Bad reports whether the hook did not do its work.
func (r Result) Bad() bool { return r.Status != OK && r.Status != Skipped }

// Outcome is how an export or import ended, for what comes after.
type Outcome string

// The outcomes, as post-hooks are told.
const (
	Done Outcome = "done"
	// Broken is said after an error or an interruption.
	Broken Outcome = "failed"
)

// Document is what a hook reads from its standard input, as JSON. The same
// facts, but for lists, plan and result, are in its environment. It holds no secret.
type Document struct {
	Format  int    `json:"format"`
	Hook    Point  `json:"hook"`
	Version string `json:"version"` // of xcrate
	Root    string `json:"root"`    // path on this machine of the node's filesystem
	// Source is what is imported, Dest the layout that is exported to.
	Source string `json:"source,omitempty"`
	Dest   string `json:"dest,omitempty"`
	// Snapshot is the manifest's digest; an export knows it at its end.
	Snapshot string `json:"snapshot,omitempty"`
	// Outcome and Error are told to post-hooks. Error is a message for people.
	Outcome Outcome `json:"outcome,omitempty"`
	Error   string  `json:"error,omitempty"`
	// Tags are those the snapshot has got or, before an export, the one asked for.
	Tags  []string           `json:"tags,omitempty"`
	Kinds []artifact.KindSum `json:"kinds,omitempty"` // of the snapshot that was written
	// Import is the id, once there is one.
	Import string `json:"import,omitempty"`
	// Plan is that of an import, Result what it did.
	Plan   any `json:"plan,omitempty"`
	Result any `json:"result,omitempty"`
}

// environment returns the variables a hook gets, those with a value.
func (d Document) environment() []string {
	var env []string
	for _, v := range []struct{ name, value string }{
		{"XCRATE_HOOK", string(d.Hook)},
		{"XCRATE_VERSION", d.Version},
		{"XCRATE_ROOT", d.Root},
		{"XCRATE_SOURCE", d.Source},
		{"XCRATE_DEST", d.Dest},
		{"XCRATE_SNAPSHOT", d.Snapshot},
		{"XCRATE_IMPORT", d.Import},
		{"XCRATE_OUTCOME", string(d.Outcome)},
	} {
		if v.value != "" {
			env = append(env, v.name+"="+v.value)
		}
	}
	return env
}

// json returns the document as one line.
func (d Document) json() ([]byte, error) {
	b, err := json.Marshal(d)
	return append(b, '\n'), err
}

// Set is the hooks of a machine and how they are run. All fields are needed.
type Set struct {
	Root   *host.Root // of the machine that xcrate runs on
	Dir    string     // absolute path of the directory with the points' directories
	Runner host.Runner
	Now    func() time.Time
	Limit  time.Duration // for each hook; then it is ended, with what it started
	// Line hears what the hook called name writes, line by line, without the end of
	// the line. A long line comes in pieces, and of very much only the beginning comes.
	Line func(name, line string)
}
