package restore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
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
	mounts  map[string]bool     // where something is mounted
	dirs    map[string]*workDir // by the top of their filesystem
	next    int
}

type workDir struct {
	*host.Dir
	path string
}

// workOf is the work of import id, with no directory open.
func workOf(root *host.Root, id string) (*work, error) {
	mounts, err := root.Mounts()
	return &work{root: root, id: id, mounts: mounts, dirs: map[string]*workDir{}}, err
}

// newWork makes the state directory of an import. begin, the first record of its
// journal, says which directories had to be made for it, and what the one above
// them was like.
func newWork(root *host.Root, id string) (w *work, begin record, err error) {
	begin = record{Op: opBegin}
	if w, err = workOf(root, id); err != nil {
		return nil, begin, err
	}
	above := StateDir
	for ; above != "/" && !root.Exists(above); above = path.Dir(above) {
		begin.Trees = append(begin.Trees, rawPath(above))
	}
	d, name, err := openDirOf(root, above)
	if err != nil {
		return nil, begin, fmt.Errorf("work directory: %w", err)
	}
	begin.Path = rawPath(above)
	begin.Entry, err = attributesOf(d, name, strings.TrimPrefix(above, "/"))
	if err = errors.Join(err, d.Close()); err != nil {
		return nil, begin, fmt.Errorf("work directory: %w", err)
	}
	if err := w.makeState(); err != nil {
		return nil, begin, fmt.Errorf("work directory: %w", err)
	}
	_, err = w.open(path.Join(StateDir, w.id))
	return w, begin, err
}

// oldWork opens the work directories of import id, as far as they are there, for
// more of its work.
func oldWork(root *host.Root, id string, r reached) (*work, error) {
	w, err := workOf(root, id)
	if err != nil {
		return nil, err
	}
	if _, err := w.open(path.Join(StateDir, id)); err != nil {
		return nil, err
	}
	for _, made := range r.works {
		if _, err := w.open(string(made.Path)); ignoreMissing(err) != nil {
			w.close()
			return nil, err
		}
	}
	return w, w.afterLast()
}

// afterLast has slots that are given from now on differ from those that are there.
func (w *work) afterLast() error {
	for _, d := range w.dirs {
		names, err := d.Names()
		if err != nil {
			return err
		}
		for _, name := range names {
			if n, err := strconv.Atoi(name); err == nil {
				w.next = max(w.next, n)
			}
		}
	}
	return nil
}

// dropSlots removes what an interrupted import had staged: it is staged again.
func (w *work) dropSlots() error {
	for _, d := range w.dirs {
		names, err := d.Names()
		if err != nil {
			return err
		}
		for _, name := range names {
			if !strings.HasPrefix(name, stagedPrefix) {
				continue
			}
			if err := d.RemoveAll(name); err != nil {
				return err
			}
		}
	}
	return nil
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

// open opens a work directory that is there.
func (w *work) open(p string) (*workDir, error) {
	d, err := w.root.OpenDir(p)
	if err != nil {
		return nil, fmt.Errorf("work directory: %w", err)
	}
	top, _, err := filesystem(w.root, w.mounts, p)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if old := w.dirs[top]; old != nil {
		return old, d.Close()
	}
	w.dirs[top] = &workDir{Dir: d, path: p}
	return w.dirs[top], nil
}

// state is the directory with the journal.
func (w *work) state() (*host.Dir, error) { return w.root.OpenDir(path.Join(StateDir, w.id)) }

// beside returns the work directory on the filesystem where p is or will be.
// It may be called from several goroutines.
func (w *work) beside(p string) (*workDir, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	top, _, err := filesystem(w.root, w.mounts, path.Dir(p))
	if err != nil {
		return nil, err
	}
	return w.on(top)
}

// on returns the work directory on the filesystem below top, and makes it if there
// is none.
func (w *work) on(top string) (*workDir, error) {
	if d := w.dirs[top]; d != nil {
		return d, nil
	}
	at := path.Join(top, ".xcrate-"+w.id)
	if err := w.list(at); err != nil {
		return nil, err
	}
	r := record{Op: opWork, Path: rawPath(at)}
	d, name, err := openDirOf(w.root, top)
	if err != nil {
		return nil, err
	}
	r.Entry, err = attributesOf(d, name, strings.TrimPrefix(top, "/"))
	if err = errors.Join(err, d.Close(), w.journal.write(r), w.journal.sync()); err != nil {
		return nil, err
	}
	if err := w.root.MkdirAll(at, 0o700); err != nil {
		return nil, fmt.Errorf("work directory: %w", err)
	}
	return w.open(at)
}

// list adds a work directory to worksFile.
func (w *work) list(at string) (err error) {
	state, err := w.state()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	f, err := appendLines(state, worksFile)
	if err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(f).Encode(rawPath(at)), f.Sync(), f.Close(), state.Sync())
}

// besideMade is beside for an undo, which has no journal to write to: the
// directory is that of the import, made again if it was empty and removed.
func (w *work) besideMade(p string) (*workDir, error) {
	top, _, err := filesystem(w.root, w.mounts, path.Dir(p))
	if err != nil {
		return nil, err
	}
	if d := w.dirs[top]; d != nil {
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

// discard removes the work directories and all in them, the journal last: a discard
// that is interrupted is done again.
func (w *work) discard() error {
	own := path.Join(StateDir, w.id)
	for _, d := range w.dirs {
		if d.path == own {
			continue
		}
		if err := w.removeDir(d.path); err != nil {
			return err
		}
	}
	state, err := w.state()
	if err != nil {
		return ignoreMissing(err)
	}
	names, err := state.Names()
	for _, name := range names {
		if err == nil && name != journalFile {
			err = state.RemoveAll(name)
		}
	}
	if err = errors.Join(err, state.Close()); err != nil {
		return err
	}
	return w.removeDir(own)
}

func (w *work) removeDir(p string) error {
	parent, name, err := w.root.OpenParent(p)
	if err != nil {
		return err
	}
	return errors.Join(parent.RemoveAll(name), parent.Close())
}

// unmake removes the directories that were made for the state directory, as far as
// they are empty again, and gives the one above them the attributes it had.
func unmake(root *host.Root, begin record) error {
	for _, p := range begin.Trees {
		d, name, err := root.OpenParent(string(p))
		if err != nil {
			return ignoreMissing(err)
		}
		err = d.Remove(name)
		_ = d.Close()
		if errors.Is(err, unix.ENOTEMPTY) {
			return nil
		}
		if ignoreMissing(err) != nil {
			return err
		}
	}
	return asWas(root, string(begin.Path), begin.Entry)
}

// asWas gives directory p the attributes e had, nil for none.
func asWas(root *host.Root, p string, e *artifact.Entry) error {
	if e == nil {
		return nil
	}
	d, name, err := openDirOf(root, p)
	if err != nil {
		return ignoreMissing(err)
	}
	defer func() { _ = d.Close() }()
	return ignoreMissing(setAttributes(d, name, e))
}

// setAttributes gives name in d the attributes of e, whose owner is one of this host.
func setAttributes(d *host.Dir, name string, e *artifact.Entry) error {
	_, err := archive.SetAttributes(d, name, *e, archive.Owner{UID: e.UID, GID: e.GID, AsIs: !isRoot()})
	return err
}
