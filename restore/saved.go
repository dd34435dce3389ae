package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/archive"
	"github.com/xcrate/xcrate/internal/host"
)

// savedFile lies beside the journal: trees as they were before packages were
// installed, as one tar stream. Scripts of packages write where they like, so
// only what was there before tells what to put back.
const savedFile = "saved.tar"

// saver writes trees of the host to savedFile.
type saver struct {
	ctx   context.Context
	root  *host.Root
	out   *archive.Writer
	leave map[string]bool       // the work directories
	names map[host.Inode]string // of files with several
}

// save writes trees, each a path of the host without symlinks, to savedFile in
// state, durable. Other filesystems mounted below them are not entered.
func (w *work) save(ctx context.Context, state *host.Dir, trees []string) (err error) {
	f, err := state.Create(savedFile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s := saver{ctx: ctx, root: w.root, out: archive.NewWriter(f), leave: w.paths(), names: map[host.Inode]string{}}
	for _, tree := range trees {
		st, err := w.root.Lstat(tree)
		if err != nil {
			return err
		}
		if err := s.tree(tree, uint64(st.Dev)); err != nil {
			return fmt.Errorf("save %s: %w", w.root.Path(tree), err)
		}
	}
	return errors.Join(s.out.Close(), f.Sync(), state.Sync())
}

// paths are the work directories by path.
func (w *work) paths() map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]bool{}
	for _, d := range w.dirs {
		all[d.path] = true
	}
	return all
}

// tree writes p and all below it. One directory is open at a time.
func (s *saver) tree(p string, dev uint64) error {
	todo := []string{p}
	for len(todo) > 0 {
		p, todo = todo[len(todo)-1], todo[:len(todo)-1]
		if err := s.ctx.Err(); err != nil {
			return err
		}
		d, name, err := s.root.OpenParent(p)
		if err != nil {
			return err
		}
		more, err := s.one(d, name, p, dev)
		if err = errors.Join(err, d.Close()); err != nil {
			return fmt.Errorf("%s: %w", s.root.Path(p), err)
		}
		todo = append(todo, more...)
	}
	return nil
}

// one writes p, which is name in d, and returns what lies in it.
func (s *saver) one(d *host.Dir, name, p string, dev uint64) (below []string, err error) {
	if s.leave[p] {
		return nil, nil
	}
	e, st, err := archive.Stat(d, name, strings.TrimPrefix(p, "/"), noNames{})
	if errors.Is(err, archive.ErrSocket) || errors.Is(err, fs.ErrNotExist) {
		return nil, nil // belongs to the process that made it, or just went
	}
	if err != nil {
		return nil, err
	}
	if first := s.names[st.Inode()]; first != "" && e.Type != artifact.TypeDir {
		e.Type, e.Link, e.Size, e.Xattrs = artifact.TypeHardlink, first, 0, nil
	} else if st.Nlink > 1 && !st.IsDir() {
		s.names[st.Inode()] = e.Path
	}
	if e.Type == artifact.TypeFile {
		return nil, s.file(d, name, e.Path)
	}
	if _, err := s.out.Add(e, nil); err != nil || e.Type != artifact.TypeDir || uint64(st.Dev) != dev {
		return nil, err
	}
	names, err := s.root.Names(p)
	for i, n := range names {
		names[i] = path.Join(p, n)
	}
	return names, err
}

func (s *saver) file(d *host.Dir, name, p string) error {
	e, st, f, err := archive.Open(d, name, p, noNames{})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, _, err = s.out.AddFile(f, e, st, func([]byte) error { return nil })
	return errors.Join(err, f.Close())
}
