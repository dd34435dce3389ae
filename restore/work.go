package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/host"
)

// work is where an import keeps what is staged and what was replaced: one
// directory per filesystem, mode 0700, so that everything gets into place by
// rename. On the filesystem of StateDir it lies there; on another at the top
// of that filesystem.
type work struct {
	root    *host.Root
	id      string
	journal *journal // told of every directory before it is made
	mu      sync.Mutex
	dirs    map[uint64]*workDir // by device
	next    int
	made    []string // directories above the state directory that were not there
}

type workDir struct {
	*host.Dir
	path string
}

func newWork(root *host.Root, id string) (*work, error) {
	w := &work{root: root, id: id, dirs: map[uint64]*workDir{}}
	for p := StateDir; p != "/" && !root.Exists(p); p = path.Dir(p) {
		w.made = append(w.made, p)
	}
	if err := w.makeState(); err != nil {
		return nil, fmt.Errorf("work directory: %w", err)
	}
	_, err := w.open(path.Join(StateDir, w.id))
	return w, err
}

// makeState makes the state directory. If there was an import of the same
// snapshot in the same second, the id gets a number.
func (w *work) makeState() error {
	// In a bare root this makes /var, which others must be able to pass.
	if err := w.root.MkdirAll(path.Dir(StateDir), 0o755); err != nil {
		return err
	}
	if err := w.root.MkdirAll(StateDir, 0o700); err != nil {
		return err
	}
	d, err := w.root.OpenDir(StateDir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	id := w.id
	for n := 2; ; n++ {
		err := d.Mkdir(w.id, 0o700)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		w.id = fmt.Sprintf("%s-%d", id, n)
	}
}

func (w *work) open(p string) (*workDir, error) {
	d, err := w.root.OpenDir(p)
	if err != nil {
		return nil, fmt.Errorf("work directory: %w", err)
	}
	st, err := d.Self()
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if old := w.dirs[st.Dev]; old != nil {
		return old, d.Close()
	}
	w.dirs[st.Dev] = &workDir{Dir: d, path: p}
	return w.dirs[st.Dev], nil
}

// state is the directory with the journal.
func (w *work) state() (*host.Dir, error) { return w.root.OpenDir(path.Join(StateDir, w.id)) }

// beside returns the work directory on the filesystem where p is or will be.
// It may be called from several goroutines.
func (w *work) beside(p string) (*workDir, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.on(filesystem(w.root, path.Dir(p)))
}

// on returns the work directory on the filesystem dev below top, and makes it
// if there is none.
func (w *work) on(top string, dev uint64, err error) (*workDir, error) {
	if err != nil {
		return nil, err
	}
	if d := w.dirs[dev]; d != nil {
		return d, nil
	}
	at := path.Join(top, ".xcrate-"+w.id)
	if err := errors.Join(w.journal.write(record{Op: opWork, Path: rawPath(at)}), w.journal.sync()); err != nil {
		return nil, err
	}
	if err := w.root.MkdirAll(at, 0o700); err != nil {
		return nil, fmt.Errorf("work directory: %w", err)
	}
	return w.open(at)
}

// besideMade is beside for an undo, which has no journal to write to: the
// directory is that of the import, made again if it was empty and removed.
func (w *work) besideMade(p string) (*workDir, error) {
	top, dev, err := filesystem(w.root, path.Dir(p))
	if err != nil {
		return nil, err
	}
	if d := w.dirs[dev]; d != nil {
		return d, nil
	}
	at := path.Join(top, ".xcrate-"+w.id)
	if err := w.root.MkdirAll(at, 0o700); err != nil {
		return nil, fmt.Errorf("work directory: %w", err)
	}
	return w.open(at)
}

// besides finds work directories. It knows the last answer still, for most
// paths come after a neighbour.
type besides struct {
	work *work
	dir  string // of the last path
	last *workDir
}

func (b *besides) of(p string) (*workDir, error) {
	dir := path.Dir(p)
	if b.last != nil && b.dir == dir {
		return b.last, nil
	}
	w, err := b.work.beside(p)
	if err == nil {
		b.dir, b.last = dir, w
	}
	return w, err
}

// slot returns a name nothing else has in the work directories, for what was
// replaced or is made here. What is staged has a stagedSlot.
func (w *work) slot() string {
	w.next++
	return fmt.Sprintf("%08d", w.next)
}

// sync makes everything on the touched filesystems durable.
func (w *work) sync() error {
	for _, d := range w.dirs {
		if err := d.SyncFS(); err != nil {
			return err
		}
	}
	return nil
}

// tidy removes the work directories on other filesystems that hold nothing.
// They stay open: sync still needs to know the filesystem.
func (w *work) tidy() error {
	for _, d := range w.dirs {
		if d.path == path.Join(StateDir, w.id) {
			continue
		}
		parent, name, err := w.root.OpenParent(d.path)
		if err != nil {
			return err
		}
		err = parent.Remove(name)
		_ = parent.Close()
		if err != nil && !errors.Is(err, unix.ENOTEMPTY) {
			return err
		}
	}
	return nil
}

func (w *work) close() {
	for _, d := range w.dirs {
		_ = d.Close()
	}
}

// discard removes the work directories and all in them.
func (w *work) discard() error {
	var errs []error
	for _, d := range w.dirs {
		parent, name, err := w.root.OpenParent(d.path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, parent.RemoveAll(name), parent.Close())
	}
	return errors.Join(errs...)
}

// unmake removes the directories that were made for the state directory, as
// far as they are empty again.
func (w *work) unmake() error {
	for _, p := range w.made {
		d, name, err := w.root.OpenParent(p)
		if err != nil {
			return ignoreMissing(err)
		}
		err = d.Remove(name)
		_ = d.Close()
		if errors.Is(err, unix.ENOTEMPTY) {
			return nil
		}
		if err != nil {
			return ignoreMissing(err)
		}
	}
	return nil
}
