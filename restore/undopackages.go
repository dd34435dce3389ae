package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/service"
)

// undoLog lies beside the journal while an undo runs and holds what the package
// manager said.
const undoLog = "packages-undo.log"

// quiesce stops the stack's services before anything of theirs is put back: the
// packages, or a boot since, have started them.
func (u *undoer) quiesce(ctx context.Context) error {
	if u.quiet {
		return nil
	}
	units, err := activeUnits(ctx, u.Root, u.Runner, u.Stack)
	if err != nil {
		return err
	}
	for _, unit := range slices.Backward(units) {
		if err := service.Stop(ctx, u.Runner, unit); err != nil {
			return err
		}
	}
	u.quiet = true
	return nil
}

// packages has the package manager bring back what was installed before.
func (u *undoer) packages(ctx context.Context) (err error) {
	var before []artifact.Package
	if err := readJSON(u.state, packagesBefore, &before); err != nil {
		return err
	}
	manager, err := u.findManager(ctx)
	if err != nil {
		return err
	}
	now, err := manager.Installed(ctx)
	if err != nil {
		return fmt.Errorf("packages: %w", err)
	}
	if before, err = wasInstalled(u.state, before, now); err != nil {
		return err
	}
	log, err := u.log()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	u.forget()
	if err := manager.Undo(ctx, before, log); err != nil {
		u.left = append(u.left, fmt.Errorf("packages: %w", err))
	}
	return ctx.Err()
}

// log makes undoLog, anew if an undo was interrupted.
func (u *undoer) log() (io.WriteCloser, error) {
	if err := u.state.Remove(undoLog); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return u.state.Create(undoLog)
}

// saved puts back the trees that scripts of packages changed.
func (u *undoer) saved(ctx context.Context, r record) error {
	var trees []string
	for _, p := range r.Trees {
		trees = append(trees, string(p))
	}
	wanted := func(string) bool { return true }
	if u.changes != nil {
		wanted = func(p string) bool { return u.changes[p] || u.replaced[p] }
	}
	if err := u.work.dropNew(ctx, u.state, trees, wanted); err != nil {
		return err
	}
	_, err := u.work.putBack(ctx, u.state, wanted)
	return err
}

// services starts what ran before the import. It comes last: everything is back.
func (u *undoer) services(ctx context.Context, r record) error {
	if !service.Running(u.Root) {
		return nil
	}
	if err := service.Reload(ctx, u.Runner); err != nil {
		return err
	}
	if err := asBefore(ctx, u.Root, u.Runner, r.Services, r.Enforcing); err != nil {
		u.left = append(u.left, err)
	}
	return ctx.Err()
}
