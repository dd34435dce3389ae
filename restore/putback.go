package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/host"
)

// putBack makes what savedFile in state holds, as far as wanted accepts the
// path, what it was, and returns the paths of what was not. It may be interrupted
// and called again.
func (w *work) putBack(ctx context.Context, state *host.Dir, wanted func(p string) bool) (changed []string, err error) {
	b := backer{work: w, at: near{root: w.root}, forced: map[string]bool{}}
	defer b.at.close()
	for again := true; again; { // what turned out to differ while it was compared
		again = false
		err := eachSaved(ctx, state, func(e artifact.Entry, r io.Reader) error {
			if !wanted("/" + e.Path) {
				return nil
			}
			differs, err := b.entry(e, r)
			if differs && err == nil {
				b.forced[e.Path], again = true, true
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	// Directories last: everything that was put into them has changed their times.
	return b.changed, eachSaved(ctx, state, func(e artifact.Entry, _ io.Reader) error {
		if e.Type != artifact.TypeDir || !wanted("/"+e.Path) {
			return nil
		}
		return b.attributes(e)
	})
}

// eachSaved calls fn for what savedFile in state holds.
func eachSaved(ctx context.Context, state *host.Dir, fn func(artifact.Entry, io.Reader) error) (err error) {
	f, err := state.Open(savedFile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return readSaved(ctx, f, fn)
}

func readSaved(ctx context.Context, f *os.File, fn func(artifact.Entry, io.Reader) error) error {
	in := archive.NewReader(f)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, r, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = fn(e, r)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", savedFile, err)
		}
	}
}

// backer puts saved entries back.
type backer struct {
	work    *work
	at      near
	forced  map[string]bool // made anew without a look
	changed []string        // what was made anew
	maker   archive.Maker
}

// entry makes e what it was. differs says that it is not, which was found out
// too late to make it in the same pass.
func (b *backer) entry(e artifact.Entry, r io.Reader) (differs bool, err error) {
	p := "/" + e.Path
	d, name, err := b.at.parent(p)
	if err != nil {
		return false, err
	}
	have, st, err := archive.Stat(d, name, e.Path, noNames{})
	gone := errors.Is(err, fs.ErrNotExist)
	if err != nil && !gone && !errors.Is(err, archive.ErrSocket) {
		return false, err
	}
	isDir := have.Type == artifact.TypeDir
	switch {
	case e.Type == artifact.TypeDir && isDir:
		return false, nil // its attributes come last
	case e.Type == artifact.TypeHardlink:
		if to, err := b.work.root.Lstat("/" + e.Link); !gone && err == nil && to.Inode() == st.Inode() {
			return false, nil
		}
	case !gone && !b.forced[e.Path] && looksSame(e, have):
		return b.otherContent(d, name, e, r)
	}
	delete(b.forced, e.Path)
	b.changed = append(b.changed, p)
	if !gone && (isDir || e.Type == artifact.TypeDir) {
		if err := d.RemoveAll(name); err != nil {
			return false, err
		}
	}
	return false, b.make(d, name, p, e, r)
}

// looksSame reports whether have is e as far as anything but its content tells.
func looksSame(e, have artifact.Entry) bool {
	return have.Type == e.Type && have.Link == e.Link && have.Size == e.Size && have.Mode == e.Mode && have.MTime == e.MTime &&
		have.UID == e.UID && have.GID == e.GID && have.Major == e.Major && have.Minor == e.Minor && sameXattrs(e.Xattrs, have.Xattrs)
}

// otherContent reports whether file name in d holds something else than r.
func (b *backer) otherContent(d *host.Dir, name string, e artifact.Entry, r io.Reader) (bool, error) {
	if e.Type != artifact.TypeFile {
		return false, nil
	}
	f, err := d.Open(name)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	have, want := artifact.NewDigester(), artifact.NewDigester()
	if _, err := io.Copy(have, f); err != nil {
		return false, err
	}
	_, err = io.Copy(want, r)
	return have.Sum() != want.Sum(), err
}

// make makes e beside its place, and renames it there.
func (b *backer) make(d *host.Dir, name, p string, e artifact.Entry, r io.Reader) error {
	own := archive.Owner{UID: e.UID, GID: e.GID, AsIs: !isRoot()}
	if e.Type == artifact.TypeDir {
		_, err := b.maker.Create(d, name, e, own, r)
		return err
	}
	w, err := b.work.besideMade(p)
	if err != nil {
		return err
	}
	slot := "back-" + b.work.slot()
	if err := w.RemoveAll(slot); err != nil { // of a run that was interrupted
		return err
	}
	if e.Type == artifact.TypeHardlink {
		err = b.link(e.Link, w, slot)
	} else {
		_, err = b.maker.Create(w.Dir, slot, e, own, r)
	}
	if err != nil {
		return err
	}
	return w.Rename(slot, d, name)
}

// link gives the file at p, an entry's path, one more name.
func (b *backer) link(p string, w *workDir, slot string) error {
	d, name, err := b.work.root.OpenParent("/" + p)
	if err != nil {
		return err
	}
	return errors.Join(d.Link(name, w.Dir, slot), d.Close())
}

// attributes gives directory e what it had.
func (b *backer) attributes(e artifact.Entry) error {
	d, name, err := b.at.parent("/" + e.Path)
	if err != nil {
		return err
	}
	have, _, err := archive.Stat(d, name, e.Path, noNames{})
	if err != nil || looksSame(e, have) {
		return err
	}
	_, err = archive.SetAttributes(d, name, e, archive.Owner{UID: e.UID, GID: e.GID, AsIs: !isRoot()})
	return err
}

// dropNew removes what lies below trees, is not in savedFile, and is wanted: it was
// made since. The times of directories are put back by putBack, which comes after.
func (w *work) dropNew(ctx context.Context, state *host.Dir, trees []string, wanted func(p string) bool) error {
	return w.eachNew(ctx, state, trees, func(d *host.Dir, name, p string) (bool, error) {
		if !wanted(p) {
			return false, nil
		}
		return false, d.RemoveAll(name)
	})
}

// eachNew calls fn for what lies below trees and is not in savedFile, with the
// directory it is in. It goes on below a directory if fn says so.
func (w *work) eachNew(ctx context.Context, state *host.Dir, trees []string, fn func(d *host.Dir, name, p string) (deeper bool, err error)) error {
	known := map[string]bool{}
	err := eachSaved(ctx, state, func(e artifact.Entry, _ io.Reader) error {
		known["/"+e.Path] = true
		return nil
	})
	if err != nil {
		return err
	}
	n := newcomers{work: w, known: known, leave: w.paths(), fn: fn}
	for _, tree := range trees {
		for todo := []string{tree}; len(todo) > 0; {
			dir := todo[len(todo)-1]
			more, err := n.in(dir)
			if err != nil {
				return err
			}
			todo = append(todo[:len(todo)-1], more...)
		}
	}
	return nil
}

// newcomers are paths that were not there when trees were saved.
type newcomers struct {
	work         *work
	known, leave map[string]bool
	fn           func(d *host.Dir, name, p string) (deeper bool, err error)
}

// in looks into one directory and returns those in it to look into.
func (n newcomers) in(dir string) (dirs []string, err error) {
	d, err := n.work.root.OpenDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	top, err := d.Self()
	if err != nil {
		return nil, err
	}
	names, err := d.Names()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		p := path.Join(dir, name)
		st, err := d.Lstat(name)
		if err != nil {
			return nil, err
		}
		if n.leave[p] || st.Mode&unix.S_IFMT == unix.S_IFSOCK || st.Dev != top.Dev { // not ours: the last is mounted there
			continue
		}
		deeper := n.known[p]
		if !deeper {
			if deeper, err = n.fn(d, name, p); err != nil {
				return nil, err
			}
		}
		if deeper && st.IsDir() {
			dirs = append(dirs, p)
		}
	}
	return dirs, nil
}
