package layers

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/stack"
)

// workPrefix begins the name of what an import keeps at the top of a filesystem.
const workPrefix = ".xcrate-"

// beforeSuffix ends the names of what an import kept of the host's own files below
// /etc, beside those that replaced them.
const beforeSuffix = ".before-xcrate"

// scanner walks a host's trees and sorts what it finds into kinds.
type scanner struct {
	c      *capture
	ctx    context.Context
	items  map[artifact.Kind][]item
	linked []host.Inode    // files with several names, by item.link
	mounts map[string]bool // where filesystems are mounted
	// Paths taken or left out, so that none comes twice: whole directories that
	// were walked, and single paths.
	walked, single map[string]bool
	out            map[string]*artifact.LeftOut
}

// scan walks everything the stack's rules and path columns name.
func (c *capture) scan(ctx context.Context) (*scanner, error) {
	c.o.Progress.Phase("looking", 0)
	mounts, err := c.o.Root.Mounts()
	if err != nil {
		return nil, err
	}
	s := &scanner{
		c: c, ctx: ctx, items: map[artifact.Kind][]item{}, mounts: mounts,
		walked: map[string]bool{}, single: map[string]bool{}, out: map[string]*artifact.LeftOut{},
	}
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
	if err := s.localChanges(); err != nil {
		return nil, err
	}
	for _, l := range s.out {
		c.leaveOut(*l)
	}
	for k := range s.items {
		slices.SortFunc(s.items[k], item.compare)
	}
	return s, nil
}

func (s *scanner) names(dir string) ([]string, error) {
	names, err := s.c.o.Root.Names(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	return names, err
}

// visited reports whether p was taken or left out already.
func (s *scanner) visited(p string) bool {
	return s.single[p] || s.walked[p] || s.walked[path.Dir(p)]
}

// start begins a walk at p, if p exists. A top directory that is a symlink is
// stored as the directory it leads to, under its own name, and noted.
func (s *scanner) start(p string, rule stack.Rule) error {
	if s.visited(p) {
		return nil
	}
	d, name, err := s.c.o.Root.OpenParent(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return s.c.unreadable(p, err)
	}
	defer func() { _ = d.Close() }()
	st, err := d.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return s.c.unreadable(p, err)
	}
	s.single[p] = true
	if st.IsSymlink() && rule.Take != "" {
		if target, err := s.c.o.Root.Stat(p); err == nil && target.IsDir() {
			return s.linkedTree(p, d, name, rule)
		}
	}
	return s.visit(walkDir{d: d, items: folderOf(p), start: true}, name, p, rule)
}

func (s *scanner) linkedTree(p string, d *host.Dir, name string, rule stack.Rule) error {
	target, err := d.Readlink(name)
	if err != nil {
		return err
	}
	s.c.config.Links = append(s.c.config.Links, artifact.Link{Path: p, Target: target})
	sub, err := s.c.o.Root.OpenDir(p)
	if err != nil {
		return s.c.unreadable(p, err)
	}
	defer func() { _ = sub.Close() }()
	st, err := sub.Self()
	if err != nil {
		return err
	}
	return s.dir(sub, folderOf(p), path.Base(p), p, st, rule, 0)
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
