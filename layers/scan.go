package layers

import (
	"bytes"
	"context"
	"errors"
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

// item is one path the walk found and decided to take.
type item struct {
	path string // with leading slash, as the host names it
	size int64
	file host.Inode // of a regular file with several names, else zero
}

// workPrefix begins the name of what an import keeps at the top of a filesystem.
const workPrefix = ".xcrate-"

// scanner walks a host's trees and sorts what it finds into kinds.
type scanner struct {
	c       *capture
	ctx     context.Context
	items   map[artifact.Kind][]item
	visited map[string]bool // paths taken or left out, so that none comes twice
	out     map[string]*artifact.LeftOut
}

// scan walks everything the stack's rules and path columns name.
func (c *capture) scan(ctx context.Context) (map[artifact.Kind][]item, error) {
	c.o.Progress.Phase("looking", 0)
	s := &scanner{c: c, ctx: ctx, items: map[artifact.Kind][]item{}, visited: map[string]bool{}, out: map[string]*artifact.LeftOut{}}
	for _, pattern := range c.bound.Starts() {
		paths, err := c.bound.Glob(pattern, s.names)
		if err != nil {
			return nil, err
		}
		for _, p := range paths {
			if err := s.start(p, c.bound.Decide(p)); err != nil {
				return nil, err
			}
		}
	}
	if err := s.follow(); err != nil {
		return nil, err
	}
	for _, l := range s.out {
		c.leaveOut(*l)
	}
	slices.SortFunc(c.config.LeftOut, func(a, b artifact.LeftOut) int { return strings.Compare(a.Path+"\x00"+a.What, b.Path+"\x00"+b.What) })
	for k := range s.items {
		slices.SortFunc(s.items[k], func(a, b item) int { return strings.Compare(a.path, b.path) })
	}
	return s.items, nil
}

func (s *scanner) names(dir string) ([]string, error) {
	names, err := s.c.o.Root.Names(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	return names, err
}

// start begins a walk at p, if p exists. A top directory that is a symlink is
// stored as the directory it leads to, under its own name, and noted.
func (s *scanner) start(p string, rule stack.Rule) error {
	if s.visited[p] {
		return nil
	}
	d, name, err := s.c.o.Root.OpenParent(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	st, err := d.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.IsSymlink() && rule.Take != "" {
		if target, err := s.c.o.Root.Stat(p); err == nil && target.IsDir() {
			return s.linkedTree(p, d, name, rule)
		}
	}
	return s.visit(d, name, p, st.Dev, rule)
}

func (s *scanner) linkedTree(p string, d *host.Dir, name string, rule stack.Rule) error {
	target, err := d.Readlink(name)
	if err != nil {
		return err
	}
	s.c.config.Links = append(s.c.config.Links, artifact.Link{Path: p, Target: target})
	sub, err := s.c.o.Root.OpenDir(p)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Close() }()
	st, err := sub.Self()
	if err != nil {
		return err
	}
	return s.dir(sub, p, st, rule)
}

// visit takes or leaves out name in d, which the host calls p, and what is
// below it. dev is the filesystem the walk is on.
func (s *scanner) visit(d *host.Dir, name, p string, dev uint64, rule stack.Rule) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if s.visited[p] {
		return nil
	}
	s.visited[p] = true
	st, err := d.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone since its directory was read: it is not there
	}
	if err != nil {
		return err
	}
	switch {
	case rule.Take == "":
		return s.leave(d, name, p, artifact.LeftOut{Path: p, What: rule.What, Reason: rule.Reason, Restore: rule.Restore, System: rule.OfSystem()})
	case strings.HasPrefix(name, workPrefix):
		return s.leave(d, name, p, artifact.LeftOut{Path: p, What: "work directory of an import", Reason: "holds what an import replaced"})
	case s.c.o.Skip[st.Inode()]:
		s.out[p] = &artifact.LeftOut{Path: p, What: "the destination of this export", Reason: "a snapshot does not hold itself"}
		return nil
	case st.Mode&unix.S_IFMT == unix.S_IFSOCK:
		s.out[p] = &artifact.LeftOut{Path: p, What: "socket", Reason: "belongs to the process that made it"}
		return nil
	case st.IsDir():
		sub, err := d.OpenDir(name)
		if err != nil {
			return err
		}
		defer func() { _ = sub.Close() }()
		if st, err = sub.Self(); err != nil {
			return err
		}
		if st.Dev != dev {
			s.take(p, st, rule.Take)
			s.out[p] = &artifact.LeftOut{Path: p, What: "mount point", Reason: "another filesystem is mounted here", Restore: "mount it again, or copy what it holds"}
			return nil
		}
		return s.dir(sub, p, st, rule)
	case st.IsRegular() && rule.Take != artifact.KindSecrets:
		secret, err := isSecret(d, name, st)
		if err != nil {
			return err
		}
		if secret {
			rule.Take = artifact.KindSecrets
		}
	}
	s.take(p, st, rule.Take)
	return nil
}

func (s *scanner) take(p string, st host.Stat, k artifact.Kind) {
	it := item{path: p, size: st.Size}
	if st.IsRegular() && st.Nlink > 1 {
		it.file = st.Inode()
	}
	s.items[k] = append(s.items[k], it)
}

// dir takes directory p and what is in it, but for what its structure shows to
// be distro media or an image.
func (s *scanner) dir(d *host.Dir, p string, st host.Stat, rule stack.Rule) error {
	s.visited[p] = true
	names, err := d.Names()
	if err != nil {
		return err
	}
	found, ok := s.c.bound.Recognise(p, dirView{d, names})
	out := artifact.LeftOut{Path: p, What: found.What, Reason: found.Reason, Restore: found.Restore}
	if ok && len(found.Items) == 0 {
		return s.leaveDir(d, p, out)
	}
	s.take(p, st, rule.Take)
	if rule.Mirror && s.c.bound.Decide(path.Dir(p)).Path != rule.Path {
		s.c.config.IdentityTrees = append(s.c.config.IdentityTrees, p)
	}
	for _, name := range names {
		below := path.Join(p, name)
		if ok && slices.Contains(found.Items, name) {
			s.visited[below] = true
			if err := s.leave(d, name, below, out); err != nil {
				return err
			}
			continue
		}
		if err := s.visit(d, name, below, st.Dev, s.ruleFor(below, rule)); err != nil {
			return err
		}
	}
	return nil
}

// ruleFor is the rule for p below a directory with the given rule: its own if
// the stack has one, else what holds above. Trees found through a path column
// lie under no rule.
func (s *scanner) ruleFor(p string, above stack.Rule) stack.Rule {
	if r := s.c.bound.Decide(p); r.Ref != "" {
		return r
	}
	return above
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

// leave records name in d, which the host calls p, as left out under out.Path,
// with all that is below it; several names of one directory add up.
func (s *scanner) leave(d *host.Dir, name, p string, out artifact.LeftOut) error {
	key := out.Path + "\x00" + out.What
	l := s.out[key]
	if l == nil {
		l = &out
		s.out[key] = l
	}
	return s.measure(d, name, p, l)
}

func (s *scanner) leaveDir(d *host.Dir, p string, out artifact.LeftOut) error {
	names, err := d.Names()
	if err != nil {
		return err
	}
	l := &out
	s.out[p+"\x00"+out.What] = l
	l.Entries++
	for _, name := range names {
		if err := s.measure(d, name, path.Join(p, name), l); err != nil {
			return err
		}
	}
	return nil
}

// measure adds size and number of what name holds to l, but for what a rule of
// its own takes after all.
func (s *scanner) measure(d *host.Dir, name, p string, l *artifact.LeftOut) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if p != l.Path && s.c.bound.Decide(p).Take != "" && s.c.bound.Decide(path.Dir(p)).Take == "" {
		return nil
	}
	st, err := d.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	l.Entries++
	if st.IsRegular() {
		l.Size += st.Size
	}
	if !st.IsDir() {
		return nil
	}
	sub, err := d.OpenDir(name)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Close() }()
	if own, err := sub.Self(); err != nil || own.Dev != st.Dev {
		return err
	}
	names, err := sub.Names()
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := s.measure(sub, n, path.Join(p, n), l); err != nil {
			return err
		}
	}
	return nil
}

// keyFile is how large a file that holds a private key may be.
const keyFile = 64 << 10

// isSecret reports whether a file belongs among the secrets wherever it lies:
// because it is kept from others, or because it holds a private key in PEM.
func isSecret(d *host.Dir, name string, st host.Stat) (bool, error) {
	if st.Perm()&0o004 == 0 {
		return true, nil
	}
	if st.Size == 0 || st.Size > keyFile {
		return false, nil
	}
	b, err := readSmall(d, name, keyFile)
	return bytes.Contains(b, []byte("PRIVATE KEY-----")), err
}

// readSmall returns the first limit bytes of a file, all of a smaller one.
func readSmall(d *host.Dir, name string, limit int64) (_ []byte, err error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, limit))
}
