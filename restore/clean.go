package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/xcrate/xcrate/internal/host"
)

// Clean removes what is kept to go back from import id. What it did, and the report
// of it, stay.
func Clean(ctx context.Context, root *host.Root, id string) (freed int64, err error) {
	release, err := lock(root)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, release()) }()
	one, err := readImport(root, id)
	if err == nil {
		err = one.measure(root)
	}
	if err != nil {
		return 0, err
	}
	switch one.Phase {
	case PhaseDone, PhaseCleaned:
	case PhaseWaiting:
		return 0, fmt.Errorf("import %s: it waits for the first boot of %s", id, root.Dir())
	case PhaseInterrupted, PhaseStarting:
		return 0, fmt.Errorf("import %s: %w", id, ErrUnfinished)
	}
	state, err := openImport(root, id)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	if err := clean(ctx, root, state); err != nil {
		return 0, fmt.Errorf("import %s: %w", id, err)
	}
	was := one.Size
	err = one.measure(root)
	return was - one.Size, err
}

// clean is Clean for the import with this state directory. The mark comes first: an
// import whose originals go is none to go back from.
func clean(ctx context.Context, root *host.Root, state *host.Dir) error {
	f, err := state.Append(cleanedFile)
	if err != nil {
		return err
	}
	works, err := workDirs(state)
	if err := errors.Join(err, f.Sync(), f.Close(), state.Sync()); err != nil {
		return err
	}
	if err := ignoreMissing(state.Remove(journalFile)); err != nil {
		return err
	}
	for _, p := range works {
		parent, name, err := root.OpenParent(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(ctx.Err(), parent.RemoveAll(name), parent.Close()); err != nil {
			return err
		}
	}
	names, err := state.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if slices.Contains([]string{importFile, configFile, planFile, cleanedFile, changedFile, reportFile, reportText}, name) {
			continue
		}
		if err := errors.Join(ctx.Err(), state.RemoveAll(name)); err != nil {
			return err
		}
	}
	return nil
}
