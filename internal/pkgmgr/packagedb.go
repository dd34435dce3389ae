package pkgmgr

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/xcrate/xcrate/internal/host"
)

// packageDB is the package database of a root: rpm's or dpkg's, the other is
// nil.
type packageDB struct {
	rpm  *rpmCopy
	dpkg *dpkgDB
}

// openPackageDB opens the database that says what is installed on root: rpm's if
// it holds a package, else dpkg's, because Debian's rpm makes an empty one when
// it is run, else rpm's empty one. Nothing of the root is run, written or
// locked; rpm's is copied to a new directory below tempDir, which must exist. A
// root with neither is ErrNone.
func openPackageDB(ctx context.Context, root *host.Root, tempDir string) (*packageDB, error) {
	rpm, err := openRPMDatabase(ctx, root, tempDir)
	if err != nil && !errors.Is(err, ErrNone) {
		return nil, err
	}
	db := &packageDB{rpm: rpm}
	if rpm != nil {
		holds, err := rpm.holdsPackages(ctx)
		if err != nil {
			return nil, errors.Join(err, db.Close())
		}
		if holds {
			return db, nil
		}
	}
	dpkg, err := openDpkg(root)
	if errors.Is(err, fs.ErrNotExist) {
		if rpm == nil {
			return nil, fmt.Errorf("root %s: %w: it has no package database", root.Dir(), ErrNone)
		}
		return db, nil
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	return &packageDB{dpkg: dpkg}, nil
}

// Close removes what was copied.
func (db *packageDB) Close() error {
	if db.rpm == nil {
		return nil
	}
	return db.rpm.Close()
}

// errFound ends a search.
var errFound = errors.New("found")

// holdsPackages reports whether there is a header that is not that of a key.
func (c *rpmCopy) holdsPackages(ctx context.Context) (bool, error) {
	err := c.each(ctx, func(s section) error {
		p, err := nameOf(s)
		if err == nil && p.Name != keyPackage {
			err = errFound
		}
		return err
	})
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}
