package layers

import (
	"slices"
	"strings"

	"github.com/xcrate/xcrate/internal/stack"
)

const listFile = 16 << 20 // a pkglist or synclist, with room

// follow takes the files that tables and the lists they name point to outside
// the trees of the stack.
func (s *scanner) follow() error {
	refs, problems := s.c.bound.Follow(func(p string) ([]byte, error) { return s.c.o.Root.ReadFile(p, listFile) })
	for _, p := range problems {
		s.c.warn("%s", p)
	}
	for _, ref := range refs {
		if err := s.followRef(ref, problems); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) followRef(ref stack.Ref, problems []string) error {
	paths, err := s.c.bound.Glob(ref.Path, s.names)
	if err != nil {
		return err
	}
	there := false
	for _, p := range paths {
		there = there || s.c.o.Root.Exists(p)
		rule := s.c.bound.Decide(p)
		switch {
		case s.visited(p):
			continue
		case rule.Ref == "":
			rule = stack.Rule{Path: p, Take: ref.Kind, Ref: "3.6"}
		case rule.Take == "":
			continue // left out by rule: the walk has listed it
		}
		if err := s.start(p, rule); err != nil {
			return err
		}
	}
	said := slices.ContainsFunc(problems, func(p string) bool { return strings.HasPrefix(p, ref.From) && strings.Contains(p, ref.Path) })
	if !there && !said {
		s.c.warn("%s: %s is not there", ref.From, ref.Path)
	}
	return nil
}

// rel is a host's path as an entry has it.
func rel(p string) string { return strings.TrimPrefix(p, "/") }
