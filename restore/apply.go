package restore

import (
	"context"
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"
	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/dbserver"
	"github.com/xcrate/xcrate/internal/host"
)

// ErrLocked is wrapped when another import is running on the host.
var ErrLocked = errors.New("another import is running")

// ErrBlocked is wrapped when a finding stops the import.
var ErrBlocked = errors.New("refused by a check")

// ErrUnfinished is wrapped where an import was interrupted, and has to be finished
// or taken back before anything else.
var ErrUnfinished = errors.New("it was interrupted")

// ErrHalfway is wrapped where an import, or taking it back, ended before it was done:
// it can be gone on with.
var ErrHalfway = errors.New("it is not done yet")

// Result says what an import did.
type Result struct {
	ID     string `json:"id"`
	Plan   *Plan  `json:"plan,omitempty"` // nil where only the end of an import was to be done
	Kept   string `json:"kept"`           // where the originals of what was replaced lie
	Tables int    `json:"tables"`         // compared with the snapshot after the restore, all equal
	// Packages is what the package manager did, zero where it was not run.
	Packages PackageResult `json:"packages"`
	// Settings are files of the host's own that scripts of packages had changed and
	// that were put back.
	Settings []string `json:"settings,omitempty"`
	// Disabled are units that were enabled and are not to run here: on a standby
	// all of the stack, else those that only scripts of packages had enabled.
	Disabled []string `json:"disabled,omitempty"`
	// SetUp is what was done to the database server, and Prepared what to tables
	// that were there.
	SetUp    []string `json:"database_set_up,omitempty"`
	Prepared []string `json:"database_prepared,omitempty"`
	// Lost names files with the extended attributes their filesystem did not take.
	Lost map[string][]string `json:"lost,omitempty"`
	// Report is how it came out, nil where that is left to the first boot.
	Report *Report `json:"report,omitempty"`
	// Waits says that the rest is done when the root is booted for the first time.
	Waits bool `json:"waits_for_first_boot,omitempty"`
}

// Apply restores snapshot s: it plans, shows the plan to confirm, and carries
// it out if that returns true. A nil Result means that nothing was changed.
//
// Until every byte that is needed is staged and verified, the host has changed
// in nothing but the work directory. After an error or an interruption before
// everything is in place all is put back before Apply returns, packages too.
// Services and acceptance tests that fail after that are in the Report.
func Apply(ctx context.Context, f content.Fetcher, s *artifact.Snapshot, o Options, confirm func(*Plan) (bool, error)) (*Result, error) {
	release, err := lock(o.Root)
	if err != nil {
		return nil, err
	}
	defer func() { _ = release() }()
	open, err := unfinished(ctx, o)
	if err != nil {
		return nil, err
	}
	if open != nil {
		return nil, fmt.Errorf("import %s: %w", open.ID, ErrUnfinished)
	}
	p, err := agree(ctx, f, s, o, confirm)
	if err != nil || p == nil || p.plan.Empty() {
		return nil, err
	}
	return p.apply(ctx)
}

// agree plans an import and has it confirmed; nil if the answer is no.
func agree(ctx context.Context, f content.Fetcher, s *artifact.Snapshot, o Options, confirm func(*Plan) (bool, error)) (*planner, error) {
	p, err := newPlanner(ctx, f, s, o)
	if err != nil {
		return nil, err
	}
	ok, err := confirm(p.plan)
	if err != nil || !ok {
		return nil, err
	}
	if len(p.plan.Blocked()) > 0 {
		return nil, ErrBlocked
	}
	return p, nil
}

// lock keeps a second import away from the host.
func lock(root *host.Root) (func() error, error) {
	d, err := root.OpenDir("/")
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	release, err := d.Lock()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w on %s", ErrLocked, root.Dir())
	}
	return release, err
}

// apply carries the plan out.
func (p *planner) apply(ctx context.Context) (*Result, error) {
	a, err := p.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer a.work.close()
	if err := a.run(ctx); err != nil {
		return nil, a.giveUp(context.WithoutCancel(ctx), errors.Join(err, a.journal.close()))
	}
	err = a.start(context.WithoutCancel(ctx))
	return a.result, errors.Join(err, a.journal.close())
}

// begin makes the state directory of a new import, and its journal.
func (p *planner) begin(ctx context.Context) (_ *applier, err error) {
	id := p.Now.UTC().Format("20060102T150405Z") + "-" + p.snapshot.Descriptor.Digest.Encoded()[:12]
	w, first, err := newWork(p.Root, id)
	if err != nil {
		return nil, err
	}
	first.Snapshot = p.snapshot.Descriptor.Digest
	a := newApplier(p, w)
	err = a.withState(func(state *host.Dir) (err error) {
		if a.journal, err = createJournal(state, first); err == nil {
			err = a.writeImport(ctx, state)
		}
		return err
	})
	if err == nil {
		return a, nil
	}
	if a.journal != nil {
		err = errors.Join(err, a.journal.close())
	}
	err = errors.Join(err, w.discard(), unmake(p.Root, first))
	w.close()
	return nil, err
}

func newApplier(p *planner, w *work) *applier {
	return &applier{planner: p, work: w, result: &Result{ID: w.id, Plan: p.plan, Kept: p.Root.Path(path.Join(StateDir, w.id))}}
}

// applier is one import at work.
type applier struct {
	*planner
	past    reached // before it was interrupted; zero if it was not
	work    *work
	journal *journal
	commit  *committer
	staged  *host.Dir // the snapshot's tables, unpacked; nil for none
	dump    *database.Files
	tables  []stagedTable
	known   []string // tables whose files an undo knows of, where the stack's program makes them

	server     *dbserver.Server // nil where none was set up
	stopServer func(context.Context) error
	had        []artifact.Table // what the database on the server held
	kept       bool             // a dump of it lies beside the journal
	result     *Result
	lost       losses
	touched    []string // tops of the trees that change

	// How the host was before packages were installed and services stopped.
	before          []artifact.Service
	enforced        bool // SELinux
	installedBefore []artifact.Package
	hadDefinition   bool // of the repository: there is one to be kept
}

// withState calls fn with the state directory.
func (a *applier) withState(fn func(*host.Dir) error) error {
	state, err := a.work.state()
	if err != nil {
		return err
	}
	return errors.Join(fn(state), state.Close())
}

// run puts everything in place.
func (a *applier) run(ctx context.Context) error {
	a.work.journal = a.journal
	var own *ownCatalog
	err := a.withState(func(state *host.Dir) (err error) {
		own, err = copyCatalog(ctx, a.fetcher, a.snapshot, state)
		return err
	})
	if err != nil {
		return err
	}
	a.fetcher = own
	a.commit = newCommitter(a)
	defer a.commit.near.close()
	err = a.place(ctx)
	err = errors.Join(err, a.closeDatabase(context.WithoutCancel(ctx), err != nil))
	a.fetcher = own.Fetcher
	return errors.Join(err, own.close())
}

func (a *applier) homes() map[string]artifact.Account {
	homes := map[string]artifact.Account{}
	for _, acc := range a.snapshot.Config.Accounts {
		if acc.Type == "user" && acc.Home != "" && acc.Home != "/" {
			homes[path.Clean("/"+acc.Home)] = acc
		}
	}
	return homes
}

// stageAll unpacks and verifies everything the plan needs.
func (a *applier) stageAll(ctx context.Context) error {
	var total int64
	for _, f := range a.plan.Files {
		total += f.Bytes
	}
	a.Progress.Phase("staging", total)
	if err := a.stager().stage(ctx, &a.plan.files, func(_ int, s state) bool { return s.missing() }); err != nil {
		return err
	}
	return a.stageDatabase(ctx)
}

func (a *applier) stager() *stager {
	return &stager{
		work: a.work, fetcher: a.fetcher, snapshot: a.snapshot, owners: a.owners,
		workers: a.Workers, progress: a.Progress, lost: &a.lost, places: a.places,
	}
}

// placeFiles commits what is staged of the kinds for which of is true.
func (a *applier) placeFiles(ctx context.Context, of func(artifact.Kind) bool) error {
	err := a.plan.files.each(ctx, func(n int, s state, e artifact.Entry) error {
		if !s.missing() || !e.IsFirst() || !of(e.Kind) {
			return nil
		}
		return a.commit.add(ctx, change{entry: e, path: a.target(e), slot: stagedSlot(n, e), plain: e.Piece.Number > 0})
	})
	if err != nil {
		return err
	}
	return a.commit.flush(ctx)
}

// giveUp puts everything back after err.
func (a *applier) giveUp(ctx context.Context, err error) error {
	a.Progress.Phase("putting back", 0)
	undone := undo(ctx, a.Options, a.result.ID)
	switch {
	case undone == nil:
		return fmt.Errorf("%w (everything that was changed is put back)", err)
	case a.Root.Exists(path.Join(StateDir, a.result.ID)):
		return errors.Join(err, fmt.Errorf("putting back what was changed: %w (xcrate rollback tries again)", undone))
	}
	return errors.Join(err, fmt.Errorf("everything that was changed is put back, but for: %w", undone))
}
