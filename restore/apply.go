package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// Result says what an import did.
type Result struct {
	ID     string `json:"id"`
	Plan   *Plan  `json:"plan"`
	Kept   string `json:"kept"`   // where the originals of what was replaced lie
	Tables int    `json:"tables"` // compared with the snapshot after the restore, all equal
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
}

// Apply restores snapshot s: it plans, shows the plan to confirm, and carries
// it out if that returns true. A nil Result means that nothing was changed.
//
// Until every byte that is needed is staged and verified, the host has changed
// in nothing but the work directory. After an error or an interruption
// everything is put back before Apply returns, packages too.
func Apply(ctx context.Context, f content.Fetcher, s *artifact.Snapshot, o Options, log io.Writer, confirm func(*Plan) (bool, error)) (*Result, error) {
	release, err := lock(o.Root)
	if err != nil {
		return nil, err
	}
	defer func() { _ = release() }()
	if err := recoverUnfinished(ctx, o, log); err != nil {
		return nil, err
	}
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
	if p.plan.Empty() {
		return nil, nil
	}
	return p.apply(ctx)
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

func recoverUnfinished(ctx context.Context, o Options, log io.Writer) error {
	ids, err := Unfinished(o.Root)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := fmt.Fprintf(log, "import %s was interrupted: putting back what it had changed\n", id); err != nil {
			return err
		}
		if err := Undo(ctx, o, id); err != nil {
			return err
		}
	}
	return nil
}

// apply carries the plan out.
func (p *planner) apply(ctx context.Context) (_ *Result, err error) {
	id := p.Now.UTC().Format("20060102T150405Z") + "-" + p.snapshot.Descriptor.Digest.Encoded()[:12]
	w, err := newWork(p.Root, id)
	if err != nil {
		return nil, err
	}
	defer w.close()
	a := &applier{planner: p, work: w, result: &Result{ID: w.id, Plan: p.plan, Kept: p.Root.Path(path.Join(StateDir, w.id))}}
	if err := a.run(ctx); err != nil {
		return nil, errors.Join(a.giveUp(context.WithoutCancel(ctx), err), w.unmake())
	}
	return a.result, a.startServices(context.WithoutCancel(ctx))
}

// applier is one import at work.
type applier struct {
	*planner
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

	// How the host was before packages were installed and services stopped.
	before          []artifact.Service
	enforced        bool // SELinux
	installedBefore []artifact.Package
	hadDefinition   bool // of the repository: there is one to be kept

	stopped []string // units, in the order they are started
}

func (a *applier) run(ctx context.Context) (err error) {
	state, err := a.work.state()
	if err != nil {
		return err
	}
	defer func() { _ = state.Close() }()
	if a.journal, err = createJournal(state, a.snapshot.Descriptor.Digest); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.journal.close()) }()
	a.work.journal = a.journal
	own, err := copyCatalog(ctx, a.fetcher, a.snapshot, state)
	if err != nil {
		return err
	}
	a.fetcher = own
	defer func() {
		a.fetcher = own.Fetcher
		err = errors.Join(err, own.close())
	}()
	a.commit = &committer{
		work: a.work, journal: a.journal, owners: a.owners, homes: a.homes(), lost: &a.lost, fault: a.fault,
		places: a.places, near: near{root: a.Root}, beside: besides{work: a.work}, coming: map[string]bool{}, touched: map[string]bool{},
	}
	defer a.commit.near.close()
	defer func() { err = errors.Join(err, a.closeDatabase(context.WithoutCancel(ctx), err != nil)) }()
	return a.carryOut(ctx)
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
	undo := Undo(ctx, a.Options, a.result.ID)
	switch {
	case undo == nil:
		return fmt.Errorf("%w (everything that was changed is put back)", err)
	case a.Root.Exists(path.Join(StateDir, a.result.ID)):
		return errors.Join(err, fmt.Errorf("putting back what was changed: %w (the next import tries again)", undo))
	}
	return errors.Join(err, fmt.Errorf("everything that was changed is put back, but for: %w", undo))
}
