package restore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/pkgmgr"
)

// installPackages puts the repository in place and has the package manager
// install from it. What the packages' scripts generate is replaced afterwards.
func (a *applier) installPackages(ctx context.Context) error {
	if err := a.placeFiles(ctx, func(k artifact.Kind) bool { return k == artifact.KindPackages }); err != nil {
		return err
	}
	if a.manager == nil || len(a.plan.Packages.Install) == 0 {
		return nil
	}
	a.Progress.Phase("installing packages", 0)
	if err := a.runManager(ctx); err != nil {
		return fmt.Errorf("packages: %w", err)
	}
	return a.compareAgain(ctx)
}

// packagesLog lies beside the journal and holds what the package manager said.
const packagesLog = "packages.log"

func (a *applier) runManager(ctx context.Context) (err error) {
	state, err := a.work.state()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	log, err := state.Create(packagesLog)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	// A transaction that has begun is let end: half of one is worse than waiting.
	a.installed = true
	err = a.manager.Install(context.WithoutCancel(ctx), pkgmgr.Repo{Dir: RepositoryDir}, pkgmgr.Request{Packages: a.plan.Packages.Install}, log)
	return errors.Join(err, ctx.Err())
}

// compareAgain plans once more after packages were installed, because they may
// have made accounts and replaced files that were as the snapshot has them.
func (a *applier) compareAgain(ctx context.Context) error {
	accounts, err := host.ReadAccounts(a.Root)
	if err != nil {
		return err
	}
	a.owners.accounts = accounts
	a.commit.ownersChanged = true
	again := &planner{
		Options: a.Options, fetcher: a.fetcher, snapshot: a.snapshot, owners: a.owners, plan: &Plan{},
		need: map[uint64]*Space{}, mount: mountOf{root: a.Root}, places: a.places,
	}
	again.Skip = append([]artifact.Kind{artifact.KindPackages}, a.Skip...)
	for _, step := range []func(context.Context) error{again.accounts, again.files, again.mirrors, again.database} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	before, now := a.plan.files.states, again.plan.files.states
	if err := a.stager().stage(ctx, &again.plan.files, func(n int, s state) bool { return s.missing() && !before[n].missing() }); err != nil {
		return err
	}
	for _, f := range again.plan.Findings {
		if f.Code == CodeConflict { // the other checks were about the host before
			return fmt.Errorf("%w: %s", ErrBlocked, f.Message)
		}
	}
	if err := a.dropUnused(ctx, now); err != nil {
		return err
	}
	for _, p := range a.plan.Remove { // the repository was not compared again
		if strings.HasPrefix(p, RepositoryDir+"/") {
			again.plan.Remove = append(again.plan.Remove, p)
		}
	}
	a.plan.Remove, a.plan.Accounts = again.plan.Remove, again.plan.Accounts
	return a.databaseAgain(ctx, again.plan.Database)
}

// dropUnused takes over the states the entries have now, and removes what was
// staged for those that need no change any more: a package has brought the very
// same file. The repository has its states still.
func (a *applier) dropUnused(ctx context.Context, now []state) error {
	beside := besides{work: a.work}
	err := a.plan.files.each(ctx, func(n int, s state, e artifact.Entry) error {
		if e.Kind == artifact.KindPackages {
			now[n] = s
		}
		if !s.missing() || now[n].missing() || !hasSlot(e) || !e.IsFirst() {
			return nil
		}
		d, err := beside.of(a.target(e))
		if err != nil {
			return err
		}
		return d.Remove(stagedSlot(n, e))
	})
	a.plan.files.states = now
	return err
}
