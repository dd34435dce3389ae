package restore

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"time"

	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
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
	Choices
	// Allow are the codes of findings that do not stop the import.
	Allow map[string]bool
	Now   time.Time
	// Source is where the snapshot is, as a resume opens it again.
	Source string
	// Program is this program's file on this machine: what is left to the first boot
	// of a root is done by a copy of it. "" leaves nothing to it.
	Program string
	// TempDir is a directory of this machine for private copies of database
	// files that cannot be read in place.
	TempDir  string
	Progress progress.Sink // nil for none
	// Workers is how many parts are unpacked side by side, 0 for one per core.
	// The result does not depend on it.
	Workers int

	// saved is the state directory of an import whose packages are installed: merged
	// files are those of before, without what scripts put into them. nil before that.
	saved *host.Dir
	fault func() error // called before each step of a commit; nil but in tests
	// stackWithin is how long the stack's own program may take, 0 for the usual.
	stackWithin time.Duration
	// detect finds the package manager: pkgmgr.Detect but in tests.
	detect func(context.Context, *host.Root, host.Runner) (pkgmgr.Manager, error)
	// dial and resolver reach the network: those of net but in tests.
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	resolver resolver
	// duplicate asks who else has an address: host.Duplicate but in tests.
	duplicate func(ctx context.Context, nic string, address netip.Addr) (net.HardwareAddr, error)
}

// findManager finds the package manager of the host.
func (o Options) findManager(ctx context.Context) (pkgmgr.Manager, error) {
	if o.detect != nil {
		return o.detect(ctx, o.Root, o.Runner)
	}
	return pkgmgr.Detect(ctx, o.Root, o.Runner)
}

// complete fills in what was left to the default.
func (o Options) complete() Options {
	if o.Progress == nil {
		o.Progress = progress.None()
	}
	if o.fault == nil {
		o.fault = func() error { return nil }
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	return o
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
	noted    string          // the last directory that was looked for in restores
	restores map[string]bool // paths that commands of the stack ask for: whether the snapshot has them

	contenders []contender
	merging    []merging
	mayDiffer  []merging         // as in the snapshot, until scripts of packages write to them
	restored   *bool             // the latest import was of this snapshot; nil before that is asked
	own        map[string][]byte // the host's, from before packages; nil before it is read
	theirs     map[string][]byte // the snapshot's content of files that are merged, by path on the host
	// stagedBytes reads what is staged of an entry, nil while nothing is.
	stagedBytes func(n int, e artifact.Entry) ([]byte, error)
	checked     checked
	facts       facts
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
	o = o.complete()
	if err := checkAccounts(s.Config.Accounts); err != nil {
		return nil, err
	}
	accounts, err := host.ReadAccounts(o.Root)
	if err != nil {
		return nil, err
	}
	p := &planner{
		Options: o, fetcher: f, snapshot: s, need: map[uint64]*Space{}, mount: mountOf{root: o.Root}, theirs: map[string][]byte{},
		owners:  &owners{accounts: accounts, asIs: !isRoot()},
		checked: checked{watched: watch(append([]string{hostsFile}, certificates(o.Stack)...)...)},
		plan: &Plan{
			Snapshot: s.Descriptor.Digest, Title: s.Config.Title(), Created: s.Config.Created, Root: o.Root.Dir(),
			Format: PlanFormat, Options: optionsOf(o),
			Findings: []Finding{}, Remove: []string{}, ToDo: []artifact.LeftOut{},
		},
	}
	for _, step := range []func(context.Context) error{
		p.packages, p.checkLocal, p.accounts, p.findGoal, p.tree, p.files, p.conflicts, p.mirrors, p.database, p.services, p.commands, p.guardFindings, p.preflight,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	p.completeChecks()
	for _, l := range s.Config.LeftOut {
		if l.Restore != "" && !l.System {
			p.plan.ToDo = append(p.plan.ToDo, l)
		}
	}
	p.plan.Steps = p.plan.steps()
	return p, p.sealFacts(ctx)
}

func (p *planner) accounts(context.Context) error {
	p.plan.Accounts = []Account{}
	for _, k := range artifact.TreeKinds() {
		if _, ok := p.snapshot.Config.Kind(k); ok && p.Wants(k) {
			p.checkCollisions(p.snapshot.Config.Accounts)
			p.plan.Accounts = p.owners.planAccounts(p.snapshot.Config.Accounts)
			return nil
		}
	}
	return nil
}

// tree makes sure that every entry can go just where it says.
func (p *planner) tree(ctx context.Context) error { return p.snapshot.CheckTree(ctx, p.fetcher) }

// files compares every entry of the wanted kinds with the host, and notes what
// the identity trees are to hold.
func (p *planner) files(ctx context.Context) error {
	p.Progress.Phase("comparing", p.bytes())
	var err error
	if p.mirrored, err = newMirror(p.snapshot, p.Wants(artifact.KindPackages)); err != nil {
		return err
	}
	p.restores = p.askedPaths()
	cmp := newComparer(p.Root, p.owners, p.places)
	cmp.key = p.snapshot.Key
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
		p.checked.note(e)
		if p.placed(e.Kind) {
			p.checked.privileged.note(e, p.target(e))
			p.noteRestored(p.target(e))
		}
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
		p.facts.file(p.target(e), s, cmp.seen) // before it is known to be merged: that rests on it too
		if s, err = p.lives(e, s); err != nil {
			return err
		}
		if s, err = p.merges(e, s); err != nil {
			return err
		}
		p.contend(e, s)
		return p.file(e, s, sums[e.Kind])
	})
	if err == nil {
		err = p.planMerges(ctx, sums)
	}
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
	return (k.IsTree() || k == artifact.KindPackages) && p.Wants(k)
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
	case notPlaced, isMerged: // the latter is counted where it is merged
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
