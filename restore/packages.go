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
	var repository []change
	repository, a.plan.changes = split(a.plan.changes, artifact.KindPackages)
	if err := a.commit.commit(ctx, repository); err != nil {
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
	err = a.manager.Install(context.WithoutCancel(ctx), pkgmgr.Repo{Dir: RepositoryDir}, a.plan.Packages.Install, log)
	return errors.Join(err, ctx.Err())
}

func split(all []change, k artifact.Kind) (of, rest []change) {
	for _, c := range all {
		if c.entry.Kind == k {
			of = append(of, c)
		} else {
			rest = append(rest, c)
		}
	}
	return of, rest
}

// compareAgain plans once more after packages were installed, because they may
// have made accounts and replaced files that were as the snapshot has them.
func (a *applier) compareAgain(ctx context.Context) error {
	accounts, err := host.ReadAccounts(a.Root)
	if err != nil {
		return err
	}
	a.owners.accounts = accounts
	staged := map[string]string{}
	for _, c := range a.plan.changes {
		staged[string(c.entry.Kind)+"\x00"+c.entry.Path] = c.slot
	}
	again := &planner{Options: a.Options, fetcher: a.fetcher, snapshot: a.snapshot, owners: a.owners, plan: &Plan{}, need: map[uint64]*Space{}}
	again.Skip = append([]artifact.Kind{artifact.KindPackages}, a.Skip...)
	for _, step := range []func(context.Context) error{again.accounts, again.files, again.mirrors, again.database} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	var missing []change
	for i, c := range again.plan.changes {
		slot, ok := staged[string(c.entry.Kind)+"\x00"+c.entry.Path]
		if !ok {
			missing = append(missing, c)
		}
		again.plan.changes[i].slot = slot
	}
	if err := a.stager().stage(ctx, missing); err != nil {
		return err
	}
	for _, c := range missing {
		staged[string(c.entry.Kind)+"\x00"+c.entry.Path] = c.slot
	}
	for i, c := range again.plan.changes {
		again.plan.changes[i].slot = staged[string(c.entry.Kind)+"\x00"+c.entry.Path]
	}
	for _, f := range again.plan.Findings {
		if f.Code == CodeConflict { // the other checks were about the host before
			return fmt.Errorf("%w: %s", ErrBlocked, f.Message)
		}
	}
	if err := a.dropUnused(again.plan.changes); err != nil {
		return err
	}
	for _, p := range a.plan.Remove { // the repository was not compared again
		if strings.HasPrefix(p, RepositoryDir+"/") {
			again.plan.Remove = append(again.plan.Remove, p)
		}
	}
	a.plan.changes, a.plan.Remove, a.plan.Accounts, a.dirs = again.plan.changes, again.plan.Remove, again.plan.Accounts, again.dirs
	return a.databaseAgain(ctx, again.plan.Database)
}

// dropUnused removes what was staged for entries that need no change any more:
// a package has brought the very same file.
func (a *applier) dropUnused(still []change) error {
	used := map[string]bool{}
	for _, c := range still {
		used[c.slot] = true
	}
	for _, c := range a.plan.changes {
		if c.slot == "" || used[c.slot] {
			continue
		}
		d, err := a.work.beside(c.path)
		if err != nil {
			return err
		}
		if err := d.Remove(c.slot); err != nil {
			return err
		}
	}
	return nil
}
