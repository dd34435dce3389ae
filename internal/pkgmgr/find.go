package pkgmgr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// Found is what a directory holds.
type Found struct {
	// Packages are sorted by file name, then path, each once: of several files
	// with the same content the first.
	Packages []Package
	// LeftOut names what looked like packages and was passed over: sources,
	// delta rpms, installer packages, symlinks out of the directory. Paths are the root's.
	LeftOut []artifact.LeftOut
	// Damaged says of each file that was passed over what is wrong with it.
	Damaged []error
}

// FindOptions say what Find looks for. The zero value is every package.
type FindOptions struct {
	// Want is asked of each package once its header was read, nil for all: only
	// the files of those it wants are read on and verified.
	Want func(artifact.Package) bool
	// Lenient passes over files that are broken, and links that lead nowhere:
	// in a cache both are common.
	Lenient bool
	// Narrow is that of SourceOptions; it holds in every directory.
	Narrow string
}

// Find reads and verifies every rpm and deb in directory dir of root, at any depth. A
// file that is broken or cannot be read is an error, and so are two files of
// the same name, epoch, version, release and arch whose content differs.
// Symlinks to files within dir are followed, others are left out. The
// packages can be opened as long as root is.
func Find(ctx context.Context, root *host.Root, dir string, o FindOptions) (Found, error) {
	f := finder{ctx: ctx, root: root, o: o, seen: map[string]Package{}}
	var err error
	if f.top, err = root.Resolve(dir); err != nil {
		return Found{}, fmt.Errorf("packages in %s: %w", root.Path(dir), err)
	}
	if err := f.walk(); err != nil {
		return Found{}, fmt.Errorf("packages in %s: %w", root.Path(dir), err)
	}
	slices.SortFunc(f.files, func(a, b string) int {
		return cmp.Or(cmp.Compare(path.Base(a), path.Base(b)), cmp.Compare(a, b))
	})
	for _, p := range f.files {
		if err := f.passOver(f.add(p)); err != nil {
			return Found{}, fmt.Errorf("packages in %s: %w", root.Path(dir), err)
		}
	}
	slices.SortFunc(f.out.LeftOut, func(a, b artifact.LeftOut) int { return cmp.Compare(a.Path, b.Path) })
	return f.out, nil
}

type finder struct {
	ctx   context.Context
	root  *host.Root
	o     FindOptions
	top   string // without symlinks
	files []string
	seen  map[string]Package // by file name as the repository has it
	out   Found
}

// walk lists the packages. It opens one directory at a time, so that depth costs
// no descriptors.
func (f *finder) walk() error {
	todo := []string{f.top}
	for len(todo) > 0 {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if err := f.ctx.Err(); err != nil {
			return err
		}
		more, err := f.list(dir)
		if err != nil {
			return err
		}
		todo = append(todo, more...)
	}
	return nil
}

// list takes in one directory and returns those in it.
func (f *finder) list(dir string) (dirs []string, err error) {
	if own := path.Join(dir, f.o.Narrow); own != dir && f.root.Exists(own) {
		return []string{own}, nil
	}
	d, err := f.root.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	names, err := d.Names()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		st, err := d.Lstat(name)
		if err != nil {
			return nil, err
		}
		p := path.Join(dir, name)
		what, why := passedOver(name)
		switch {
		case st.IsDir() && name == "SRPMS":
			f.leave(p, "source rpms", "an import installs no sources", 0)
		case st.IsDir() && name == "partial" && f.o.Lenient: // what apt is still fetching
		case st.IsDir():
			dirs = append(dirs, p)
		case st.IsSymlink():
			if err := f.passOver(f.link(p)); err != nil {
				return nil, err
			}
		case what != "":
			f.leave(p, what, why, st.Size)
		case isPackage(name):
			f.files = append(f.files, p)
		}
	}
	return dirs, nil
}

// link decides about a symlink. One that stays within needs nothing, unless it
// gives a file the name of a package: what it leads to is found by itself.
func (f *finder) link(p string) error {
	named := isPackage(p)
	target, err := f.root.Resolve(p)
	if err != nil {
		return err
	}
	st, err := f.root.Lstat(target)
	if err != nil {
		if !named {
			return nil // leads nowhere, and nothing says it was a package
		}
		return fmt.Errorf("%s %s: %w", formatOf(p), p, err)
	}
	if !named && !st.IsDir() {
		return nil
	}
	inside := f.top == "/" || target == f.top || strings.HasPrefix(target, f.top+"/")
	switch {
	case !inside:
		f.leave(p, "symlink to "+target, "it leads out of "+f.top, 0)
	case named && !isPackage(target):
		f.files = append(f.files, target)
	}
	return nil
}

// add reads the package at p.
func (f *finder) add(p string) error {
	pkg, err := f.read(p)
	if errors.Is(err, ErrSource) {
		f.leave(p, "source rpm", "an import installs no sources", 0)
		return nil
	}
	if errors.Is(err, errUnwanted) {
		return nil
	}
	if err != nil {
		return err
	}
	pkg.From, pkg.root = p, f.root
	first, twice := f.seen[pkg.File]
	switch {
	case !twice:
		f.seen[pkg.File] = pkg
		f.out.Packages = append(f.out.Packages, pkg)
	case first.Digest != pkg.Digest && first.NEVRA() == pkg.NEVRA():
		return fmt.Errorf("package %s: %s and %s differ: keep one of them", pkg.NEVRA(), first.From, p)
	case first.Digest != pkg.Digest:
		return fmt.Errorf("packages %s in %s and %s in %s: one repository cannot hold both", first.NEVRA(), first.From, pkg.NEVRA(), p)
	}
	return nil
}

func (f *finder) read(p string) (Package, error) {
	d, name, err := f.root.OpenParent(p)
	if err != nil {
		return Package{}, fmt.Errorf("%s %s: %w", formatOf(p), p, err)
	}
	defer func() { _ = d.Close() }()
	file, err := d.Open(name)
	if err != nil {
		return Package{}, fmt.Errorf("%s %s: %w", formatOf(p), p, err)
	}
	defer func() { _ = file.Close() }()
	st, err := file.Stat()
	if err != nil {
		return Package{}, fmt.Errorf("%s %s: %w", formatOf(p), p, err)
	}
	if f.o.Want != nil {
		if err := f.wanted(p, file); err != nil {
			return Package{}, err
		}
	}
	return readPackage(p, &cancelReader{f.ctx, file}, st.Size())
}

// errUnwanted is a package that was not asked for.
var errUnwanted = errors.New("not wanted")

// wanted reads of the package in file, called p, what is enough to know it, and
// leaves file at its begin. The error is errUnwanted if nobody wants it.
func (f *finder) wanted(p string, file *os.File) error {
	pkg, err := peekPackage(p, &cancelReader{f.ctx, file})
	if err != nil {
		return err
	}
	if !f.o.Want(pkg) {
		return errUnwanted
	}
	_, err = file.Seek(0, io.SeekStart)
	return err
}

// passOver notes what is wrong with one file, where that is no reason to stop.
func (f *finder) passOver(err error) error {
	if err == nil || !f.o.Lenient || f.ctx.Err() != nil {
		return err
	}
	f.out.Damaged = append(f.out.Damaged, err)
	return nil
}

func (f *finder) leave(p, what, reason string, size int64) {
	f.out.LeftOut = append(f.out.LeftOut, artifact.LeftOut{Path: p, What: what, Reason: reason, Size: size})
}

// cancelReader ends a long read when its context does.
type cancelReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}
