package layers

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/pkgmgr"
	"github.com/xcrate/xcrate/internal/stack"
)

// localChanges takes what was changed of the files that the stack's packages
// brought, and what was added beside its programs, as far as no rule takes it.
// Where no package database tells, the rule that leaves the programs out says what
// to do.
func (s *scanner) localChanges() error {
	c := s.c
	changed, err := pkgmgr.Modified(s.ctx, c.o.Root, c.o.TempDir, c.o.Stack.Packages.Installs)
	if errors.Is(err, pkgmgr.ErrNone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("changed package files: %w", err)
	}
	for _, d := range changed {
		c.config.Modified = append(c.config.Modified, artifact.Modified{Path: d.Path, Package: d.Package, What: d.What, Config: d.Config})
		if isLocal(d) {
			if err := s.takeOne(d.Path); err != nil {
				return err
			}
		}
	}
	added, err := pkgmgr.Unowned(s.ctx, c.o.Root, c.o.TempDir, []string{c.o.Stack.Local})
	if err != nil {
		return fmt.Errorf("files of no package: %w", err)
	}
	if added, err = s.withoutFrames(added); err != nil {
		return err
	}
	for _, p := range added {
		if err := s.takeOne(p); err != nil {
			return err
		}
	}
	for _, l := range s.out {
		if l.Path == c.o.Stack.Local {
			l.What, l.Restore = "programs and stock templates of "+c.o.Stack.Title, ""
			l.Reason = "the packages bring them; what was changed or added is kind opt"
		}
	}
	return nil
}

// withoutFrames returns paths, sorted, without the directories that only hold
// what packages brought: not every package owns the directories of its files.
func (s *scanner) withoutFrames(paths []string) ([]string, error) {
	local := map[string]bool{}
	for _, p := range slices.Backward(paths) { // what lies in a directory comes after it
		st, err := s.c.o.Root.Lstat(p)
		if err != nil || !st.IsDir() {
			local[p] = true // what is wrong with it will be said when it is taken
			continue
		}
		names, err := s.names(p)
		if err != nil {
			return nil, s.c.unreadable(p, err)
		}
		local[p] = !slices.ContainsFunc(names, func(name string) bool { return !local[p+"/"+name] })
	}
	return slices.DeleteFunc(paths, func(p string) bool { return !local[p] }), nil
}

// isLocal reports whether a file that differs is somebody's change: it is there,
// and more than its time is another.
func isLocal(d pkgmgr.Difference) bool {
	return !d.Ghost && len(d.What) == len("SM5DLUGTP") && strings.Trim(d.What, ".T") != ""
}

// takeOne takes p alone, not what is below it, unless a rule takes it or it was
// taken.
func (s *scanner) takeOne(p string) error {
	rule := s.c.bound.Decide(p)
	if s.visited(p) || rule.Take != "" {
		return nil
	}
	s.single[p] = true
	d, name, err := s.c.o.Root.OpenParent(p)
	if err != nil {
		return s.c.unreadable(p, err)
	}
	defer func() { _ = d.Close() }()
	st, err := d.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone since it was looked for
	}
	if err != nil {
		return s.c.unreadable(p, err)
	}
	w := walkDir{d: d, items: folderOf(p)}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFSOCK:
		s.out[p] = &artifact.LeftOut{Path: p, What: "socket", Reason: "belongs to the process that made it"}
		return nil
	case st.IsRegular():
		return s.file(w, name, p, st, stack.Rule{Path: path.Clean(p), Take: artifact.KindOpt})
	}
	s.take(w.items, name, st, 0, artifact.KindOpt)
	return nil
}
