package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/host"
)

// committer renames what was staged into place, writing each step down first.
type committer struct {
	work    *work
	journal *journal
	owners  *owners
	homes   map[string]artifact.Account // missing parents that are somebody's home
	touched map[string]bool             // directories whose time was written down
	lost    map[string][]string         // extended attributes not stored, by path
	fault   func() error                // called before each step; tests let it fail
}

// batch is how many steps are written down with one fsync.
const batch = 512

// commit puts changes in place, in order. What is there at that moment is what
// is replaced, whatever the plan saw: packages were installed in between.
func (c *committer) commit(ctx context.Context, changes []change) error {
	for part := range slices.Chunk(changes, batch) {
		if err := ctx.Err(); err != nil {
			return err
		}
		var steps []func() error
		for i := range part {
			step, err := c.prepare(&part[i])
			if err != nil {
				return fmt.Errorf("file %s: %w", c.work.root.Path(part[i].path), err)
			}
			steps = append(steps, step)
		}
		if err := c.journal.sync(); err != nil {
			return err
		}
		for i, step := range steps {
			if err := errors.Join(c.fault(), ctx.Err()); err != nil {
				return err
			}
			if err := step(); err != nil {
				return fmt.Errorf("file %s: %w", c.work.root.Path(part[i].path), err)
			}
		}
	}
	return nil
}

// prepare writes down what putting ch in place does, and returns the act.
func (c *committer) prepare(ch *change) (func() error, error) {
	if err := c.parents(ch.path); err != nil {
		return nil, err
	}
	d, name, err := c.work.root.OpenParent(ch.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	_, err = d.Lstat(name)
	exists := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if ch.entry.Type == artifact.TypeDir {
		return c.prepareDir(ch, d, name, exists)
	}
	w, err := c.work.beside(ch.path)
	if err != nil {
		return nil, err
	}
	old := ""
	if exists {
		old = c.work.slot()
		err = c.journal.write(record{Op: opReplace, Path: rawPath(ch.path), Work: rawPath(w.path), Slot: old})
	} else {
		err = c.journal.write(record{Op: opCreate, Path: rawPath(ch.path)})
	}
	return func() error { return c.put(ch, w, old) }, err
}

// prepareDir makes a directory at once, because what comes next goes into it;
// attributes come last, in finishDirs.
func (c *committer) prepareDir(ch *change, d *host.Dir, name string, exists bool) (func() error, error) {
	done := func() error { return nil }
	if exists {
		return done, c.touch(ch.path)
	}
	c.touched[ch.path] = true
	return done, c.mkdir(d, name, ch.path, 0o700)
}

func (c *committer) mkdir(d *host.Dir, name, p string, perm uint32) error {
	if err := c.journal.write(record{Op: opMkdir, Path: rawPath(p)}); err != nil {
		return err
	}
	if err := errors.Join(c.journal.sync(), c.fault()); err != nil {
		return err
	}
	return d.Mkdir(name, perm)
}

// put makes the staged content the file at ch.path, with its attributes. If
// something is there, it keeps a second name in the work directory, so that at
// no moment there is nothing.
func (c *committer) put(ch *change, w *workDir, old string) error {
	d, name, err := c.work.root.OpenParent(ch.path)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	slot := ch.slot
	if ch.entry.Type == artifact.TypeHardlink {
		if slot, err = c.linkSlot(ch, w); err != nil {
			return err
		}
	} else {
		lost, err := archive.SetAttributes(w.Dir, slot, ch.entry, c.owners.of(ch.entry))
		if err != nil {
			return err
		}
		if len(lost) > 0 {
			c.lost[ch.path] = lost
		}
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
func (c *committer) linkSlot(ch *change, w *workDir) (string, error) {
	first := ch.entry
	first.Path = ch.entry.Link
	d, name, err := c.work.root.OpenParent(target(first))
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
func (c *committer) copySlot(ch *change, d *host.Dir, name string, w *workDir, slot string) (err error) {
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
	if err := archive.Create(w.Dir, slot, e, f); err != nil {
		return err
	}
	_, err = archive.SetAttributes(w.Dir, slot, e, c.owners.of(e))
	return err
}

// parents makes the directories p lies in where they are missing, and writes
// down the state of the one that is about to change.
func (c *committer) parents(p string) error {
	dir := path.Dir(p)
	if c.touched[dir] {
		return nil
	}
	if c.work.root.Exists(dir) {
		return c.touch(dir)
	}
	if err := c.parents(dir); err != nil {
		return err
	}
	d, name, err := c.work.root.OpenParent(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	c.touched[dir] = true
	home, ok := c.homes[dir]
	if !ok {
		return c.mkdir(d, name, dir, 0o755)
	}
	if err := c.mkdir(d, name, dir, 0o700); err != nil || c.owners.asIs {
		return err
	}
	o := c.owners.of(artifact.Entry{User: home.Name, Group: home.Group})
	return d.Chown(name, o.UID, o.GID)
}

// touch writes down the attributes of existing directory p before it changes.
func (c *committer) touch(p string) error {
	if c.touched[p] || p == "/" {
		return nil
	}
	c.touched[p] = true
	p, err := c.work.root.Resolve(p)
	if err != nil {
		return err
	}
	d, name, err := c.work.root.OpenParent(p)
	if err != nil || name == "" {
		return err
	}
	defer func() { _ = d.Close() }()
	e, err := attributesOf(d, name, strings.TrimPrefix(p, "/"))
	if err != nil {
		return err
	}
	return c.journal.write(record{Op: opAttr, Path: rawPath(p), Entry: e})
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
	w, err := c.work.beside(p)
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

// finishDirs sets the attributes of those of the snapshot's directories that
// the commit changed something in, deepest first, once nothing changes any more.
func (c *committer) finishDirs(dirs []artifact.Entry) error {
	if err := c.journal.sync(); err != nil {
		return err
	}
	for _, e := range slices.Backward(dirs) {
		if !c.touched[target(e)] {
			continue
		}
		if err := c.fault(); err != nil {
			return err
		}
		d, name, err := c.work.root.OpenParent(target(e))
		if err != nil {
			return err
		}
		lost, err := archive.SetAttributes(d, name, e, c.owners.of(e))
		if err = errors.Join(err, d.Close()); err != nil {
			return fmt.Errorf("directory %s: %w", c.work.root.Path(target(e)), err)
		}
		if len(lost) > 0 {
			c.lost[target(e)] = lost
		}
	}
	return nil
}
