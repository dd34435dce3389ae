package layers

import (
	"context"
	"fmt"
	"path"

	"golang.org/x/sync/errgroup"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/host"
)

// trees writes the tree kinds from what the scan found, each in parts.
func (c *capture) trees(ctx context.Context, found map[artifact.Kind][]item) error {
	var total int64
	for _, items := range found {
		for _, it := range items {
			total += it.size
		}
	}
	c.o.Progress.Phase("writing", total)
	for _, k := range artifact.TreeKinds() {
		if len(found[k]) == 0 {
			continue
		}
		if err := c.tree(ctx, k, cut(found[k])); err != nil {
			return fmt.Errorf("kind %s: %w", k, err)
		}
	}
	return nil
}

// tree writes the parts of kind k side by side.
func (c *capture) tree(ctx context.Context, k artifact.Kind, parts [][]item) error {
	first := firstNames(parts)
	written := make([]part, len(parts))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.o.Workers)
	for i, items := range parts {
		g.Go(func() error {
			mediaType, err := c.mediaType(ctx, items)
			if err != nil {
				return err
			}
			written[i], err = c.write(ctx, k, i+1, mediaType, func(w *layerWriter) error {
				t := treeWriter{c: c, w: w, first: first}
				defer t.close()
				for _, it := range items {
					if err := t.add(it); err != nil {
						return fmt.Errorf("file %s: %w", c.o.Root.Path(it.path), err)
					}
				}
				return nil
			})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	c.keep(k, written)
	return nil
}

// firstNames returns, of every file with several names in the kind, the first.
// The others become hard links to it.
func firstNames(parts [][]item) map[host.Inode]string {
	first := map[host.Inode]string{}
	for _, items := range parts {
		for _, it := range items {
			if _, ok := first[it.file]; !ok && it.file != (host.Inode{}) {
				first[it.file] = it.path
			}
		}
	}
	return first
}

// treeWriter writes files of the host to one layer.
type treeWriter struct {
	c     *capture
	w     *layerWriter
	dir   *host.Dir // of the last item, kept open for its neighbours
	at    string    // the path dir was opened by
	first map[host.Inode]string
}

func (t *treeWriter) close() {
	if t.dir != nil {
		_ = t.dir.Close()
	}
}

// parent returns the directory that holds p, and p's name in it. The top of a
// tree may be a symlink to its directory, so a directory is found through
// itself.
func (t *treeWriter) parent(p string) (*host.Dir, string, error) {
	if dir := path.Dir(p); t.dir == nil || t.at != dir {
		d, err := t.c.o.Root.OpenDir(dir)
		if err != nil {
			return nil, "", err
		}
		t.close()
		t.dir, t.at = d, dir
	}
	return t.dir, path.Base(p), nil
}

func (t *treeWriter) add(it item) error {
	if err := t.w.ctx.Err(); err != nil {
		return err
	}
	d, name, err := t.parent(it.path)
	if err != nil {
		return err
	}
	e, st, err := archive.Stat(d, name, rel(it.path), t.c.accounts)
	if err != nil {
		return err
	}
	if e.Type == artifact.TypeSymlink && t.isTop(it.path) {
		if e, st, err = t.linkedDir(it.path); err != nil {
			return err
		}
	}
	linked := it.file != (host.Inode{})
	if first := t.first[it.file]; linked && first != it.path && st.Inode() == it.file {
		e.Type, e.Link, e.Size = artifact.TypeHardlink, rel(first), 0
		return t.w.add(e, nil)
	}
	if e.Type != artifact.TypeFile {
		return t.w.add(e, nil)
	}
	e, changed, err := t.w.tar.AddFile(d, name, e, st)
	if err != nil {
		return err
	}
	// Another file under the first name would stand for all the others.
	if changed || (linked && t.first[it.file] == it.path && st.Inode() != it.file) {
		t.w.changed = append(t.w.changed, it.path)
	}
	t.w.done(e)
	return nil
}

func (t *treeWriter) isTop(p string) bool {
	for _, l := range t.c.config.Links {
		if l.Path == p {
			return true
		}
	}
	return false
}

// linkedDir describes the directory that symlink p leads to.
func (t *treeWriter) linkedDir(p string) (artifact.Entry, host.Stat, error) {
	resolved, err := t.c.o.Root.Resolve(p)
	if err != nil {
		return artifact.Entry{}, host.Stat{}, err
	}
	d, name, err := t.c.o.Root.OpenParent(resolved)
	if err != nil {
		return artifact.Entry{}, host.Stat{}, err
	}
	defer func() { _ = d.Close() }()
	return archive.Stat(d, name, rel(p), t.c.accounts)
}

// listAccounts writes down the accounts that own entries, and those whose
// credentials were taken, so that an import finds or makes them by name.
func (c *capture) listAccounts() {
	users, groups := map[string]int{}, map[string]int{}
	dirs := map[string]bool{}
	for _, entries := range c.entries {
		for _, e := range entries {
			if e.Type == artifact.TypeDir {
				dirs[e.Path] = true
			}
			if e.User != "" {
				users[e.User] = e.UID
			}
			if e.Group != "" {
				groups[e.Group] = e.GID
			}
		}
	}
	for _, u := range c.accounts.Users() {
		if c.o.Stack.Credentials != "" && dirs[path.Join(rel(u.Home), c.o.Stack.Credentials)] {
			users[u.Name] = u.UID
		}
	}
	for name := range users {
		if u, ok := c.accounts.LookupUser(name); ok {
			if g := c.accounts.Group(u.GID); g != "" {
				groups[g] = u.GID
			}
		}
	}
	c.config.Accounts = accountList(c.accounts, users, groups)
}
