package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
)

// Unfinished returns the ids of imports into root that were neither finished
// nor undone: the machine stopped, or the program was killed.
func Unfinished(root *host.Root) ([]string, error) {
	ids, err := root.Names(StateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("imports: %w", err)
	}
	var open []string
	for _, id := range ids {
		state, err := root.OpenDir(path.Join(StateDir, id))
		if err != nil {
			return nil, fmt.Errorf("import %s: %w", id, err)
		}
		done, err := isFinished(state)
		_ = state.Close()
		if err != nil {
			return nil, fmt.Errorf("import %s: %w", id, err)
		}
		if !done {
			open = append(open, id)
		}
	}
	return open, nil
}

// Undo puts everything back that unfinished import id changed, and removes its
// work directories. It may be interrupted and called again. Of o it needs Root,
// Runner and Stack.
func Undo(ctx context.Context, o Options, id string) error {
	state, err := o.Root.OpenDir(path.Join(StateDir, id))
	if err != nil {
		return fmt.Errorf("import %s: %w", id, err)
	}
	defer func() { _ = state.Close() }()
	u := undoer{Options: o, work: &work{root: o.Root, id: id, dirs: map[uint64]*workDir{}}, state: state, at: near{root: o.Root}, from: near{root: o.Root}}
	defer u.work.close()
	defer u.close()
	if err := u.undo(ctx); err != nil {
		return fmt.Errorf("import %s: %w", id, err)
	}
	if err := u.work.sync(); err != nil {
		return err
	}
	return errors.Join(append(u.left, u.work.discard())...)
}

// undoer takes back the steps of an import.
type undoer struct {
	Options
	work     *work
	state    *host.Dir
	at, from near // where the steps were taken, and the work directories
	quiet    bool // the stack's services do not run
	// left is what could not be put back and will not be the next time either:
	// an older package that no repository has any more, a service that does not
	// start. It must not keep the rest from being put back, nor the next import.
	left []error
}

func (u *undoer) close() {
	u.at.close()
	u.from.close()
}

// undo takes back every step in the journal.
func (u *undoer) undo(ctx context.Context) error {
	done, err := isFinished(u.state)
	if err == nil && done {
		err = errors.New("it was finished")
	}
	if err == nil { // all of it can be read, before anything is put back
		err = readBackwards(u.state, func(record) error { return nil })
	}
	if err == nil {
		err = u.endStack(ctx)
	}
	if err != nil {
		return err
	}
	if _, err := u.work.open(path.Join(StateDir, u.work.id)); err != nil {
		return err
	}
	return readBackwards(u.state, func(r record) error {
		if err := u.step(ctx, r); err != nil {
			return fmt.Errorf("undo of %s %s: %w", r.Op, u.Root.Path(string(r.Path)), err)
		}
		return nil
	})
}

// step takes back one step, which may not have been taken, or been taken back
// already.
func (u *undoer) step(ctx context.Context, r record) error {
	switch r.Op {
	case opBegin, opDone:
		return nil
	case opWork:
		_, err := u.work.open(string(r.Path))
		return ignoreMissing(err)
	case opServices:
		return u.services(ctx, r)
	default:
	}
	if err := u.quiesce(ctx); err != nil {
		return err
	}
	switch r.Op {
	case opTables:
		return u.tables(ctx, r.Path != "")
	case opServer:
		return u.acted(ctx, database.Engine(r.Path))
	case opPackages:
		return u.packages(ctx)
	case opSaved:
		return u.saved(ctx, r)
	default: // the others act on a name in its directory
		return u.name(r)
	}
}

// leave goes on where a directory cannot be removed, because something was put
// or mounted there since: what it holds is somebody's.
func (u *undoer) leave(err error) error {
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOTEMPTY) {
		u.left = append(u.left, err)
		return nil
	}
	return err
}

// keep makes directory e again if it is gone.
func keep(d *host.Dir, name string, e artifact.Entry) error {
	_, err := d.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = new(archive.Maker).Create(d, name, e, archive.Owner{UID: e.UID, GID: e.GID, AsIs: !isRoot()}, nil)
	}
	return err
}

// name takes back a step that acted on a name in its directory.
func (u *undoer) name(r record) error {
	if r.Path == "/" {
		return nil // the root itself
	}
	d, name, err := u.at.parent(string(r.Path))
	if err != nil {
		return ignoreMissing(err)
	}
	switch r.Op {
	case opMkdir, opCreate:
		return u.leave(ignoreMissing(d.Remove(name)))
	case opMade:
		return u.leave(d.RemoveAll(name))
	case opKeep:
		return keep(d, name, *r.Entry)
	case opReplace, opRemove:
		from, slot, err := u.from.parent(path.Join(string(r.Work), r.Slot))
		if err != nil {
			return ignoreMissing(err)
		}
		return ignoreMissing(from.Rename(slot, d, name))
	case opAttr:
		_, err := archive.SetAttributes(d, name, *r.Entry, archive.Owner{UID: r.Entry.UID, GID: r.Entry.GID, AsIs: !isRoot()})
		return ignoreMissing(err)
	default:
		return fmt.Errorf("unknown step %q", r.Op)
	}
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// noNames leaves owners as numbers: what the journal keeps is for this host.
type noNames struct{}

func (noNames) User(int) string  { return "" }
func (noNames) Group(int) string { return "" }

// attributesOf returns name in d as the journal keeps it.
func attributesOf(d *host.Dir, name, p string) (*artifact.Entry, error) {
	e, _, err := archive.Stat(d, name, p, noNames{})
	return &e, err
}
