package restore

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
)

// parents makes the directories p lies in where they are missing, and writes
// down the state of the one that is about to change.
func (c *committer) parents(p string) error {
	dir := path.Dir(p)
	if c.coming[dir] || c.touched[dir] {
		return nil
	}
	if c.work.root.Exists(dir) {
		return c.touch(dir)
	}
	if err := c.parents(dir); err != nil {
		return err
	}
	home, ok := c.homes[dir]
	switch {
	case !ok:
		return c.mkdir(dir, 0o755, nil)
	case c.owners.asIs:
		return c.mkdir(dir, 0o700, nil)
	default:
		own := c.owners.of(artifact.Entry{User: home.Name, Group: home.Group})
		return c.mkdir(dir, 0o700, &own)
	}
}

// mkdir writes down that directory p is made, owned by own if that is not nil.
func (c *committer) mkdir(p string, perm uint32, own *archive.Owner) error {
	resolved, err := c.work.root.Resolve(p)
	if err != nil {
		return err
	}
	twice := c.coming[resolved] // by another name: a symlink leads there
	c.coming[p], c.coming[resolved] = true, true
	if twice {
		return nil
	}
	c.steps = append(c.steps, step{p, func() error {
		d, name, err := c.near.parent(p)
		if err != nil {
			return err
		}
		if err := d.Mkdir(name, perm); err != nil || own == nil {
			return err
		}
		return d.Chown(name, own.UID, own.GID)
	}})
	return c.journal.write(record{Op: opMkdir, Path: rawPath(p)})
}

// touch writes down the attributes of existing directory p before it changes.
func (c *committer) touch(p string) error {
	if c.coming[p] || c.touched[p] {
		return nil
	}
	if len(c.touched) >= maxTouched {
		clear(c.touched)
	}
	c.touched[p] = true
	p, err := c.work.root.Resolve(p)
	if err != nil {
		return err
	}
	d, name, err := openDirOf(c.work.root, p)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	e, err := attributesOf(d, name, strings.TrimPrefix(p, "/"))
	if err != nil {
		return err
	}
	return c.journal.write(record{Op: opAttr, Path: rawPath(p), Entry: e})
}

// finishDirs gives the snapshot's directories their attributes where they are
// others, once nothing changes any more: those that were made, and those whose
// time has changed. Attributes of one do not change another, so the order is
// that of the catalog.
func (c *committer) finishDirs(ctx context.Context, f *files) error {
	var closed []artifact.Entry // others must be finished before they are
	err := f.each(ctx, func(_ int, s state, e artifact.Entry) error {
		if e.Type != artifact.TypeDir || !(s.missing() || s == isSame) {
			return nil
		}
		if c.owners.asIs && e.Mode&0o500 != 0o500 {
			closed = append(closed, e)
			return nil
		}
		return c.finishDir(ctx, e)
	})
	if err != nil {
		return err
	}
	for _, e := range slices.Backward(closed) {
		if err := c.finishDir(ctx, e); err != nil {
			return err
		}
	}
	return c.flush(ctx)
}

func (c *committer) finishDir(ctx context.Context, e artifact.Entry) error {
	p := c.target(e)
	d, name, err := c.near.parent(p)
	if err != nil {
		return err
	}
	have, _, err := archive.Stat(d, name, e.Path, c.owners.accounts)
	if err != nil {
		return err
	}
	if c.owners.same(e, have) {
		return nil
	}
	if err := c.journal.write(record{Op: opAttr, Path: rawPath(p), Entry: &have}); err != nil {
		return err
	}
	c.steps = append(c.steps, step{p, func() error {
		d, name, err := c.near.parent(p)
		if err != nil {
			return err
		}
		lost, err := archive.SetAttributes(d, name, e, c.owners.of(e))
		c.lost.add(p, lost)
		return err
	}})
	return c.full(ctx)
}
