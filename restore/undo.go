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
		records, err := readJournal(state)
		_ = state.Close()
		if err != nil {
			return nil, fmt.Errorf("import %s: %w", id, err)
		}
		if len(records) == 0 || records[len(records)-1].Op != opDone {
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
	records, err := readJournal(state)
	if err = errors.Join(err, state.Close()); err != nil {
		return fmt.Errorf("import %s: %w", id, err)
	}
	if n := len(records); n > 0 && records[n-1].Op == opDone {
		return fmt.Errorf("import %s: it was finished", id)
	}
	w := &work{root: root, id: id, dirs: map[uint64]*workDir{}}
	defer w.close()
	if _, err := w.open(path.Join(StateDir, id)); err != nil {
		return err
	}
	for i := len(records) - 1; i >= 0; i-- {
		if err := w.undoStep(records[i]); err != nil {
			return fmt.Errorf("import %s: undo of %s %s: %w", id, records[i].Op, root.Path(string(records[i].Path)), err)
		}
	}
	if err := w.sync(); err != nil {
		return err
	}
	return w.discard()
}

// undoStep takes back one step, which may not have been taken, or been taken
// back already.
func (w *work) undoStep(r record) error {
	switch r.Op {
	case opBegin, opDone:
		return nil
	case opWork:
		_, err := w.open(string(r.Path))
		return ignoreMissing(err)
	default: // the others act on a name in its directory
	}
	d, name, err := w.root.OpenParent(string(r.Path))
	if err != nil {
		return ignoreMissing(err)
	}
	defer func() { _ = d.Close() }()
	switch r.Op {
	case opMkdir, opCreate:
		return ignoreMissing(d.Remove(name))
	case opReplace, opRemove:
		from, err := w.root.OpenDir(string(r.Work))
		if err != nil {
			return ignoreMissing(err)
		}
		defer func() { _ = from.Close() }()
		return ignoreMissing(from.Rename(r.Slot, d, name))
	case opAttr:
		if name == "" {
			return nil // the root itself
		}
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
