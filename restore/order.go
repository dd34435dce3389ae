package restore

import (
	"context"
	"errors"
	"fmt"

	"github.com/xcrate/xcrate/artifact"
)

// act is a step of an import.
type act struct {
	name string
	why  string // it comes where it does
	do   func(context.Context) error
}

// order is what an import does once its plan was agreed to. Package scripts are
// what decides it: those of xCAT run "xcatconfig -i", which makes a CA, keys and
// database rows of its own, enables and starts services, and switches firewall
// and SELinux off. So packages come first, what they switched off is put back,
// what they made is replaced.
func (a *applier) order() []act {
	return []act{
		{"stage", "until all that is needed is unpacked and verified, nothing changes", a.stageAll},
		{"remember", "only what was there before tells an undo what scripts changed", a.remember},
		{"repository", "the package manager reads files of the host: the medium may be gone", a.placeRepository},
		{"packages", "before any file: what their scripts make is replaced by what the snapshot has", a.installPackages},
		{"settings", "before anything is started: firewall and SELinux are the host's, whatever scripts did", a.keepSettings},
		{"stop", "before files: daemons keep them open, and write them when they end", a.stopServices},
		{"compare", "after packages and daemons: what they wrote differs from what the plan saw", a.compareAgain},
		{"accounts", "before files: owners are known by name", a.placeAccounts},
		{"remove", "before files: certificates of another CA must not mix with the restored ones", a.placeRemovals},
		{"files", "before the database: it may lie in a directory that comes with them", a.placeTrees},
		{"server", "before the tables: who reads them has to be known to it", a.setUpServer},
		{"database", "after xcatd was stopped, which keeps its tables open", a.placeDatabase},
		{"cfgloc", "once the tables are there: xCAT waits for minutes for a database that does not answer", a.placeCfgloc},
		{"directories", "last of all changes: each changes the time of the directory it is in", a.finishDirectories},
		{"read back", "the database is only restored when every row of it was read and is equal", a.readBack},
	}
}

// carryOut takes the steps of the order.
func (a *applier) carryOut(ctx context.Context) error {
	for _, step := range a.order() {
		if err := a.step(ctx, step); err != nil {
			return err
		}
	}
	a.result.Lost = a.lost.byPath
	if err := errors.Join(a.dropStaged(), a.leaveServer(ctx)); err != nil {
		return err
	}
	if err := a.work.sync(); err != nil {
		return err
	}
	return errors.Join(a.journal.write(record{Op: opDone}), a.journal.sync())
}

func (a *applier) step(ctx context.Context, s act) error {
	if err := errors.Join(ctx.Err(), s.do(ctx)); err != nil {
		return err
	}
	return a.fault()
}

// installs reports whether the package manager is run.
func (a *applier) installs() bool {
	return a.manager != nil && len(a.plan.Packages.Install)+len(a.plan.Packages.Names) > 0
}

func (a *applier) placeAccounts(context.Context) error {
	a.Progress.Phase("committing", 0)
	if err := a.makeAccounts(); err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	return nil
}

func (a *applier) placeRemovals(context.Context) error {
	for _, p := range a.plan.Remove {
		if err := a.commit.remove(p); err != nil {
			return fmt.Errorf("file %s: %w", a.Root.Path(p), err)
		}
	}
	return nil
}

func (a *applier) placeTrees(ctx context.Context) error {
	return a.placeFiles(ctx, func(k artifact.Kind) bool { return k != artifact.KindPackages })
}

func (a *applier) finishDirectories(ctx context.Context) error {
	if err := a.work.tidy(); err != nil { // before the directories get their times
		return err
	}
	return a.commit.finishDirs(ctx, &a.plan.files)
}
