package layers

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/host"
)

// treeWriter writes files of the host to one part.
type treeWriter struct {
	c       *capture
	w       *partWriter
	found   *scanner
	first   map[host.Inode]string
	piece   *piece
	without []artifact.LeftOut

	dir *host.Dir // of the last item, kept open for its neighbours
	at  string    // the path dir was opened by
}

// brokenError says that a file could not be read after its header was written.
type brokenError struct{ left artifact.LeftOut }

func (e *brokenError) Error() string { return fmt.Sprintf("file %s: %s", e.left.Path, e.left.Reason) }

// errSecret says that a file is a secret and goes elsewhere.
var errSecret = errors.New("a secret")

func (t *treeWriter) close() {
	if t.dir != nil {
		_ = t.dir.Close()
	}
}

// parent returns the directory of it. The top of a tree may be a symlink to its
// directory, so a directory is found through itself, or through the one above
// that the last item was in.
func (t *treeWriter) parent(it item) (*host.Dir, error) {
	if t.dir != nil && t.at == it.dir.path {
		return t.dir, nil
	}
	d, ok := t.below(it.dir.path)
	if !ok {
		var err error
		if d, err = t.c.o.Root.OpenDir("/" + it.dir.path); err != nil {
			return nil, err
		}
	}
	t.close()
	t.dir, t.at = d, it.dir.path
	return d, nil
}

// below opens directory p, if it lies right below the last one.
func (t *treeWriter) below(p string) (*host.Dir, bool) {
	name, ok := strings.CutPrefix(p, t.at+"/")
	if !ok || t.dir == nil || strings.Contains(name, "/") {
		return nil, false
	}
	d, err := t.dir.OpenDir(name)
	return d, err == nil // the way from the root tells what is wrong
}

func (t *treeWriter) add(it item) error {
	if err := t.w.ctx.Err(); err != nil {
		return err
	}
	if slices.ContainsFunc(t.without, func(l artifact.LeftOut) bool { return l.Path == it.path() }) {
		return nil
	}
	err := t.write(it)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("file %s: %w", t.c.o.Root.Path(it.path()), err)
	var broken *brokenError
	if errors.As(err, &broken) {
		return broken
	}
	var unread *readError
	if !errors.As(err, &unread) {
		return err
	}
	l, err := t.c.withoutFile(it.path(), err)
	if err == nil {
		t.w.part.left = append(t.w.part.left, l)
	}
	return err
}

func (t *treeWriter) write(it item) error {
	d, err := t.parent(it)
	if err != nil {
		return &readError{err}
	}
	if it.file {
		return t.writeFile(d, it)
	}
	e, _, err := archive.Stat(d, it.name, it.rel(), t.c.accounts)
	if err == nil && e.Type == artifact.TypeSymlink && t.isTop(it.path()) {
		e, err = t.linkedDir(it.path())
	}
	if err != nil {
		return &readError{err}
	}
	if e.Type == artifact.TypeFile { // it was something else when it was found
		return t.writeFile(d, it)
	}
	if e, err = t.w.tar.Add(e, nil); err != nil {
		return err
	}
	return t.w.done(e)
}

// writeFile writes what was a regular file when it was found.
func (t *treeWriter) writeFile(d *host.Dir, it item) (err error) {
	first := t.first[t.found.inode(it)]
	if it.link > 0 && first != it.path() {
		e, st, err := archive.Stat(d, it.name, it.rel(), t.c.accounts)
		if err != nil {
			return &readError{err}
		}
		if st.Inode() == t.found.inode(it) {
			e.Type, e.Link, e.Size = artifact.TypeHardlink, rel(first), 0
			return t.w.add(e, nil)
		}
	}
	e, st, f, err := archive.Open(d, it.name, it.rel(), t.c.accounts)
	if err != nil {
		return &readError{err}
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if t.piece != nil {
		e, st = t.piece.entry, t.piece.st
	}
	if t.c.hider != nil {
		why, err := t.c.hider.look(e, f)
		if err != nil {
			return &readError{err}
		}
		if why != "" {
			t.w.part.left = append(t.w.part.left, artifact.LeftOut{Path: it.path(), What: whatSecret, Reason: why, Size: e.FileSize()})
			return nil
		}
	}
	return t.content(f, e, st, it)
}

// content writes the bytes of f that e is of.
func (t *treeWriter) content(f *host.File, e artifact.Entry, st host.Stat, it item) error {
	looked := false
	e, changed, err := t.w.tar.AddFile(f, e, st, func(content []byte) error {
		looked = true
		if t.w.kind != artifact.KindSecrets && it.link == 0 && holdsKey(content) {
			return errSecret
		}
		return nil
	})
	switch {
	case errors.Is(err, errSecret):
		t.w.part.diverted = append(t.w.part.diverted, it)
		return nil
	case err != nil:
		return t.unread(f, it, looked, err)
	}
	// Another file under the first name would stand for all the others.
	replaced := it.link > 0 && t.first[t.found.inode(it)] == it.path() && st.Inode() != t.found.inode(it)
	if changed || replaced {
		t.w.part.changed = append(t.w.part.changed, it.path())
	}
	return t.w.done(e)
}

// unread says whether err is about reading f, and whether anything was written.
func (t *treeWriter) unread(f *host.File, it item, written bool, err error) error {
	if !f.Failed() {
		return err
	}
	if !written {
		return &readError{err}
	}
	left, err := t.c.withoutFile(it.path(), err)
	if err != nil {
		return err
	}
	return &brokenError{left}
}

func (t *treeWriter) isTop(p string) bool {
	return slices.ContainsFunc(t.c.config.Links, func(l artifact.Link) bool { return l.Path == p })
}

// linkedDir describes the directory that symlink p leads to.
func (t *treeWriter) linkedDir(p string) (artifact.Entry, error) {
	resolved, err := t.c.o.Root.Resolve(p)
	if err != nil {
		return artifact.Entry{}, err
	}
	d, name, err := t.c.o.Root.OpenParent(resolved)
	if err != nil {
		return artifact.Entry{}, err
	}
	defer func() { _ = d.Close() }()
	e, _, err := archive.Stat(d, name, rel(p), t.c.accounts)
	return e, err
}
