package layers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/pkgmgr"
)

// ErrNoPackages is wrapped when no package that an import would install was
// found anywhere.
var ErrNoPackages = errors.New("no packages of the stack found")

// Place is where packages were found, and how many.
type Place struct {
	Where    string `json:"where"`
	Packages int    `json:"packages"`
}

// packages gathers package files and writes them as one repository.
func (c *capture) packages(ctx context.Context) (err error) {
	c.config.Packages = []artifact.Package{}
	if c.o.NoPackages {
		c.warn("packages were not captured: an import cannot install them")
		return nil
	}
	s, err := c.newSelection(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if s.ring, err = c.keyring(ctx, s); err != nil {
		return err
	}
	if err := c.gather(ctx, s); err != nil {
		return err
	}
	if err := c.settle(s); err != nil {
		return err
	}
	keys, err := c.checkSignatures(ctx, s)
	if err != nil {
		return err
	}
	c.list(s)
	var total int64
	for _, p := range s.taken {
		total += p.Size
	}
	if c.o.Room != nil {
		if err := c.o.Room(c.growth(artifact.KindPackages, total, 0), 1); err != nil {
			return err
		}
	}
	c.o.Progress.Phase("packages", total)
	return c.repository(ctx, s.taken, keys)
}

// list gives the packages their places in the repository, and writes them down.
func (c *capture) list(s *selection) {
	places := map[string]int{}
	for i := range s.taken {
		p := &s.taken[i]
		p.File = "Packages/" + p.File
		c.config.Packages = append(c.config.Packages, p.listed())
		places[p.in]++
	}
	byFile := func(a, b artifact.Package) int { return strings.Compare(a.File, b.File) }
	slices.SortFunc(s.taken, func(a, b foundPackage) int { return byFile(a.Package.Package, b.Package.Package) })
	slices.SortFunc(c.config.Packages, byFile)
	for i, name := range s.asked {
		n := places[name]
		given := slices.Contains(c.given(), name) // to be told if nothing of it is of use
		if (n > 0 || given) && slices.Index(s.asked, name) == i {
			c.result.Places = append(c.result.Places, Place{name, n})
		}
	}
}

// MissingError says which packages of the stack are installed on the host and
// were found nowhere.
type MissingError struct {
	Packages []string // by NEVRA
	Places   []string // where they were looked for
	Problems []error  // of places that may have them and could not be asked
}

func (e *MissingError) Error() string {
	nowhere := "nowhere"
	if len(e.Places) > 0 {
		nowhere = "in none of " + strings.Join(e.Places, ", ")
	}
	text := fmt.Sprintf("installed here, and found %s:\n  %s", nowhere, strings.Join(e.Packages, "\n  "))
	if len(e.Problems) > 0 {
		text += "\nthese may have them, and could not be used:"
	}
	for _, err := range e.Problems {
		text += "\n  " + err.Error()
	}
	return text
}

// ErrMissing is what a MissingError is.
var ErrMissing = errors.New("packages missing")

// Is implements the interface of errors.Is.
func (e *MissingError) Is(target error) bool { return target == ErrMissing }

// settle decides what becomes of packages that were found nowhere. Those of the
// stack itself are an error, unless whoever exports wants to go on; those of
// others an import installs from the target's own repositories.
func (c *capture) settle(s *selection) error {
	var missing []string
	for _, w := range s.wanted {
		switch {
		case w.taken:
		case w.role == required:
			missing = append(missing, w.NEVRA())
		case w.role != other:
			c.config.DistroPackages = append(c.config.DistroPackages, w.Package)
		}
	}
	slices.Sort(missing)
	slices.SortFunc(c.config.DistroPackages, func(a, b artifact.Package) int { return cmp.Compare(a.NEVRA(), b.NEVRA()) })
	if len(missing) > 0 && !c.o.AllowMissing {
		return &MissingError{Packages: missing, Places: s.asked, Problems: s.problems}
	}
	c.config.MissingPackages = missing
	for _, err := range s.problems {
		c.warn("packages: %v", err)
	}
	if !slices.ContainsFunc(s.taken, func(p foundPackage) bool { return p.Install }) {
		return fmt.Errorf("%w in %s", ErrNoPackages, strings.Join(c.searched(), ", "))
	}
	return nil
}

// given names the places that whoever exports named.
func (c *capture) given() []string {
	var all []string
	for _, where := range c.o.Packages {
		all = append(all, pkgmgr.Shown(where))
	}
	return all
}

// searched names where packages are looked for first, whether it exists or not.
func (c *capture) searched() []string {
	all := c.given()
	if c.auto() {
		trees := c.bound.PackageDirs()
		all = append(all, slices.DeleteFunc(trees, func(dir string) bool { return strings.HasSuffix(dir, "/*") })...)
	}
	return all
}

// checkSignatures records who signed each package, and returns the keys of those
// that are as their signers made them. A signature that is wrong, or a file that
// is not what it was built as, is an error: nobody wants to install that.
func (c *capture) checkSignatures(ctx context.Context, s *selection) ([]pkgmgr.PublicKey, error) {
	signatures := make([]pkgmgr.Signature, len(s.taken))
	err := c.each(ctx, len(s.taken), func(ctx context.Context, i int) (err error) {
		signatures[i], err = s.ring.Check(ctx, s.taken[i].Package)
		return err
	})
	if err != nil {
		return nil, err
	}
	keys := map[string]pkgmgr.PublicKey{}
	for i, found := range signatures {
		p := &s.taken[i]
		if found.State == pkgmgr.Bad {
			return nil, fmt.Errorf("package %s: signature of key %s: %s", p.place, found.KeyID, found.Why)
		}
		p.Signature, p.KeyID = string(found.State), found.KeyID
		if found.State != pkgmgr.Verified {
			continue
		}
		if keys[found.KeyID], err = found.PublicKey(); err != nil {
			return nil, err
		}
	}
	var all []pkgmgr.PublicKey
	for _, id := range sortedKeys(keys) {
		all = append(all, keys[id])
	}
	return all, nil
}

// keyring holds the keys the host trusts: those of its rpm and its distro, and
// those its repositories demand.
func (c *capture) keyring(ctx context.Context, s *selection) (pkgmgr.Keyring, error) {
	ring, problems, err := pkgmgr.ReadKeys(ctx, c.o.Root, c.o.TempDir)
	if err != nil {
		return ring, err
	}
	for _, r := range s.configured {
		problems = append(problems, ring.AddFiles(c.o.Root, r.KeyFiles)...)
	}
	for _, p := range problems {
		c.warn("%v", p)
	}
	return ring, nil
}
