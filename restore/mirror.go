package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
)

// mirror knows the trees that are to hold nothing but what the snapshot has:
// identity trees and the repository of packages.
type mirror struct {
	roots map[string]bool // by path on the host: whether the snapshot's tree is placed
	known map[string]bool // what is to be below them, with the directories on the way
}

func newMirror(s *artifact.Snapshot, packages bool) (*mirror, error) {
	m := &mirror{roots: map[string]bool{RepositoryDir: packages}, known: map[string]bool{}}
	for _, tree := range s.Config.IdentityTrees {
		if err := artifact.CheckPath(strings.TrimPrefix(tree, "/")); err != nil {
			return nil, fmt.Errorf("config: identity tree: %w", err)
		}
		if strings.Count(path.Clean("/"+tree), "/") < 3 {
			return nil, fmt.Errorf("config: identity tree %q: too near the root", tree)
		}
		// One the snapshot does not hold, or that is not wanted, stays the host's.
		m.roots[path.Clean("/"+tree)] = false
	}
	return m, nil
}

// note takes down an entry of the snapshot, which goes to p on the host.
func (m *mirror) note(e artifact.Entry, p string, placed bool) {
	if !e.Kind.IsTree() && e.Kind != artifact.KindPackages {
		return
	}
	for root := range m.roots {
		if p == root && root != RepositoryDir {
			m.roots[root] = placed
		}
		if !strings.HasPrefix(p, root+"/") {
			continue
		}
		for at := p; at != root && !m.known[at]; at = path.Dir(at) {
			m.known[at] = true
		}
	}
}

// mirrors finds what lies on the host in identity trees and is not in the
// snapshot: certificates of another CA must not mix with the restored ones.
func (p *planner) mirrors(context.Context) error {
	extra := []string{}
	for root, placed := range p.mirrored.roots {
		if !placed {
			continue
		}
		if err := p.extraBelow(root, &extra); err != nil {
			return err
		}
	}
	slices.Sort(extra)
	p.plan.Remove = extra
	return nil
}

func (p *planner) extraBelow(dir string, extra *[]string) error {
	names, err := p.Root.Names(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		at := path.Join(dir, name)
		if !p.mirrored.known[at] {
			*extra = append(*extra, at)
			continue
		}
		if st, err := p.Root.Lstat(at); err != nil || !st.IsDir() {
			if err != nil {
				return err
			}
			continue
		}
		if err := p.extraBelow(at, extra); err != nil {
			return err
		}
	}
	return nil
}
