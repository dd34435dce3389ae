package artifact

import (
	"context"
	"fmt"
	"hash/maphash"
	"strings"

	"oras.land/oras-go/v2/content"
)

// CheckTree makes sure that the entries of s can be put in place one by one, each where
// its path says: none lies below what is no directory, nor below a symlink of any kind of
// the snapshot, so that no entry leads another one astray; and each hard link is another
// name of a file of the snapshot and of none that a host has. It reads the catalog two or
// three times, and keeps a number for each symlink and hard link.
func (s *Snapshot) CheckTree(ctx context.Context, f content.Fetcher) error {
	c := newTreeCheck()
	if err := s.Catalog(ctx, f, func(e Entry) error { return c.note(&e) }); err != nil {
		return err
	}
	return c.finish(ctx, f, s)
}

// finish is what is left to do once all entries were noted.
func (c *treeCheck) finish(ctx context.Context, f content.Fetcher, s *Snapshot) error {
	if len(c.links) == 0 && len(c.targets) == 0 {
		return nil
	}
	if err := s.Catalog(ctx, f, func(e Entry) error { return c.check(&e) }); err != nil || len(c.targets) == 0 {
		return err
	}
	return s.Catalog(ctx, f, func(e Entry) error {
		if e.Type == TypeHardlink && c.targets[c.of(e.Kind, e.Link)] {
			return fmt.Errorf("entry %q: hard link to %q, which is no file of the snapshot", e.Path, e.Link)
		}
		return nil
	})
}

// treeCheck knows paths by hashes that nobody can foresee.
type treeCheck struct {
	seed    maphash.Seed
	links   map[uint64]bool // symlinks, of all kinds
	targets map[uint64]bool // of hard links, by kind; those not met yet
	// above are the paths of those entries of kind that are no directories and that the
	// path met last begins with. In a sorted list an entry below one of them meets it here.
	kind  Kind
	above []string
}

func newTreeCheck() *treeCheck {
	return &treeCheck{seed: maphash.MakeSeed(), links: map[uint64]bool{}, targets: map[uint64]bool{}}
}

func (c *treeCheck) of(k Kind, path string) uint64 {
	return maphash.Comparable(c.seed, [2]string{string(k), path})
}

// note remembers e if it leads elsewhere.
func (c *treeCheck) note(e *Entry) error {
	if !e.IsFirst() {
		return nil
	}
	if e.Kind != c.kind {
		c.kind, c.above = e.Kind, c.above[:0]
	}
	for n := len(c.above); n > 0 && !strings.HasPrefix(e.Path, c.above[n-1]); n = len(c.above) {
		c.above = c.above[:n-1]
	}
	for _, p := range c.above {
		if e.Path[len(p)] == '/' {
			return fmt.Errorf("entry %q: lies below %q, which is no directory", e.Path, p)
		}
	}
	if e.Type != TypeDir {
		c.above = append(c.above, e.Path)
	}
	switch {
	case !e.Kind.IsTree():
	case e.Type == TypeSymlink:
		c.links[c.of("", e.Path)] = true
	case e.Type == TypeHardlink:
		c.targets[c.of(e.Kind, e.Link)] = true
	}
	return nil
}

func (c *treeCheck) check(e *Entry) error {
	if !e.Kind.IsTree() {
		return nil
	}
	if e.Type != TypeHardlink && e.Type != TypeDir && len(c.targets) > 0 {
		delete(c.targets, c.of(e.Kind, e.Path))
	}
	for p := e.Path; ; {
		at := strings.LastIndexByte(p, '/')
		if at < 0 {
			return nil
		}
		p = p[:at]
		if c.links[c.of("", p)] {
			return fmt.Errorf("entry %q: lies below %q, which is a symlink in the same snapshot", e.Path, p)
		}
	}
}
