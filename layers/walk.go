package layers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/stack"
)

// walkDir is a directory the walk is in.
type walkDir struct {
	d     *host.Dir
	dev   uint64  // its filesystem
	items *folder // what its items share
	depth int     // below the start of the walk
	start bool    // the walk begins with a name in it, on whatever filesystem
}

// maxOpen is how many directories above each other are kept open. Below that
// each is closed while the walk is further down, so that no depth uses up the
// process's descriptors.
const maxOpen = 200

// visit takes or leaves out name in w, which the host calls p, and what is
// below it.
func (s *scanner) visit(w walkDir, name, p string, rule stack.Rule) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	st, err := w.d.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone since its directory was read: it is not there
	}
	if err != nil {
		return s.c.unreadable(p, err)
	}
	switch {
	case rule.Take == "":
		return s.leave(w.d, name, p, artifact.LeftOut{Path: p, What: rule.What, Reason: rule.Reason, Restore: rule.Restore, System: rule.OfSystem()})
	case strings.HasPrefix(name, workPrefix):
		return s.leave(w.d, name, p, artifact.LeftOut{Path: p, What: "work directory of an import", Reason: "holds what an import replaced"})
	case strings.HasSuffix(name, beforeSuffix) && strings.HasPrefix(p, "/etc/"):
		return s.leave(w.d, name, p, artifact.LeftOut{Path: p, What: "copy of a file that an import replaced", Reason: "is of this host before the import"})
	case s.c.o.Skip[st.Inode()]:
		s.out[p] = &artifact.LeftOut{Path: p, What: "the destination of this export", Reason: "a snapshot does not hold itself"}
		return nil
	case st.Mode&unix.S_IFMT == unix.S_IFSOCK:
		s.out[p] = &artifact.LeftOut{Path: p, What: "socket", Reason: "belongs to the process that made it"}
		return nil
	case st.IsDir():
		return s.subdir(w, name, p, rule)
	case st.IsRegular():
		return s.file(w, name, p, st, rule)
	}
	s.take(w.items, name, st, 0, rule.Take)
	return nil
}

// file takes regular file name in w.
func (s *scanner) file(w walkDir, name, p string, st host.Stat, rule stack.Rule) error {
	secret, err := isSecret(w.d, name, st)
	if err != nil {
		return s.c.unreadable(p, err)
	}
	if secret {
		rule.Take = artifact.KindSecrets
	}
	data, err := s.c.dataSize(w.d, name, st)
	if err != nil {
		return s.c.unreadable(p, err)
	}
	s.take(w.items, name, st, data, rule.Take)
	return nil
}

// subdir visits directory name in w.
func (s *scanner) subdir(w walkDir, name, p string, rule stack.Rule) (err error) {
	sub, err := w.d.OpenDir(name)
	if err != nil {
		return s.c.unreadable(p, err)
	}
	defer func() { err = errors.Join(err, sub.Close()) }()
	st, err := sub.Self()
	if err != nil {
		return err
	}
	if !w.start && (st.Dev != w.dev || s.mounts[sub.Path()]) {
		if why := s.crosses(p, st); why != "" {
			s.take(w.items, name, st, 0, rule.Take)
			s.out[p] = &artifact.LeftOut{Path: p, What: "mount point", Reason: why, Restore: "mount it again, or copy what it holds"}
			return nil
		}
	}
	if w.depth > maxOpen {
		if err := w.d.Release(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.d.Regain(sub)) }()
	}
	return s.dir(sub, w.items, name, p, st, rule, w.depth+1)
}

// crosses says why the walk does not go on into the filesystem mounted at p,
// "" if it was told to.
func (s *scanner) crosses(p string, st host.Stat) string {
	if !slices.Contains(s.c.o.Mounts, p) {
		return "another filesystem is mounted here"
	}
	for above := path.Dir(p); ; above = path.Dir(above) {
		if over, err := s.c.o.Root.Stat(above); err == nil && over.Inode() == st.Inode() {
			return fmt.Sprintf("%s itself is mounted here", above)
		}
		if above == "/" {
			return ""
		}
	}
}

// dir takes directory p, which is name in folder in, and what is in it, but for
// what its structure shows to be distro media or an image.
func (s *scanner) dir(d *host.Dir, in *folder, name, p string, st host.Stat, rule stack.Rule, depth int) error {
	if s.walked[p] {
		return nil
	}
	names, err := d.Names()
	if err != nil {
		return s.c.unreadable(p, err)
	}
	found, ok := s.c.bound.Recognise(p, dirView{d, names})
	out := artifact.LeftOut{Path: p, What: found.What, Reason: found.Reason, Restore: found.Restore}
	if ok && len(found.Items) == 0 {
		s.single[p] = true
		return s.leaveDir(d, p, out)
	}
	s.walked[p] = true
	s.take(in, name, st, 0, rule.Take)
	if rule.Mirror && s.c.bound.Decide(path.Dir(p)).Path != rule.Path {
		s.c.config.IdentityTrees = append(s.c.config.IdentityTrees, p)
	}
	w := walkDir{d: d, dev: st.Dev, items: &folder{path: p}, depth: depth}
	for _, name := range names {
		below := p + "/" + name
		if ok && slices.Contains(found.Items, name) {
			if err := s.leave(d, name, below, out); err != nil {
				return err
			}
			continue
		}
		if s.single[below] {
			continue // a walk of its own began here
		}
		if err := s.visit(w, name, below, s.ruleFor(below, rule)); err != nil {
			return err
		}
	}
	return nil
}

// dirView shows a directory to the stack.
type dirView struct {
	d     *host.Dir
	names []string
}

func (v dirView) Names() []string { return v.names }

func (v dirView) IsDir(name string) bool {
	st, err := v.d.Lstat(name)
	return err == nil && st.IsDir()
}

func (v dirView) ReadFile(name string, limit int64) ([]byte, error) {
	return readSmall(v.d, name, limit)
}

// isSecret reports whether a file belongs among the secrets wherever it lies:
// because it is kept from others, or because it holds a private key. Most files
// are looked into when they are written, so that each is opened once; but of a
// file with several names, all have to go the same way.
func isSecret(d *host.Dir, name string, st host.Stat) (bool, error) {
	if st.Perm()&0o004 == 0 {
		return true, nil
	}
	if st.Nlink == 1 || st.Size == 0 || st.Size > keyFile {
		return false, nil
	}
	b, err := readSmall(d, name, keyFile)
	return holdsKey(b), err
}

// keyFile is how large a file that holds a private key may be.
const keyFile = 64 << 10

// holdsKey reports whether the content of a file is, or has in it, a private
// key in PEM (RFC 7468).
func holdsKey(content []byte) bool {
	return len(content) <= keyFile && bytes.Contains(content, []byte("PRIVATE KEY-----"))
}

// readSmall returns the first limit bytes of a file, all of a smaller one.
func readSmall(d *host.Dir, name string, limit int64) (_ []byte, err error) {
	f, _, err := d.OpenFile(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, limit))
}
