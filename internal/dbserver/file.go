package dbserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/internal/host"
)

// maxConfig is how large a file of configuration may be.
const maxConfig = 16 << 20

// beside is added to a file's name while its new content is written. Files that
// are included by their ending do not have this one.
const beside = ".xcrate-new"

// blockStep puts a block into file p where place says, instead of the one that is
// there; nil if that is so.
func (m *machine) blockStep(p, block string, place func(text string) int) (*step, error) {
	_, old, changed, err := m.withBlock(p, block, place)
	if err != nil || !changed {
		return nil, err
	}
	act := Act{Kind: ActBlock, Name: p}
	if old != "" {
		k := Kept(old)
		act.Before = &k
	}
	return &step{act: act, do: func(ctx context.Context) error {
		next, _, _, err := m.withBlock(p, block, place)
		if err != nil {
			return err
		}
		return m.write(ctx, p, next, 0)
	}}, nil
}

// withBlock returns what file p is with a block, "" for none, and the block that
// is there now.
func (m *machine) withBlock(p, block string, place func(text string) int) (next, old string, changed bool, err error) {
	text, err := m.read(p)
	if err != nil {
		return "", "", false, err
	}
	rest, old, _, err := cutBlock(text)
	if err != nil {
		return "", "", false, fmt.Errorf("file %s: %w", p, err)
	}
	next = rest
	if block != "" {
		next = insertBlock(rest, block, place(rest))
	}
	return next, old, next != text, nil
}

// putBlockBack gives file p the block it had before, nil for none, where the one
// stands that it has now.
func (s *Server) putBlockBack(ctx context.Context, p string, before *Kept) error {
	text, err := s.read(p)
	if errors.Is(err, fs.ErrNotExist) { // its package went, or its cluster
		return nil
	}
	if err != nil {
		return err
	}
	_, _, at, err := cutBlock(text)
	if err != nil {
		return fmt.Errorf("file %s: %w", p, err)
	}
	block := ""
	if before != nil {
		block = string(*before)
	}
	next, _, changed, err := s.withBlock(p, block, func(rest string) int {
		if at < 0 {
			return len(rest)
		}
		return at
	})
	if err != nil || !changed {
		return err
	}
	return s.write(ctx, p, next, 0)
}

// putFileBack gives file p the content it had before; nil is no file.
func (s *Server) putFileBack(ctx context.Context, p string, before *Kept) error {
	if before != nil {
		return s.write(ctx, p, string(*before), 0o644)
	}
	d, name, err := s.root.OpenParent(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	if err := d.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := d.Sync(); err != nil || p != dropIn {
		return err
	}
	return s.removeEmpty(path.Dir(p)) // it was most likely made for the drop-in
}

// read returns a file of configuration.
func (m *machine) read(p string) (string, error) {
	b, err := m.root.ReadFile(p, maxConfig)
	return string(b), err
}

// readOld returns the content of a file that may not be there: nil then.
func (m *machine) readOld(p string) (*Kept, error) {
	b, err := m.root.ReadFile(p, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	k := Kept(b)
	return &k, nil
}

// write replaces file p, durably: who reads it finds the old content or the new.
// Owner, mode and extended attributes stay; a file that was not there is root's,
// with mode perm. What a symlink leads to is written, the symlink stays.
func (m *machine) write(ctx context.Context, p, content string, perm uint32) (err error) {
	target, err := m.root.Resolve(p)
	if err != nil {
		return err
	}
	if err := m.root.MkdirAll(path.Dir(target), 0o755); err != nil {
		return err
	}
	d, name, err := m.root.OpenParent(target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := d.Remove(name + beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // left by a kill, and cannot go
	}
	f, err := d.Create(name + beside)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = like(d, name, perm)
	}
	if err == nil {
		err = d.Rename(name+beside, d, name)
	}
	if err != nil {
		return errors.Join(err, d.Remove(name+beside))
	}
	if err := d.Sync(); err != nil {
		return err
	}
	return m.relabel(ctx, target)
}

// like gives the new file beside name what the old one has.
func like(d *host.Dir, name string, perm uint32) error {
	st, err := d.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return d.Chmod(name+beside, perm)
	}
	if err != nil {
		return err
	}
	if !st.IsRegular() {
		return &fs.PathError{Op: "write", Path: path.Join(d.Path(), name), Err: errors.New("is no regular file")}
	}
	attrs, err := d.Xattrs(name)
	if err != nil {
		return err
	}
	if err := d.Chown(name+beside, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	for attr, value := range attrs {
		// A filesystem mounted with a context of its own does not take labels.
		if err := d.SetXattr(name+beside, attr, value); err != nil && !errors.Is(err, unix.ENOTSUP) {
			return err
		}
	}
	return d.Chmod(name+beside, st.Perm())
}

// relabel gives files the label that the policy of a running machine has for them.
// Elsewhere nothing can: labels are those of the directory until it boots.
func (m *machine) relabel(ctx context.Context, args ...string) error {
	if !m.root.IsLive() || !m.root.Exists("/sys/fs/selinux/enforce") {
		return nil
	}
	_, err := m.run.Run(ctx, host.Command{Name: "restorecon", Args: args})
	return err
}
