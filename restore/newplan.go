package restore

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/pkgmgr"
	"github.com/xcrate/xcrate/internal/progress"
	"github.com/xcrate/xcrate/internal/stack"
)

// Options say what to restore, where and how. Root, Runner and Stack are
// required.
type Options struct {
	Root   *host.Root
	Runner host.Runner
	Stack  stack.Stack
	// Only restores just these kinds; empty means all. Skip leaves some out.
	Only, Skip []artifact.Kind
	// Allow are the codes of findings that do not stop the import.
	Allow map[string]bool
	Now   time.Time
	// KeepRepository leaves the repository of packages known to the package
	// manager after the import.
	KeepRepository bool
	// Standby leaves the services of the stack stopped and disabled: another host
	// is the management node.
	Standby bool
	// TempDir is a directory of this machine for private copies of database
	// files that cannot be read in place.
	TempDir string
	// Engine is the database engine to restore into, "" for that of the source.
	Engine database.Engine
	// RemoteDatabase restores into a database server on another machine too.
	RemoteDatabase bool
	// ByStack has the stack's own program restore the database.
	ByStack  bool
	Progress progress.Sink // nil for none
	// Workers is how many parts are unpacked side by side, 0 for one per core.
	// The result does not depend on it.
	Workers int

	fault func() error // called before each step of a commit; nil but in tests
	// stackWithin is how long the stack's own program may take, 0 for the usual.
	stackWithin time.Duration
	// detect finds the package manager: pkgmgr.Detect but in tests.
	detect func(context.Context, *host.Root, host.Runner) (pkgmgr.Manager, error)
}

// findManager finds the package manager of the host.
func (o Options) findManager(ctx context.Context) (pkgmgr.Manager, error) {
	if o.detect != nil {
		return o.detect(ctx, o.Root, o.Runner)
	}
	return pkgmgr.Detect(ctx, o.Root, o.Runner)
}

// wants reports whether kind k is to be restored.
func (o Options) wants(k artifact.Kind) bool {
	return (len(o.Only) == 0 || slices.Contains(o.Only, k)) && !slices.Contains(o.Skip, k)
}

// planner is one run of NewPlan.
type planner struct {
	Options
	places
	fetcher  content.Fetcher
	snapshot *artifact.Snapshot
	plan     *Plan
	owners   *owners
	manager  pkgmgr.Manager
	mirrored *mirror
	goal     *goal // nil where the database stays as it is
	mount    mountOf
	need     map[uint64]*Space
}

// NewPlan compares snapshot s with the host and returns what an import would
// do. It reads the catalog and the host, and changes nothing.
func NewPlan(ctx context.Context, f content.Fetcher, s *artifact.Snapshot, o Options) (*Plan, error) {
	p, err := newPlanner(ctx, f, s, o)
	if err != nil {
		return nil, err
	}
	return p.plan, nil
}

func newPlanner(ctx context.Context, f content.Fetcher, s *artifact.Snapshot, o Options) (*planner, error) {
	if o.Progress == nil {
		o.Progress = progress.None()
	}
	if o.fault == nil {
		o.fault = func() error { return nil }
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if err := checkAccounts(s.Config.Accounts); err != nil {
		return nil, err
	}
	accounts, err := host.ReadAccounts(o.Root)
	if err != nil {
		return nil, err
	}
	p := &planner{
		Options: o, fetcher: f, snapshot: s, need: map[uint64]*Space{}, mount: mountOf{root: o.Root},
		owners: &owners{accounts: accounts, asIs: !isRoot()},
		plan: &Plan{
			Snapshot: s.Descriptor.Digest, Title: s.Config.Title(), Created: s.Config.Created, Root: o.Root.Dir(),
			Findings: []Finding{}, Remove: []string{}, ToDo: []artifact.LeftOut{},
		},
	}
	for _, step := range []func(context.Context) error{
		p.packages, p.checkLocal, p.accounts, p.findGoal, p.files, p.mirrors, p.database, p.services, p.guardFindings, p.preflight,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	for _, l := range s.Config.LeftOut {
		if l.Restore != "" && !l.System {
			p.plan.ToDo = append(p.plan.ToDo, l)
		}
	}
	return p, nil
}

func (p *planner) find(code string, level Level, remedy, format string, args ...any) {
	f := Finding{Code: code, Level: level, Message: fmt.Sprintf(format, args...), Remedy: remedy}
	if level == Block && p.Allow[code] {
		f.Level, f.Allowed = Warn, true
	}
	p.plan.Findings = append(p.plan.Findings, f)
}

func (p *planner) accounts(context.Context) error {
	p.plan.Accounts = []Account{}
	for _, k := range artifact.TreeKinds() {
		if _, ok := p.snapshot.Config.Kind(k); ok && p.wants(k) {
			p.plan.Accounts = p.owners.planAccounts(p.snapshot.Config.Accounts)
			return nil
		}
	}
	return nil
}

// files compares every entry of the wanted kinds with the host, and notes what
// the identity trees are to hold.
func (p *planner) files(ctx context.Context) error {
	p.Progress.Phase("comparing", p.bytes())
	var err error
	if p.mirrored, err = newMirror(p.snapshot, p.wants(artifact.KindPackages)); err != nil {
		return err
	}
	cmp := newComparer(p.Root, p.owners, p.places)
	defer cmp.close()
	p.plan.files.places = p.places
	p.plan.files.catalog = func(ctx context.Context, fn func(artifact.Entry) error) error {
		return p.snapshot.Catalog(ctx, p.fetcher, fn)
	}
	sums := map[artifact.Kind]*FilePlan{}
	err = p.plan.files.catalog(ctx, func(e artifact.Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		p.mirrored.note(e, p.target(e), p.placed(e.Kind))
		p.plan.files.states = append(p.plan.files.states, notPlaced)
		if !p.placed(e.Kind) || p.goal != nil && p.goal.manages && e.Path == cfglocPath {
			return nil
		}
		if sums[e.Kind] == nil {
			sums[e.Kind] = &FilePlan{Kind: e.Kind, Beside: p.isBeside(e.Kind)}
		}
		s, done, err := cmp.compare(e)
		if err != nil {
			return err
		}
		p.Progress.Add(e.Size)
		if !done {
			return nil
		}
		return p.file(e, s, sums[e.Kind])
	})
	if err != nil {
		return err
	}
	p.plan.Files = []FilePlan{}
	for _, k := range artifact.Kinds() {
		if sums[k] != nil {
			p.plan.Files = append(p.plan.Files, *sums[k])
		}
	}
	return nil
}

// placed reports whether entries of kind k are put on the host as files.
func (p *planner) placed(k artifact.Kind) bool {
	return (k.IsTree() || k == artifact.KindPackages) && p.wants(k)
}

func (p *planner) bytes() (n int64) {
	for _, k := range p.snapshot.Config.Kinds {
		if p.placed(k.Kind) {
			n += k.Bytes
		}
	}
	return n
}

// file counts the file e is, or is the last piece of, and keeps its state.
func (p *planner) file(e artifact.Entry, s state, sum *FilePlan) error {
	all := p.plan.files.states
	for i := range max(e.Piece.Count, 1) { // its pieces are the last records
		all[len(all)-1-i] = s
	}
	switch s {
	case isSame:
		sum.Same++
		return nil
	case isKept:
		sum.Kept++
		return nil
	case isClash:
		p.find(CodeConflict, Block, "move it out of the way", "%s: the snapshot has a %s here, the host something else", p.Root.Path(p.target(e)), e.Type)
		return nil
	case isNew:
		sum.New++
	case isChanged:
		sum.Changed++
	case notPlaced:
		return nil
	}
	sum.Bytes += e.FileSize()
	return p.addNeed(p.target(e), e.FileSize())
}

// addNeed counts size bytes to be written on the filesystem of path.
func (p *planner) addNeed(at string, size int64) error {
	if size == 0 {
		return nil
	}
	top, dev, err := p.mount.find(at)
	if err != nil {
		return err
	}
	if p.need[dev] == nil {
		p.need[dev] = &Space{Mount: p.Root.Path(top)}
	}
	p.need[dev].Need += size
	return nil
}
