package pkgmgr

import (
	"context"
	"fmt"
	"os"

	"github.com/xcrate/xcrate/internal/host"
)

// directory is a source whose files lie on this machine: packages of a directory, or
// those of a tarball in a private one.
type directory struct {
	name   string // of a tarball, for messages
	root   *host.Root
	dir    string // of root
	find   FindOptions
	show   func(p string) string // a path of root, for people
	before Listing               // what unpacking left out
	remove func() error
}

func openDirectory(abs string, o SourceOptions) (Source, error) {
	root, err := host.OpenRoot(abs)
	if err != nil {
		return nil, err
	}
	return &directory{root: root, dir: "/", find: o.find(), show: root.Path, remove: root.Close}, nil
}

// OpenDirectory is the source of the rpms below directory dir of root, at any
// depth. root must stay open as long as the source is.
func OpenDirectory(root *host.Root, dir string, o SourceOptions) Source {
	return &directory{root: root, dir: dir, find: o.find(), show: root.Path, remove: func() error { return nil }}
}

func (o SourceOptions) find() FindOptions {
	return FindOptions{Want: o.Want, Lenient: o.Lenient, Narrow: o.Narrow}
}

// List implements Source.
func (d *directory) List(ctx context.Context) (Listing, error) {
	found, err := Find(ctx, d.root, d.dir, d.find)
	if err != nil {
		if d.name != "" {
			err = fmt.Errorf("%s: %w", d.name, err)
		}
		return Listing{}, err
	}
	l := Listing{LeftOut: d.before.LeftOut, Damaged: found.Damaged}
	for _, left := range found.LeftOut {
		left.Path = d.show(left.Path)
		l.LeftOut = append(l.LeftOut, left)
	}
	for _, p := range found.Packages {
		l.Offers = append(l.Offers, Offer{Package: p.Package, Where: d.show(p.From), found: p})
	}
	sortOffers(l.Offers)
	return l, nil
}

// Fetch implements Source: the file is there, and List verified it.
func (d *directory) Fetch(ctx context.Context, o Offer) (Package, error) {
	if o.found.root != d.root {
		return Package{}, fmt.Errorf("package %s: %s is no offer of this source", o.NEVRA(), o.Where)
	}
	return o.found, ctx.Err()
}

// Close implements Source.
func (d *directory) Close() error { return d.remove() }

// openFile opens regular file p of root, following symlinks.
func openFile(root *host.Root, p string) (*os.File, error) {
	resolved, err := root.Resolve(p)
	if err != nil {
		return nil, err
	}
	d, name, err := root.OpenParent(resolved)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	return d.Open(name)
}
