package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/database"
	"github.com/xcrate/xcrate/internal/host"
)

// undo puts everything back that import id changed, and removes its work
// directories. It may be interrupted and called again. Of o it needs Root, Runner
// and Stack.
func undo(ctx context.Context, o Options, id string) error {
	u, err := newUndoer(o, id)
	if err != nil {
		return fmt.Errorf("import %s: %w", id, err)
	}
	defer u.close()
	if err := u.undo(ctx); err != nil {
		return fmt.Errorf("import %s: %w", id, err)
	}
	if err := u.putAccounts(); err != nil {
		return fmt.Errorf("import %s: accounts: %w", id, err)
	}
	if err := u.work.sync(); err != nil {
		return err
	}
	errs := append(u.left, u.work.discard())
	for _, made := range u.past.works {
		errs = append(errs, asWas(o.Root, path.Dir(string(made.Path)), made.Entry))
	}
	return errors.Join(append(errs, unmake(o.Root, u.past.begin))...)
}

func newUndoer(o Options, id string) (*undoer, error) {
	state, err := openImport(o.Root, id)
	if err != nil {
		return nil, err
	}
	u := &undoer{Options: o, state: state, at: near{root: o.Root}, from: near{root: o.Root}, replaced: map[string]bool{}}
	if u.work, err = workOf(o.Root, id); err != nil {
		return nil, errors.Join(err, state.Close())
	}
	if u.past, err = readReached(state); err != nil { // all of it can be read, before anything is put back
		u.close()
		return nil, err
	}
	if u.changes, u.end, err = readChanges(state); err != nil {
		u.close()
		return nil, err
	}
	return u, nil
}

// undoer takes back the steps of an import.
type undoer struct {
	Options
	past     reached
	work     *work
	state    *host.Dir
	at, from near // where the steps were taken, and the work directories
	quiet    bool // the stack's services do not run
	// changes are what the import left changed in the saved trees, nil if it did not
	// end, which it did at that time.
	changes map[string]bool
	end     unix.Timespec
	// replaced are paths below what packages made or changed whose content the
	// import had replaced: what is put back there first is what scripts had made.
	replaced map[string]bool
	accounts map[string][]byte // what account files held that were changed since
	// left is what could not be put back and will not be the next time either:
	// an older package that no repository has any more, a service that does not
	// start. It must not keep the rest from being put back, nor the next import.
	left []error
}

func (u *undoer) close() {
	u.forget()
	u.work.close()
	_ = u.state.Close()
}

// forget closes the directories that are open: they may be removed and made again.
func (u *undoer) forget() {
	u.at.close()
	u.from.close()
}

// undo takes back every step in the journal.
func (u *undoer) undo(ctx context.Context) error {
	if err := errors.Join(u.endStack(ctx), u.accountsNow()); err != nil {
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
	case opBegin, opDone, opStep, opTook, opWait, opEnd:
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
	case opNames:
		u.note(string(r.Path))
		return u.names(r)
	default: // the others act on a name in its directory
		u.note(string(r.Path))
		return u.name(r)
	}
}

// note keeps the path of a step that is taken back below what packages made or
// changed, after the end of an import, when not all that lies there is its work.
func (u *undoer) note(p string) {
	if u.changes == nil {
		return
	}
	for _, dir := range slices.Concat(u.past.made, u.past.saved) {
		if isBelow(p, dir) {
			u.replaced[p] = true
			return
		}
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

// removeMade takes away what packages made at p.
func (u *undoer) removeMade(d *host.Dir, name, p string) error {
	if u.changes == nil {
		return u.leave(d.RemoveAll(name))
	}
	kept, err := removeMade(d, name, p, func(p string, st host.Stat) bool { return later(st, u.end) && !u.replaced[p] })
	if len(kept) > 0 && !isBelow(p, "/var/log") { // logs go on, and nobody wants them back
		u.left = append(u.left, fmt.Errorf("%s: %d files came since the import ended, and stay", u.Root.Path(p), len(kept)))
	}
	return u.leave(err)
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
	d, name, err := u.at.parent(string(r.Path))
	if r.Path == "/" {
		name = "."
	}
	if err != nil {
		return ignoreMissing(err)
	}
	switch r.Op {
	case opMkdir:
		if st, err := d.Lstat(name); err != nil || !st.IsDir() {
			return ignoreMissing(err) // not made, because something else was there
		}
		return u.leave(ignoreMissing(d.Remove(name)))
	case opCreate:
		return u.leave(ignoreMissing(d.Remove(name)))
	case opMade:
		return u.removeMade(d, name, string(r.Path))
	case opKeep:
		return keep(d, name, *r.Entry)
	case opReplace, opRemove:
		from, slot, err := u.from.parent(path.Join(string(r.Work), r.Slot))
		if err != nil {
			return ignoreMissing(err)
		}
		if _, err := from.Lstat(slot); err != nil {
			return ignoreMissing(err) // a step that was not taken: what is there was never moved
		}
		return from.Rename(slot, d, name)
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
