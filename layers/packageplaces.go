package layers

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/pkgmgr"
)

// findPackages takes the packages of the places the caller named, or searches
// the directories of the host that the stack keeps packages in. They can be read
// until release is called.
func (c *capture) findPackages(ctx context.Context) (_ []foundPackage, release func() error, err error) {
	var sources []pkgmgr.Source
	release = func() error {
		var errs []error
		for _, s := range sources {
			errs = append(errs, s.Close())
		}
		return errors.Join(errs...)
	}
	all := packageSet{seen: map[string]foundPackage{}}
	for _, where := range c.o.Packages {
		c.o.Progress.Phase("fetching packages", 0)
		source, err := pkgmgr.OpenSource(ctx, where, c.sourceOptions())
		if err != nil {
			return nil, release, err
		}
		sources = append(sources, source)
		if err := all.take(ctx, c, source); err != nil {
			return nil, release, err
		}
	}
	if len(c.o.Packages) > 0 {
		return all.list, release, nil
	}
	for _, pattern := range c.bound.PackageDirs() {
		dirs, err := c.bound.Glob(pattern, (&scanner{c: c}).names)
		if err != nil {
			return nil, release, err
		}
		for _, dir := range dirs {
			if !c.o.Root.Exists(dir) {
				continue
			}
			if err := all.search(ctx, c, dir); err != nil {
				return nil, release, err
			}
		}
	}
	return all.list, release, nil
}

func (c *capture) sourceOptions() pkgmgr.SourceOptions {
	major, _, _ := strings.Cut(c.config.Host.Distro.Version, ".")
	return pkgmgr.SourceOptions{
		TempDir: c.o.TempDir, CAFile: c.o.CAFile, Proxy: c.o.Proxy, Narrow: c.narrow(),
		Vars: map[string]string{"releasever": major, "basearch": c.config.Host.Arch, "arch": c.config.Host.Arch, "debarch": pkgmgr.DebArch(c.config.Host.Arch)},
	}
}

// narrow is the directory of xcat-dep that is for the host's distro and
// architecture (rh9/x86_64, sles15/ppc64le): the others hold other builds of the
// same packages.
func (c *capture) narrow() string {
	distro := c.config.Host.Distro
	major, _, _ := strings.Cut(distro.Version, ".")
	family := "rh"
	if distro.ID == "sles" || strings.Contains(distro.Like, "suse") {
		family = "sles"
	}
	return path.Join(family+major, c.config.Host.Arch)
}

// packageSet gathers packages from several places, each once.
type packageSet struct {
	list []foundPackage
	seen map[string]foundPackage // by NEVRA
}

// foundPackage is a package and where it lies, for people.
type foundPackage struct {
	pkgmgr.Package
	place string
}

// listed is the package as the config lists it.
func (p foundPackage) listed() artifact.Package {
	entry := p.Package.Package
	entry.From = p.place
	return entry
}

// take takes what source offers, a few files at a time.
func (s *packageSet) take(ctx context.Context, c *capture, source pkgmgr.Source) error {
	listing, err := source.List(ctx)
	if err != nil {
		return err
	}
	for _, l := range listing.LeftOut {
		c.leaveOut(l)
	}
	for _, signing := range listing.Signing {
		switch found := signing.Found; {
		case !signing.Metadata || found.State == pkgmgr.Verified:
		case found.State == "":
			c.warn("repository %s wants its metadata signed: that was not checked, the packages' own signatures were", signing.Repo)
		default: // debs have no signature of their own
			c.warn("repository %s: signature of its Release file: %s %s", signing.Repo, found.State, found.KeyID)
		}
	}
	fetched := make([]pkgmgr.Package, len(listing.Offers))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(c.o.Workers)
	for i, offer := range listing.Offers {
		g.Go(func() (err error) {
			fetched[i], err = source.Fetch(gctx, offer)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, pkg := range fetched {
		if err := s.add(foundPackage{pkg, listing.Offers[i].Where}); err != nil {
			return err
		}
	}
	return nil
}

// search takes what lies below directory dir of the host.
func (s *packageSet) search(ctx context.Context, c *capture, dir string) error {
	if own := path.Join(dir, c.narrow()); c.o.Root.Exists(own) {
		dir = own
	}
	found, err := pkgmgr.Find(ctx, c.o.Root, dir)
	if err != nil {
		return err
	}
	for _, l := range found.LeftOut {
		l.Path = c.o.Root.Path(l.Path)
		c.leaveOut(l)
	}
	for _, pkg := range found.Packages {
		if err := s.add(foundPackage{pkg, c.o.Root.Path(pkg.From)}); err != nil {
			return err
		}
	}
	return nil
}

func (s *packageSet) add(p foundPackage) error {
	old, ok := s.seen[p.NEVRA()]
	if ok && old.Digest != p.Digest {
		return fmt.Errorf("package %s: %s and %s differ", p.NEVRA(), old.place, p.place)
	}
	if !ok {
		s.seen[p.NEVRA()] = p
		s.list = append(s.list, p)
	}
	return nil
}
