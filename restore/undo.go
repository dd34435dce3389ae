package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
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
// work directories. It may be interrupted and called again.
func Undo(root *host.Root, id string) error {
	state, err := root.OpenDir(path.Join(StateDir, id))
	if err != nil {
		return fmt.Errorf("import %s: %w", id, err)
	}
	defer func() { _ = state.Close() }()
	w := &work{root: root, id: id, dirs: map[uint64]*workDir{}}
	defer w.close()
	if err := w.undo(state); err != nil {
		return fmt.Errorf("import %s: %w", id, err)
	}
	if err := w.sync(); err != nil {
		return err
	}
	return w.discard()
}

// undo takes back every step in the journal of state.
func (w *work) undo(state *host.Dir) error {
	done, err := isFinished(state)
	if err == nil && done {
		err = errors.New("it was finished")
	}
	if err == nil { // all of it can be read, before anything is put back
		err = readBackwards(state, func(record) error { return nil })
	}
	if err != nil {
		return err
	}
	if _, err := w.open(path.Join(StateDir, w.id)); err != nil {
		return err
	}
	u := undoer{work: w, at: near{root: w.root}, from: near{root: w.root}}
	defer u.close()
	return readBackwards(state, func(r record) error {
		if err := u.step(r); err != nil {
			return fmt.Errorf("undo of %s %s: %w", r.Op, w.root.Path(string(r.Path)), err)
		}
		return nil
	})
}

// undoer takes back the steps of an import.
type undoer struct {
	work     *work
	at, from near // where the steps were taken, and the work directories
}

func (u *undoer) close() {
	u.at.close()
	u.from.close()
}

// step takes back one step, which may not have been taken, or been taken back
// already.
func (u *undoer) step(r record) error {
	switch r.Op {
	case opBegin, opDone:
		return nil
	case opWork:
		_, err := u.work.open(string(r.Path))
		return ignoreMissing(err)
	default: // the others act on a name in its directory
	}
	if r.Path == "/" {
		return nil // the root itself
	}
	d, name, err := u.at.parent(string(r.Path))
	if err != nil {
		return ignoreMissing(err)
	}
	switch r.Op {
	case opMkdir, opCreate:
		return ignoreMissing(d.Remove(name))
	case opReplace, opRemove:
		from, slot, err := u.from.parent(path.Join(string(r.Work), r.Slot))
		if err != nil {
			return ignoreMissing(err)
		}
		return ignoreMissing(from.Rename(slot, d, name))
	case opAttr:
		_, err := archive.SetAttributes(d, name, *r.Entry, archive.Owner{UID: r.Entry.UID, GID: r.Entry.GID, AsIs: unix.Geteuid() != 0})
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
