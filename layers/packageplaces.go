package layers

import (
	"context"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/xcrate/xcrate/internal/pkgmgr"
)

// placeKind says how far a place is trusted to be the stack's.
type placeKind int

const (
	placeGiven      placeKind = iota // by whoever exports
	placeTree                        // where the stack's packages are kept
	placeStaged                      // where an import left them
	placeRepository                  // configured on the host
	placeCache                       // of a package manager
)

// place is one place that may have package files.
type place struct {
	name   string // for people
	kind   placeKind
	remote bool
	first  bool // it is called after the stack
	open   func(context.Context, pkgmgr.SourceOptions) (pkgmgr.Source, error)
	// What its list was seen to have: packages that only the stack has, and such
	// as only a distro has.
	stack, distro bool
}

func (pl *place) explicit() bool { return pl.kind == placeGiven }

// own reports whether the place is the stack's: all that is installed and offered
// there belongs to it.
func (pl *place) own() bool {
	switch pl.kind {
	case placeGiven, placeTree, placeStaged:
		return !pl.distro
	case placeRepository:
		return pl.stack && !pl.distro
	case placeCache:
	}
	return false
}

// strict reports whether an error there ends the export.
func (pl *place) strict() bool { return pl.kind == placeGiven || pl.kind == placeTree }

// Limits for servers that nobody named on the command line: a node without a
// network has many of them configured, and all are silent.
const (
	connectLimit = 5 * time.Second
	stallLimit   = 15 * time.Second
)

func (c *capture) auto() bool { return c.o.Auto || len(c.o.Packages) == 0 }

// places returns where packages are looked for, in order.
func (c *capture) places(s *selection) ([]*place, error) {
	var all []*place
	for _, where := range c.o.Packages {
		all = append(all, &place{name: pkgmgr.Shown(where), kind: placeGiven, open: func(ctx context.Context, o pkgmgr.SourceOptions) (pkgmgr.Source, error) {
			return pkgmgr.OpenSource(ctx, where, o)
		}})
	}
	if !c.auto() {
		return all, nil
	}
	local, remote := c.repositories(s)
	trees, err := c.packageTrees()
	if err != nil {
		return nil, err
	}
	all = append(all, local...)
	for _, dir := range trees {
		all = append(all, c.directory(dir, placeTree))
	}
	if dir := c.o.Repository; dir != "" && c.o.Root.Exists(dir) {
		all = append(all, c.directory(dir, placeStaged))
	}
	all = append(all, remote...)
	for _, dir := range pkgmgr.CacheDirs() {
		if c.o.Root.Exists(dir) {
			all = append(all, c.directory(dir, placeCache))
		}
	}
	return all, nil
}

func (c *capture) directory(dir string, kind placeKind) *place {
	return &place{name: c.o.Root.Path(dir), kind: kind, open: func(_ context.Context, o pkgmgr.SourceOptions) (pkgmgr.Source, error) {
		o.Lenient = kind != placeTree
		return pkgmgr.OpenDirectory(c.o.Root, dir, o), nil
	}}
}

// repositories returns the places the host's administrator configured, those
// that are called after the stack first.
func (c *capture) repositories(s *selection) (local, remote []*place) {
	for _, r := range s.configured {
		pl := &place{name: r.String(), kind: placeRepository, remote: !r.Local, first: r.Mentions(c.o.Stack.Name)}
		pl.open = func(ctx context.Context, o pkgmgr.SourceOptions) (pkgmgr.Source, error) {
			o.Root, o.Once, o.Connect, o.Stall = c.o.Root, true, connectLimit, stallLimit
			return r.Open(ctx, o)
		}
		if pl.remote {
			remote = append(remote, pl)
		} else {
			local = append(local, pl)
		}
	}
	for _, set := range [][]*place{local, remote} {
		slices.SortStableFunc(set, func(a, b *place) int {
			switch {
			case a.first == b.first:
				return 0
			case a.first:
				return -1
			}
			return 1
		})
	}
	return local, remote
}

// packageTrees returns the directories of the host in which the stack keeps packages,
// those that are called after the host's architecture first.
func (c *capture) packageTrees() ([]string, error) {
	var all []string
	for _, pattern := range c.bound.PackageDirs() {
		dirs, err := c.bound.Glob(pattern, (&scanner{c: c}).names)
		if err != nil {
			return nil, err
		}
		for _, dir := range dirs {
			// What lies in a tree is found there, unless a symlink leads out of it.
			st, err := c.o.Root.Lstat(dir)
			inside := err == nil && !st.IsSymlink() && slices.Contains(all, path.Dir(dir))
			if st, err := c.o.Root.Stat(dir); err == nil && st.IsDir() && !inside {
				all = append(all, dir)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b string) int { return c.foreign(a) - c.foreign(b) })
	return all, nil
}

// foreign counts what a directory below otherpkgs is for that the host is not.
// Builds for several systems may have one name and version.
func (c *capture) foreign(dir string) int {
	h := c.config.Host
	major, _, _ := strings.Cut(h.Distro.Version, ".")
	n := 0
	for _, own := range []string{"/" + h.Arch + "/", h.Distro.ID, h.Distro.ID + major, h.Distro.ID + h.Distro.Version} {
		if !strings.Contains(dir, own) {
			n++
		}
	}
	return n
}

func (c *capture) sourceOptions(s *selection) pkgmgr.SourceOptions {
	return pkgmgr.SourceOptions{
		TempDir: c.o.TempDir, CAFile: c.o.CAFile, Proxy: c.o.Proxy, Narrow: c.narrow(), Vars: s.vars, Keys: &s.ring, Now: c.o.Now,
	}
}

// narrow is the directory of xcat-dep that is for the host's distro and
// architecture (rh9/x86_64, sles15/ppc64le): the others hold other builds of the
// same packages.
func (c *capture) narrow() string {
	distro := c.config.Host.Distro
	major, _, _ := strings.Cut(distro.Version, ".")
	family := "rh"
	if pkgmgr.IsSUSE(distro) {
		family = "sles"
	}
	return path.Join(family+major, c.config.Host.Arch)
}
