package pkgmgr

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/xcrate/xcrate/internal/host"
)

// Pristine returns which of paths hold, as regular files, what a package of the
// root had there, by digest and nothing else. The database is the one InstalledOn
// reads, rpm's copied below tempDir; of Debian's configuration files the digest is
// that of the version the administrator was last asked about. A root without a
// database is ErrNone.
func Pristine(ctx context.Context, root *host.Root, tempDir string, paths []string) (same map[string]bool, err error) {
	same = map[string]bool{}
	wanted := map[string]bool{}
	for _, p := range paths {
		wanted[p] = true
	}
	db, err := openPackageDB(ctx, root, tempDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	c := comparer{ctx: ctx, root: root}
	defer func() { err = errors.Join(err, c.close()) }()
	note := func(f ownedFile) error {
		if !wanted[f.path] || same[f.path] || f.digest == "" || f.flags&fileGhost != 0 || f.state != 0 {
			return nil
		}
		is, err := c.holds(f)
		if err != nil {
			return fmt.Errorf("file %s: %w", f.path, err)
		}
		same[f.path] = is
		return nil
	}
	if db.dpkg != nil {
		return same, db.dpkg.eachOf(ctx, wanted, func(f dpkgFile) error { return note(ownedFile{path: f.path, digest: f.digest}) })
	}
	return same, db.rpm.eachOf(ctx, wanted, note)
}

// holds reports whether f is a regular file with the digest it is to have.
func (c *comparer) holds(f ownedFile) (bool, error) {
	if err := c.open(path.Dir(f.path)); err != nil || c.dir == nil {
		return false, err
	}
	st, err := c.dir.Lstat(path.Base(f.path))
	if isNotThere(err) {
		return false, nil
	}
	if err != nil || !st.IsRegular() {
		return false, err
	}
	return c.sameDigest(f, path.Base(f.path))
}

// eachOf calls fn with the files of all packages that have one of wanted.
func (c *rpmCopy) eachOf(ctx context.Context, wanted map[string]bool, fn func(ownedFile) error) error {
	return c.each(ctx, func(s section) error {
		paths, err := headers{main: s}.paths()
		if err != nil || !hasOne(paths, wanted) {
			return err
		}
		files, err := ownedFiles(s)
		for _, f := range files {
			if err == nil {
				err = fn(f)
			}
		}
		return err
	})
}

func hasOne(paths []string, wanted map[string]bool) bool {
	for _, p := range paths {
		if wanted[p] {
			return true
		}
	}
	return false
}

// eachOf calls fn with the files of all packages that have one of wanted.
func (db *dpkgDB) eachOf(ctx context.Context, wanted map[string]bool, fn func(dpkgFile) error) error {
	return db.each(ctx, func(p dpkgPackage) error {
		has := false
		err := db.eachPath(p, func(file string) error {
			has = has || wanted[db.place(p, file)]
			return nil
		})
		if err != nil || !has || p.state == "config-files" {
			return err
		}
		return db.eachFile(p, fn)
	})
}
