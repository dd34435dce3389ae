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
	// Lost names files with the extended attributes their filesystem did not take.
	Lost map[string][]string `json:"lost,omitempty"`
}

// Apply restores snapshot s: it plans, shows the plan to confirm, and carries
// it out if that returns true. A nil Result means that nothing was changed.
//
// Until every byte that is needed is staged and verified, the host has changed
// in nothing but the work directory. After an error or an interruption
// everything but installed packages is put back before Apply returns.
func Apply(ctx context.Context, f content.Fetcher, s *artifact.Snapshot, o Options, log io.Writer, confirm func(*Plan) (bool, error)) (*Result, error) {
	release, err := lock(o.Root)
	if err != nil {
		return nil, err
	}
	defer func() { _ = release() }()
	if err := recoverUnfinished(o.Root, log); err != nil {
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

func recoverUnfinished(root *host.Root, log io.Writer) error {
	ids, err := Unfinished(root)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := fmt.Fprintf(log, "import %s was interrupted: putting back what it had changed\n", id); err != nil {
			return err
		}
		if err := Undo(root, id); err != nil {
			return err
		}
	}
	return nil
}

// apply carries the plan out. The order is that of the reference, 4.3:
// everything verified, packages, services stopped, then files, then the
// database, because each installs or generates what the next replaces.
func (p *planner) apply(ctx context.Context) (_ *Result, err error) {
	id := p.Now.UTC().Format("20060102T150405Z") + "-" + p.snapshot.Descriptor.Digest.Encoded()[:12]
	w, err := newWork(p.Root, id)
	if err != nil {
		return nil, err
	}
	defer w.close()
	a := &applier{planner: p, work: w, result: &Result{ID: w.id, Plan: p.plan, Kept: p.Root.Path(path.Join(StateDir, w.id))}}
	stopped, err := a.run(ctx)
	if err != nil {
		err = errors.Join(a.giveUp(err), w.unmake())
		return nil, errors.Join(err, a.startServices(context.WithoutCancel(ctx), stopped))
	}
	return a.result, a.startServices(context.WithoutCancel(ctx), stopped)
}

// applier is one import at work.
type applier struct {
	*planner
	work    *work
	journal *journal
	commit  *committer
	tables  []stagedTable
	result  *Result
	lost    losses

	installed bool // packages were installed: what giveUp does not undo
}

func (a *applier) run(ctx context.Context) (stopped []string, err error) {
	state, err := a.work.state()
	if err != nil {
		return nil, err
	}
	defer func() { _ = state.Close() }()
	if a.journal, err = createJournal(state, a.snapshot.Descriptor.Digest); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.journal.close()) }()
	a.work.journal = a.journal
	own, err := copyCatalog(ctx, a.fetcher, a.snapshot, state)
	if err != nil {
		return nil, err
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
	if err := a.stageAll(ctx); err != nil {
		return nil, err
	}
	if err := a.installPackages(ctx); err != nil {
		return nil, err
	}
	if stopped, err = a.stopServices(ctx); err != nil {
		return stopped, err
	}
	if err := a.place(ctx); err != nil {
		return stopped, err
	}
	a.result.Lost = a.lost.byPath
	if err := a.work.sync(); err != nil {
		return stopped, err
	}
	return stopped, errors.Join(a.journal.write(record{Op: opDone}), a.journal.sync())
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

// place commits: accounts, what has to go, files, database, directories.
func (a *applier) place(ctx context.Context) error {
	a.Progress.Phase("committing", 0)
	if err := a.makeAccounts(); err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	for _, p := range a.plan.Remove {
		if err := a.commit.remove(p); err != nil {
			return fmt.Errorf("file %s: %w", a.Root.Path(p), err)
		}
	}
	if err := a.placeFiles(ctx, func(k artifact.Kind) bool { return k != artifact.KindPackages }); err != nil {
		return err
	}
	if err := a.placeDatabase(ctx); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if err := a.work.tidy(); err != nil { // before the directories get their times
		return err
	}
	if err := a.commit.finishDirs(ctx, &a.plan.files); err != nil {
		return err
	}
	return a.readBack(ctx)
}

// giveUp puts everything back after err.
func (a *applier) giveUp(err error) error {
	if a.installed {
		err = fmt.Errorf("%w (packages that were installed stay installed)", err)
	}
	if undo := Undo(a.Root, a.result.ID); undo != nil {
		return errors.Join(err, fmt.Errorf("putting back what was changed: %w (the next import tries again)", undo))
	}
	return err
}
