package pkgmgr

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/host"
)

// Bounds of a tarball: xcat-dep for all distros together has about 3 GB in some
// thousand rpms.
const (
	maxTarball     = 64 << 30 // bytes unpacked
	maxTarPackages = 100_000
)

// openTarball unpacks the packages of a tarball into a private directory.
func openTarball(ctx context.Context, where string, in io.Reader, o SourceOptions) (_ Source, err error) {
	dir, remove, err := host.TempDirIn(o.TempDir)
	if err != nil {
		return nil, err
	}
	root, err := host.OpenRoot(dir)
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	t := &tarball{where: where, root: root, files: map[string]bool{}}
	d := &directory{name: "tarball " + where, root: root, dir: "/", find: o.find(), show: t.show}
	d.remove = func() error { return errors.Join(root.Close(), remove()) }
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("tarball %s: %w", where, err), d.Close())
		}
	}()
	plain, done, err := unpack(&cancelReader{ctx, in})
	if err != nil {
		return nil, err
	}
	defer done()
	if err := t.unpack(tar.NewReader(newBounded(plain, maxTarball))); err != nil {
		return nil, err
	}
	if err := t.narrow(strings.Trim(o.Narrow, "/")); err != nil {
		return nil, err
	}
	d.before.LeftOut = t.left
	return d, nil
}

type tarball struct {
	where string
	root  *host.Root
	files map[string]bool // paths of packages in root
	left  []artifact.LeftOut
}

func (t *tarball) show(p string) string { return t.where + ":" + strings.TrimPrefix(p, "/") }

func (t *tarball) leave(p, what, reason string, size int64) {
	t.left = append(t.left, artifact.LeftOut{Path: t.show(p), What: what, Reason: reason, Size: size})
}

func (t *tarball) unpack(in *tar.Reader) error {
	for first := true; ; first = false {
		h, err := in.Next()
		if errors.Is(err, io.EOF) && !first {
			return nil
		}
		if first && err != nil { // an empty file too
			return fmt.Errorf("neither a tarball nor a .repo file: %w", err)
		}
		if err != nil {
			return err
		}
		if err := t.entry(h, in); err != nil {
			return fmt.Errorf("%q: %w", h.Name, err)
		}
	}
}

// entry takes in one entry. Its name counts from the tarball's top, whatever
// dots and slashes it has; links are not made, so that none can be followed.
func (t *tarball) entry(h *tar.Header, in io.Reader) error {
	p := path.Clean("/" + h.Name)
	what, why := passedOver(p)
	switch {
	case !isPackage(p) && what == "":
		return nil
	case h.Typeflag == tar.TypeLink || h.Typeflag == tar.TypeSymlink:
		t.leave(p, "link to "+h.Linkname, "of a tarball only files are taken", 0)
		return nil
	case h.Typeflag == tar.TypeDir:
		return nil
	case h.Typeflag != tar.TypeReg:
		return fmt.Errorf("an entry of type %q with a package's name", h.Typeflag)
	case strings.Contains(p, "/SRPMS/"):
		t.leave(p, "source rpm", "an import installs no sources", h.Size)
		return nil
	case what != "":
		t.leave(p, what, why, h.Size)
		return nil
	case len(t.files) >= maxTarPackages:
		return fmt.Errorf("more than %d packages", maxTarPackages)
	}
	t.files[p] = true
	return t.write(p, h.Size, in)
}

// write makes file p. As with tar, the last of several of one name counts.
func (t *tarball) write(p string, size int64, in io.Reader) (err error) {
	if err := t.root.MkdirAll(path.Dir(p), 0o700); err != nil {
		return err
	}
	d, name, err := t.root.OpenParent(p)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	if err := d.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := d.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.Copy(f, in)
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes of %d: %w", n, size, io.ErrUnexpectedEOF)
	}
	return err
}

// narrow keeps of a tree that is laid out as xcat-dep is, at the top or one
// directory below it, what is for the host.
func (t *tarball) narrow(own string) error {
	if own == "" {
		return nil
	}
	tops := map[string]int{} // packages for other hosts by tree, with a slash at both ends
	for p := range t.files {
		parts := strings.SplitN(p, "/", 3) // "", top, rest
		if strings.HasPrefix(p, "/"+own+"/") {
			tops["/"] = 0
		} else if len(parts) == 3 && strings.HasPrefix(parts[2], own+"/") {
			tops["/"+parts[1]+"/"] = 0
		}
	}
	for p := range t.files {
		for top := range tops {
			if !strings.HasPrefix(p, top) || strings.HasPrefix(p, top+own+"/") {
				continue
			}
			if top == "/" && len(tops) > 1 {
				return fmt.Errorf("%s twice, at the top and below it", own)
			}
			tops[top]++
			d, name, err := t.root.OpenParent(p)
			if err != nil {
				return err
			}
			if err := errors.Join(d.Remove(name), d.Close()); err != nil {
				return err
			}
		}
	}
	for top, n := range tops {
		if n > 0 {
			t.leave(top, fmt.Sprintf("%d rpms for other systems", n), "those for this host are in "+own, 0)
		}
	}
	return nil
}
