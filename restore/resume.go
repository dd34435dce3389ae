package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"oras.land/oras-go/v2/content"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
)

// ErrNothingOpen says that there is no import to be finished.
var ErrNothingOpen = errors.New("no import was interrupted")

// Opener opens the snapshot of an import again. The function it returns closes it.
type Opener func(ctx context.Context, one Import) (content.Fetcher, *artifact.Snapshot, func() error, error)

// Resume finishes the import that was interrupted. What it was told then counts, not
// o.Choices. Where packages were not all installed nothing but packages can have
// changed: that is taken back, and the import begins again, because no package manager
// can go on with half a transaction. After that it goes on with what is left to do.
// confirm is shown a plan as by Apply; where only services are left to be started it is
// not asked.
//
// After an error the import can be resumed again, or rolled back.
func Resume(ctx context.Context, o Options, open Opener, confirm func(*Plan) (bool, error)) (*Result, error) {
	release, err := lock(o.Root)
	if err != nil {
		return nil, err
	}
	defer func() { _ = release() }()
	one, err := unfinished(ctx, o)
	if err != nil {
		return nil, err
	}
	if one == nil {
		return nil, ErrNothingOpen
	}
	o.Choices, o.Allow, o.Source = one.Choices, allowing(one.Allow), one.Source
	// The tables it has put there are not another node's.
	o.Allow[CodeNodes] = true
	o = o.complete()
	state, err := openImport(o.Root, one.ID)
	if err != nil {
		return nil, err
	}
	defer func() { _ = state.Close() }()
	r, err := readReached(state)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", one.ID, err)
	}
	if r.committed {
		return resumeStart(ctx, o, *one, state, r)
	}
	return resumePlace(ctx, o, *one, state, r, open, confirm)
}

// unfinished is Unfinished, but for an import that was killed before it had written
// down what it was. It has changed nothing, and goes.
func unfinished(ctx context.Context, o Options) (*Import, error) {
	one, err := Unfinished(o.Root)
	if err != nil || one == nil || one.Snapshot != "" {
		return one, err
	}
	return nil, undo(ctx, o, one.ID)
}

// resumePlace finishes an import of which not everything is in place.
func resumePlace(ctx context.Context, o Options, one Import, state *host.Dir, r reached, open Opener, confirm func(*Plan) (bool, error)) (result *Result, err error) {
	f, s, closeSource, err := open(ctx, one)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeSource()) }()
	if s.Descriptor.Digest != one.Snapshot {
		return nil, fmt.Errorf("snapshot: digest %s, the import was of %s", s.Descriptor.Digest, one.Snapshot)
	}
	if !r.took["packages"] {
		if err := undo(ctx, o, one.ID); err != nil {
			return nil, err
		}
		p, err := agree(ctx, f, s, o, confirm)
		if err != nil || p == nil || p.plan.Empty() {
			return nil, err
		}
		return p.apply(ctx)
	}
	if r.server != "" && !r.took["server"] { // half a cluster is none
		if err := takeBackServer(ctx, o, one.ID, r.server); err != nil {
			return nil, fmt.Errorf("import %s: %w", one.ID, err)
		}
	}
	if r.packages {
		o.saved = state
	}
	p, err := agree(ctx, f, s, o, confirm)
	if err != nil || p == nil {
		return nil, err
	}
	return p.goOn(ctx, one, state, r)
}

// takeBackServer undoes what an import had begun to set up on the database server.
func takeBackServer(ctx context.Context, o Options, id string, engine database.Engine) error {
	u, err := newUndoer(o, id)
	if err != nil {
		return err
	}
	defer u.close()
	if err := u.quiesce(ctx); err != nil {
		return err
	}
	return u.acted(ctx, engine)
}

// goOn takes what is left of the steps of an import.
func (p *planner) goOn(ctx context.Context, one Import, state *host.Dir, r reached) (*Result, error) {
	w, err := oldWork(p.Root, one.ID, r)
	if err != nil {
		return nil, err
	}
	defer w.close()
	a := newApplier(p, w)
	a.past, a.before, a.enforced, a.touched = r, r.services, r.enforcing, one.Touched
	if a.kept, err = wasKept(state, r); err != nil {
		return nil, err
	}
	if err := errors.Join(w.dropSlots(), state.RemoveAll(stagedDir)); err != nil {
		return nil, err
	}
	if a.journal, err = openJournal(state); err != nil {
		return nil, err
	}
	if err := a.run(ctx); err != nil {
		return nil, fmt.Errorf("import %s: %w: %w", one.ID, ErrHalfway, errors.Join(err, a.journal.close()))
	}
	err = a.start(context.WithoutCancel(ctx))
	return a.result, errors.Join(err, a.journal.close())
}

// wasKept reports whether the dump of the server's tables is there: once it is,
// another would be of tables that were replaced.
func wasKept(state *host.Dir, r reached) (bool, error) {
	_, err := state.Lstat(keptDir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return r.tables && err == nil, err
}

// resumeStart takes the steps that come once everything is in place.
func resumeStart(ctx context.Context, o Options, one Import, state *host.Dir, r reached) (*Result, error) {
	a, err := reopen(o, one, state, r)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", one.ID, err)
	}
	defer a.work.close()
	whole := context.WithoutCancel(ctx)
	err = a.enableServices(whole) // of a standby that was being activated
	if err == nil {
		err = a.start(whole)
	}
	return a.result, errors.Join(err, a.journal.close())
}

// reopen returns an import of which everything is in place, for what comes after. It
// needs no snapshot: what has to be known of that lies beside the journal.
func reopen(o Options, one Import, state *host.Dir, r reached) (*applier, error) {
	config, err := readConfig(state)
	if err != nil {
		return nil, err
	}
	accounts, err := host.ReadAccounts(o.Root)
	if err != nil {
		return nil, err
	}
	plan := &Plan{}
	if err := readJSON(state, planFile, plan); err != nil {
		return nil, err
	}
	plan.Commands = complete(o.Stack, plan.Commands)
	w, err := oldWork(o.Root, one.ID, r)
	if err != nil {
		return nil, err
	}
	p := &planner{
		Options: o, snapshot: &artifact.Snapshot{Config: config}, plan: plan,
		owners: &owners{accounts: accounts, asIs: !isRoot()},
	}
	a := newApplier(p, w)
	a.result.Plan = nil // it was shown when it was agreed to
	a.past, a.before, a.enforced, a.touched = r, r.services, r.enforcing, one.Touched
	if a.journal, err = openJournal(state); err != nil {
		w.close()
		return nil, err
	}
	w.journal = a.journal
	a.commit = newCommitter(a)
	return a, nil
}
