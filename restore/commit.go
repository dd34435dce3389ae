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
	"github.com/xcrate/xcrate/internal/host"
)

// change is an entry that is to be put on the host.
type change struct {
	entry artifact.Entry
	path  string // on the host, with leading slash
	slot  string // name of the staged content in the work directory, "" for none
	plain bool   // what is staged has no attributes yet
}

// committer puts what was staged in place, writing each step down first.
type committer struct {
	places
	work    *work
	journal *journal
	owners  *owners
	homes   map[string]artifact.Account // missing parents that are somebody's home
	lost    *losses
	fault   func() error // called before each step; tests let it fail

	ownersChanged bool // since things were staged
	near          near
	beside        besides
	steps         []step          // written down and not taken yet, at most a batch
	coming        map[string]bool // directories that steps will make
	touched       map[string]bool // directories that are there and written down, some of them
}

func newCommitter(a *applier) *committer {
	return &committer{
		work: a.work, journal: a.journal, owners: a.owners, homes: a.homes(), lost: &a.lost, fault: a.fault,
		places: a.places, near: near{root: a.Root}, beside: besides{work: a.work}, coming: map[string]bool{}, touched: map[string]bool{},
	}
}

// step is one act on the host.
type step struct {
	path string
	take func() error
}

// batch is how many steps are written down with one fsync.
const batch = 512

// maxTouched bounds the memory for directories. One that is forgotten is written
// down twice: the undo goes backwards and ends with what was there first.
const maxTouched = 1024

// commit puts changes in place, in order.
func (c *committer) commit(ctx context.Context, changes ...change) error {
	for _, ch := range changes {
		if err := c.add(ctx, ch); err != nil {
			return err
		}
	}
	return c.flush(ctx)
}

// add prepares ch, and takes the steps if there is a batch of them. What is at
// its path at that moment is what is replaced, whatever the plan saw: packages
// were installed in between.
func (c *committer) add(ctx context.Context, ch change) error {
	if err := c.prepare(ch); err != nil {
		return fmt.Errorf("file %s: %w", c.work.root.Path(ch.path), err)
	}
	return c.full(ctx)
}

// full takes the steps if there is a batch of them.
func (c *committer) full(ctx context.Context) error {
	if len(c.steps) < batch {
		return nil
	}
	return c.flush(ctx)
}

// flush makes what was written down durable and takes the steps.
func (c *committer) flush(ctx context.Context) error {
	defer func() {
		c.steps = c.steps[:0]
		clear(c.coming)
		c.near.close() // names change only through here, but for what comes between
	}()
	if err := errors.Join(ctx.Err(), c.journal.sync()); err != nil {
		return err
	}
	for _, s := range c.steps {
		if err := errors.Join(c.fault(), ctx.Err()); err != nil {
			return err
		}
		if err := s.take(); err != nil {
			return fmt.Errorf("file %s: %w", c.work.root.Path(s.path), err)
		}
	}
	return nil
}

// prepare writes down what putting ch in place does, as steps.
func (c *committer) prepare(ch change) error {
	if err := c.parents(ch.path); err != nil {
		return err
	}
	exists, err := c.exists(ch.path)
	if err != nil {
		return err
	}
	if ch.entry.Type == artifact.TypeDir { // attributes come last, in finishDirs
		if exists || c.coming[ch.path] {
			return c.touch(ch.path)
		}
		return c.mkdir(ch.path, 0o700, nil)
	}
	w, err := c.beside.of(ch.path)
	if err != nil {
		return err
	}
	old, r := "", record{Op: opCreate, Path: rawPath(ch.path)}
	if exists {
		old = c.work.slot()
		r = record{Op: opReplace, Path: rawPath(ch.path), Work: rawPath(w.path), Slot: old}
	}
	c.steps = append(c.steps, step{ch.path, func() error { return c.put(ch, w, old) }})
	return c.journal.write(r)
}

// exists reports whether there is something at p, whose parents are there or
// coming.
func (c *committer) exists(p string) (bool, error) {
	if c.coming[path.Dir(p)] {
		return false, nil
	}
	d, name, err := c.near.parent(p)
	if err != nil {
		return false, err
	}
	_, err = d.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// put makes the staged content the file at ch.path. If something is there, it
// keeps a second name in the work directory, so that at no moment there is
// nothing.
func (c *committer) put(ch change, w *workDir, old string) error {
	slot := ch.slot
	switch {
	case ch.entry.Type == artifact.TypeHardlink:
		var err error
		if slot, err = c.linkSlot(ch, w); err != nil {
			return err
		}
	case ch.plain || c.ownersChanged:
		if st, err := w.Lstat(slot); err != nil || (ch.entry.Piece.Number > 0 && st.Size != ch.entry.FileSize()) {
			return errors.Join(err, fmt.Errorf("%d bytes staged of %d", st.Size, ch.entry.FileSize()))
		}
		lost, err := archive.SetAttributes(w.Dir, slot, ch.entry, c.owners.of(ch.entry))
		if err != nil {
			return err
		}
		c.lost.add(ch.path, lost)
	}
	d, name, err := c.near.parent(ch.path)
	if err != nil {
		return err
	}
	if old != "" {
		err := d.Link(name, w.Dir, old)
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EMLINK) || errors.Is(err, unix.ENOTSUP) {
			err = d.Rename(name, w.Dir, old)
		}
		if err != nil {
			return err
		}
	}
	return w.Rename(slot, d, name)
}

// linkSlot gives the file ch is another name of a name in the work directory.
func (c *committer) linkSlot(ch change, w *workDir) (string, error) {
	first := ch.entry
	first.Path = ch.entry.Link
	d, name, err := c.work.root.OpenParent(c.target(first))
	if err != nil {
		return "", err
	}
	defer func() { _ = d.Close() }()
	slot := c.work.slot()
	err = d.Link(name, w.Dir, slot)
	if errors.Is(err, unix.EXDEV) {
		err = c.copySlot(ch, d, name, w, slot)
	}
	return slot, err
}

// copySlot copies the file ch is another name of: another filesystem is mounted
// between the two here, and no file has names on both.
func (c *committer) copySlot(ch change, d *host.Dir, name string, w *workDir, slot string) (err error) {
	f, err := d.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	st, err := d.Lstat(name)
	if err != nil {
		return err
	}
	e := ch.entry
	e.Type, e.Size = artifact.TypeFile, st.Size
	lost, err := new(archive.Maker).Create(w.Dir, slot, e, c.owners.of(e), f)
	c.lost.add(ch.path, lost)
	return err
}

// remove moves p, whatever it is, out of the way.
func (c *committer) remove(p string) error {
	if err := c.touch(path.Dir(p)); err != nil {
		return err
	}
	d, name, err := c.work.root.OpenParent(p)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	w, err := c.beside.of(p)
	if err != nil {
		return err
	}
	slot := c.work.slot()
	err = c.journal.write(record{Op: opRemove, Path: rawPath(p), Work: rawPath(w.path), Slot: slot})
	if err = errors.Join(err, c.journal.sync(), c.fault()); err != nil {
		return err
	}
	return d.Rename(name, w.Dir, slot)
}
