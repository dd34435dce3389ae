package pkgmgr

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/xcrate/xcrate/internal/host"
)

// Unowned lists what lies below directories dirs of the root and belongs to no
// package of its package database, the one InstalledOn reads: files, directories
// and anything else, sorted, each path beginning with the directory as it was
// given. Directories that do not exist hold nothing. Symlinks that packages'
// paths lead through are followed, those below dirs are not. A root without a
// package database is ErrNone.
func Unowned(ctx context.Context, root *host.Root, tempDir string, dirs []string) (all []string, err error) {
	owned := map[string]bool{} // by path without symlinks, below the first of dirs
	tops := make([]string, len(dirs))
	for i, dir := range dirs {
		if tops[i], err = root.Resolve(dir); err != nil {
			return nil, fmt.Errorf("directory %s: %w", dir, err)
		}
	}
	resolved := map[string]string{}
	err = eachOwned(ctx, root, tempDir, func(p string) error {
		dir := path.Dir(p)
		place, ok := resolved[dir]
		if !ok {
			place, err = root.Resolve(dir)
			if err != nil && !isNotThere(err) { // a file in the place of a directory holds nothing
				return fmt.Errorf("directory %s: %w", dir, err)
			}
			resolved[dir] = place
		}
		p = path.Join(place, path.Base(p))
		if slices.ContainsFunc(tops, func(top string) bool { return below(p, top) }) {
			owned[p] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, top := range tops {
		err := walkTree(ctx, root, top, func(p string) {
			if !owned[p] {
				all = append(all, path.Join(dirs[i], p[len(top):]))
			}
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// eachOwned calls fn with the path of everything that belongs to a package.
func eachOwned(ctx context.Context, root *host.Root, tempDir string, fn func(p string) error) (err error) {
	db, err := openPackageDB(ctx, root, tempDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if db.dpkg != nil {
		return db.dpkg.eachOwned(ctx, fn)
	}
	return db.rpm.each(ctx, func(s section) error {
		paths, err := headers{main: s}.paths()
		for _, p := range paths {
			err = errors.Join(err, fn(p))
			if err != nil {
				break
			}
		}
		return err
	})
}

func below(p, top string) bool {
	return top == "/" || len(p) > len(top) && p[:len(top)] == top && p[len(top)] == '/'
}

// walkTree calls fn with the path of everything below directory top, which has
// no symlinks in it. It opens one directory at a time.
func walkTree(ctx context.Context, root *host.Root, top string, fn func(p string)) error {
	todo := []string{top}
	for len(todo) > 0 {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if err := ctx.Err(); err != nil {
			return err
		}
		d, err := root.OpenDir(dir)
		if dir == top && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		names, err := d.Names()
		for _, name := range names {
			st, statErr := d.Lstat(name)
			if err = errors.Join(err, statErr); err != nil {
				break
			}
			p := path.Join(dir, name)
			fn(p)
			if st.IsDir() {
				todo = append(todo, p)
			}
		}
		if err = errors.Join(err, d.Close()); err != nil {
			return err
		}
	}
	return nil
}
