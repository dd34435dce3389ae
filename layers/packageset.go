package layers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/pkgmgr"
	"github.com/xcrate/xcrate/internal/stack"
)

// role is what an installed package is to the stack.
type role int

const (
	// other packages belong if one of the stack's own places offers them.
	other role = iota
	// companions are of the distro. The stack uses them.
	companion
	// drivers belong if the stack's places offer them, whoever made them.
	driver
	// optional packages have a name of the stack and another maker than its own:
	// EPEL and distros have some of them too.
	optional
	// required packages are the stack's own.
	required
)

// wanted is an installed package, and whether its file was found.
type wanted struct {
	pkgmgr.Installed
	role  role
	taken bool
}

// selection is which packages an export takes, and what it has of them.
type selection struct {
	packages stack.Packages
	all      bool // whatever the stack's places offer
	arch     string
	distro   string             // the maker of the distro, "" where that cannot be told
	wanted   map[string]*wanted // what is installed, by NEVRA; nil where nothing tells

	taken      []foundPackage
	at         map[string]int // in taken, by NEVRA
	pending    []pending      // where nothing tells what is installed
	sources    []pkgmgr.Source
	names      []string          // of all places, for people
	asked      []string          // those that could be looked into
	problems   []error           // of those that could not be used
	vars       map[string]string // of .repo files
	configured []pkgmgr.Configured
	ring       pkgmgr.Keyring // of the host
}

// foundPackage is a package, where its file lies, and in which place that is,
// both for people.
type foundPackage struct {
	pkgmgr.Package
	place, in string
}

// listed is the package as the config lists it.
func (p foundPackage) listed() artifact.Package {
	entry := p.Package.Package
	entry.From = p.place
	return entry
}

func (c *capture) newSelection(ctx context.Context) (*selection, error) {
	s := &selection{packages: c.o.Stack.Packages, all: c.o.AllPackages, arch: c.config.Host.Arch, at: map[string]int{}}
	var err error
	if s.vars, err = pkgmgr.RepoVars(c.o.Root, c.config.Host); err != nil {
		return nil, err
	}
	if s.configured, err = pkgmgr.ReadConfigured(c.o.Root, s.vars); err != nil {
		return nil, err
	}
	installed, err := pkgmgr.InstalledOn(ctx, c.o.Root, c.o.TempDir)
	if errors.Is(err, pkgmgr.ErrNone) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	s.distro = distroMaker(installed)
	makers := map[string]bool{}
	for _, p := range installed {
		if s.packages.IsOwn(p.Name) {
			makers[maker(p)] = true
		}
	}
	s.wanted = map[string]*wanted{}
	for _, p := range installed {
		s.wanted[p.NEVRA()] = &wanted{Installed: p, role: s.role(p, makers)}
	}
	return s, nil
}

// maker says who built an installed package.
func maker(p pkgmgr.Installed) string { return cmp.Or(p.Vendor, p.Packager) }

// isBase reports whether every distro of a family has package name, and nobody
// else offers it.
func isBase(name string) bool {
	return slices.Contains([]string{"filesystem", "basesystem", "glibc", "base-files", "libc6"}, name)
}

// distroMaker is who built the base of a host.
func distroMaker(installed []pkgmgr.Installed) string {
	for _, p := range installed {
		if isBase(p.Name) && maker(p) != "" {
			return maker(p)
		}
	}
	return ""
}

func (s *selection) ofDistro(p pkgmgr.Installed) bool { return s.distro != "" && maker(p) == s.distro }

// role sorts an installed package in; makers have built the stack's own.
func (s *selection) role(p pkgmgr.Installed, makers map[string]bool) role {
	switch {
	case s.packages.IsOwn(p.Name):
		return required
	case s.packages.Installs(p.Name) && (s.ofDistro(p) || !makers[maker(p)]):
		return optional
	case s.packages.Installs(p.Name):
		return required
	case s.packages.IsDriver(p.Name):
		return driver
	case s.packages.IsCompanion(p.Name):
		return companion
	}
	return other
}

// missing reports whether the file of a package of at least this role is still
// to be found.
func (s *selection) missing(least role) bool {
	for _, w := range s.wanted {
		if w.role >= least && !w.taken {
			return true
		}
	}
	return false
}

// takes reports whether package p of place pl is taken.
func (s *selection) takes(pl *place, p artifact.Package) bool {
	if s.all && pl.own() {
		return true
	}
	if s.wanted == nil {
		return pl.own() && slices.Contains([]string{"noarch", "all", s.arch, pkgmgr.DebArch(s.arch)}, p.Arch)
	}
	w := s.wanted[p.NEVRA()]
	if w == nil || (w.taken && !pl.explicit()) {
		return false
	}
	switch w.role {
	case required, optional:
		return true
	case driver:
		return pl.own() || pl.explicit()
	case companion, other:
		return pl.own() && !s.ofDistro(w.Installed)
	}
	return false
}

// wants is takes for a place that is still being read: it notes what sort of
// place that is, and goes by the best it may turn out to be.
func (s *selection) wants(pl *place) func(artifact.Package) bool {
	best := &place{kind: pl.kind, stack: true}
	return func(p artifact.Package) bool {
		s.see(pl, p.Name)
		return s.takes(best, p)
	}
}

// see learns from the name of a package what sort of place offers it.
func (s *selection) see(pl *place, name string) {
	pl.stack = pl.stack || s.packages.IsOwn(name)
	pl.distro = pl.distro || isBase(name)
}

// add takes a file. Of two that differ the first counts, unless both were given
// by whoever exports: then nobody can say which is meant.
func (s *selection) add(pl *place, p foundPackage) error {
	if i, twice := s.at[p.NEVRA()]; twice {
		if old := s.taken[i]; old.Digest != p.Digest && (pl.explicit() || old.in == pl.name) {
			return fmt.Errorf("package %s: %s and %s differ", p.NEVRA(), old.place, p.place)
		}
		return nil
	}
	if w := s.wanted[p.NEVRA()]; w != nil {
		// What is on the host for a reason of the distro's comes back with it.
		p.Install, w.taken = w.role != other || !s.ofDistro(w.Installed), true
	}
	s.at[p.NEVRA()] = len(s.taken)
	s.taken = append(s.taken, p)
	return nil
}

// chooseNewest is for a host that does not say what is installed: of each name
// the newest that was offered is taken, and those of the stack are installed.
func (s *selection) chooseNewest(ctx context.Context, c *capture) error {
	newest := map[string]pending{}
	for _, p := range s.pending {
		best, ok := newest[p.offer.Name]
		if !ok || pkgmgr.CompareEVR(best.offer.Package, p.offer.Package) < 0 {
			newest[p.offer.Name] = p
		}
	}
	chosen := slices.DeleteFunc(slices.Clone(s.pending), func(p pending) bool {
		return !s.all && p.offer.NEVRA() != newest[p.offer.Name].offer.NEVRA()
	})
	if err := s.fetch(ctx, c, chosen); err != nil {
		return err
	}
	for name, p := range newest {
		if i, ok := s.at[p.offer.NEVRA()]; ok && s.packages.Installs(name) {
			s.taken[i].Install = true
		}
	}
	return nil
}

func (s *selection) close() error {
	var errs []error
	for _, source := range s.sources {
		errs = append(errs, source.Close())
	}
	return errors.Join(errs...)
}
