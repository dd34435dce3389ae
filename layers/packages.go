package layers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/pkgmgr"
)

// packages gathers package files and writes them as one repository.
func (c *capture) packages(ctx context.Context) (err error) {
	c.config.Packages = []artifact.Package{}
	if c.o.NoPackages {
		c.warn("packages were not captured: an import cannot install them")
		return nil
	}
	found, release, err := c.findPackages(ctx)
	defer func() { err = errors.Join(err, release()) }()
	if err != nil {
		return err
	}
	if err := c.markInstalled(ctx, found); err != nil {
		return err
	}
	if err := c.checkSignatures(ctx, found); err != nil {
		return err
	}
	for i := range found {
		found[i].File = "Packages/" + found[i].File
		c.config.Packages = append(c.config.Packages, found[i].listed())
	}
	if !slices.ContainsFunc(found, func(p foundPackage) bool { return p.Install }) {
		return fmt.Errorf("%w in %s", ErrNoPackages, strings.Join(c.packagePlaces(), ", "))
	}
	slices.SortFunc(found, func(a, b foundPackage) int { return strings.Compare(a.File, b.File) })
	slices.SortFunc(c.config.Packages, func(a, b artifact.Package) int { return strings.Compare(a.File, b.File) })
	var total int64
	for _, p := range found {
		total += p.Size
	}
	c.o.Progress.Phase("packages", total)
	return c.repository(ctx, found)
}

func (c *capture) packagePlaces() []string {
	if len(c.o.Packages) > 0 {
		return c.o.Packages
	}
	return c.bound.PackageDirs()
}

// MissingError says which packages of the stack are installed on the host and
// were found nowhere.
type MissingError struct {
	Packages []string // by NEVRA
	Places   []string // where they were looked for
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("installed here, and found in none of %s:\n  %s", strings.Join(e.Places, ", "), strings.Join(e.Packages, "\n  "))
}

// ErrMissing is what a MissingError is.
var ErrMissing = errors.New("packages missing")

// Is implements the interface of errors.Is.
func (e *MissingError) Is(target error) bool { return target == ErrMissing }

// markInstalled says of each package whether an import installs it: those of
// the stack that are installed on the host, in just that version; where nothing
// can tell, the newest of each that fits the host.
func (c *capture) markInstalled(ctx context.Context, found []foundPackage) error {
	installed, err := pkgmgr.InstalledOn(ctx, c.o.Root, c.o.TempDir)
	if errors.Is(err, pkgmgr.ErrNone) {
		c.markNewest(found)
		return nil
	}
	if err != nil {
		return err
	}
	byName := map[string]int{}
	for i, p := range found {
		byName[p.NEVRA()] = i
	}
	var missing []string
	for _, p := range installed {
		if !c.o.Stack.Packages.Installs(p.Name) {
			continue
		}
		if i, ok := byName[p.NEVRA()]; ok {
			found[i].Install = true
		} else {
			missing = append(missing, p.NEVRA())
		}
	}
	if len(missing) > 0 && !c.o.AllowMissing {
		return &MissingError{Packages: missing, Places: c.packagePlaces()}
	}
	c.config.MissingPackages = missing
	return nil
}

// checkSignatures records who signed each package. A signature that is wrong, or
// a file that is not what it was built as, is an error: nobody wants to install
// that.
func (c *capture) checkSignatures(ctx context.Context, found []foundPackage) error {
	keys, problems, err := pkgmgr.ReadKeys(ctx, c.o.Root, c.o.TempDir)
	if err != nil {
		return err
	}
	for _, p := range problems {
		c.warn("%v", p)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.o.Workers)
	for i := range found {
		g.Go(func() error {
			s, err := keys.Check(ctx, found[i].Package)
			if err != nil {
				return err
			}
			if s.State == pkgmgr.Bad {
				return fmt.Errorf("package %s: signature of key %s: %s", found[i].place, s.KeyID, s.Why)
			}
			found[i].Signature, found[i].KeyID = string(s.State), s.KeyID
			return nil
		})
	}
	return g.Wait()
}

func (c *capture) markNewest(found []foundPackage) {
	newest := map[string]int{}
	for i, p := range found {
		if !c.o.Stack.Packages.Installs(p.Name) || (p.Arch != "noarch" && p.Arch != c.config.Host.Arch) {
			continue
		}
		if best, ok := newest[p.Name]; !ok || pkgmgr.CompareEVR(found[best].Package.Package, p.Package.Package) < 0 {
			newest[p.Name] = i
		}
	}
	for _, i := range newest {
		found[i].Install = true
	}
}
