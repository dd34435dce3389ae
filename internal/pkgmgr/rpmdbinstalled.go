package pkgmgr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// Installed is a package that is installed on a host, and where it came from.
type Installed struct {
	// Package holds name, epoch ("" where there is none), version, release ("" for
	// a Debian package without a revision) and arch.
	artifact.Package
	// Vendor, Packager (of Debian packages the maintainer) and SourceRPM are ""
	// where the package does not say.
	Vendor, Packager, SourceRPM string
	// KeyID is that of the key the file was signed with, 16 hexadecimal digits:
	// "" where it was not, "unknown" where the signature cannot be read. The
	// database's word is not proof.
	KeyID string
	// InstallTime is seconds since 1970, 0 where the database does not say, as
	// dpkg's never does.
	InstallTime int64
}

// keyPackage is the name under which rpm keeps public keys among the packages.
const keyPackage = "gpg-pubkey"

// InstalledOn lists the packages in the package database of root, rpm's or, if
// that has none, dpkg's, sorted by name, epoch, version, release and arch. Nothing
// of the root is run, written or locked: the rpm database is copied to a new
// directory below tempDir, which must exist, and read there. A root with neither
// database is ErrNone, a damaged one an error that names it.
func InstalledOn(ctx context.Context, root *host.Root, tempDir string) (all []Installed, err error) {
	db, err := openPackageDB(ctx, root, tempDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if db.dpkg != nil {
		all, err = db.dpkg.installed()
	} else {
		err = db.rpm.each(ctx, func(s section) error {
			p, err := installed(s)
			if err == nil && p.Name != keyPackage {
				all = append(all, p)
			}
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b Installed) int { return cmp.Compare(a.NEVRA(), b.NEVRA()) })
	return all, nil
}

// installed takes a package from its header in the database. Names are not
// checked as those of files are: what is installed is a fact.
func installed(s section) (Installed, error) {
	var p Installed
	var err error
	if p.Package, err = nameOf(s); err != nil {
		return Installed{}, err
	}
	if p.Name == "" || p.Version == "" || p.Release == "" {
		return Installed{}, fmt.Errorf("%w: package %.100q has no name or version", errDamaged, p.NEVRA())
	}
	for tag, to := range map[uint32]*string{tagVendor: &p.Vendor, tagPackager: &p.Packager, tagSourceRPM: &p.SourceRPM} {
		if *to, err = s.text(tag); err != nil {
			return Installed{}, err
		}
	}
	if p.InstallTime, err = s.number(tagInstallTime); err != nil {
		return Installed{}, err
	}
	signatures, err := signaturesOf(s, storedSignatures())
	if len(signatures) > 0 {
		p.KeyID = cmp.Or(signatures[0].keyID, "unknown")
	}
	return p, err
}
