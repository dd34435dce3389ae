package pkgmgr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/xcrate/xcrate/internal/host"
)

// Difference is a file that is not as its package had it.
type Difference struct {
	Package string // full name, as artifact.Package.NEVRA
	Path    string
	// What is "missing", or the nine letters of rpm -V (rpm(8), "VERIFY
	// OPTIONS"): S size, M mode or type, 5 digest, D device, L target of a
	// symlink, U owner, G group, T modification time, P capabilities, each "."
	// where there is no difference. Of Debian packages only 5 is known, and M for
	// a file that is no file any more: the letters dpkg -V leaves as "?", for what
	// it cannot check, are "." too.
	What string
	// Config, Doc and Ghost are the package's own words for the file. Debian
	// packages know the first.
	Config, Doc, Ghost bool
}

// missingFile is what rpm -V says of a file that is not there.
const missingFile = "missing"

// hasTime reports whether the modification time differs.
func (d Difference) hasTime() bool { return d.What != missingFile && d.What[timeLetter] == 'T' }

// Modified compares the files of the root with what its package database, the
// one InstalledOn reads, says of them, for all packages whose name wanted
// accepts: sorted by path, then package. A root without a database is ErrNone; a
// file that cannot be read is an error.
//
// From rpm's, which is copied to a new directory below tempDir, it is what rpm
// -V says without its scripts and dependencies; of capabilities it compares
// whether there are any. From dpkg's it is what dpkg -V says, see
// dpkgDB.modified.
func Modified(ctx context.Context, root *host.Root, tempDir string, wanted func(name string) bool) (all []Difference, err error) {
	db, err := openPackageDB(ctx, root, tempDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	accounts, err := host.ReadAccounts(root)
	if err != nil {
		return nil, err
	}
	c := comparer{ctx: ctx, root: root, accounts: accounts}
	defer func() { err = errors.Join(err, c.close()) }()
	if db.dpkg != nil {
		all, err = db.dpkg.modified(&c, wanted)
	} else {
		all, err = db.rpm.modified(&c, wanted)
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Package, b.Package))
	})
	return all, nil
}

// modified has files compare those of the packages that wanted accepts.
func (c *rpmCopy) modified(files *comparer, wanted func(name string) bool) (all []Difference, err error) {
	err = c.each(files.ctx, func(s section) error {
		p, err := nameOf(s)
		if err != nil || p.Name == keyPackage || !wanted(p.Name) {
			return err
		}
		found, err := files.compare(s)
		for i := range found {
			found[i].Package = p.NEVRA()
		}
		all = append(all, found...)
		if err != nil {
			return fmt.Errorf("package %s: %w", p.NEVRA(), err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return withoutSharedTimes(files.ctx, c, all)
}

// withoutSharedTimes drops the modification time of files that several packages
// have: it is that of the one installed last.
func withoutSharedTimes(ctx context.Context, db *rpmCopy, all []Difference) ([]Difference, error) {
	owners := map[string]int{}
	for _, d := range all {
		if d.hasTime() {
			owners[d.Path] = 0
		}
	}
	if len(owners) == 0 {
		return all, nil
	}
	err := db.each(ctx, func(s section) error {
		paths, err := headers{main: s}.paths()
		for _, p := range paths {
			if n, ok := owners[p]; ok {
				owners[p] = n + 1
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var kept []Difference
	for _, d := range all {
		if d.hasTime() && owners[d.Path] > 1 {
			d.What = d.What[:timeLetter] + "." + d.What[timeLetter+1:]
		}
		if d.What != noDifference {
			kept = append(kept, d)
		}
	}
	return kept, nil
}
