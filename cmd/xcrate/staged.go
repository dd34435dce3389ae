package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/internal/progress"
	"github.com/xcrate/xcrate/layers"
	"github.com/xcrate/xcrate/layout"
)

// A registry, an image and volumes take a snapshot only when all of it is known. An
// export to one of them is therefore made in a directory first, and copied.

// stagingDir is the directory in which an export to p is made: beside an image, where
// there is room for one, and for a registry with what the exports remember.
func (a *app) stagingDir(p place, o exportOptions) string {
	if p.remote != nil {
		return filepath.Join(o.cache, "outgoing")
	}
	return filepath.Clean(p.Path) + ".staging"
}

// destination reads DEST, which may name a tag as a source does.
func (o *exportOptions) destination(dest string) (place, error) {
	p, err := parsePlace(dest)
	if err != nil {
		return p, err
	}
	if err := o.media.check(&p); err != nil {
		return p, err
	}
	tag, err := p.tag()
	switch {
	case err != nil:
		return p, err
	case tag != "" && o.tag != "":
		return p, usage(fmt.Errorf("destination %q: names a snapshot, and so does --tag", dest), "give the name once")
	case tag != "":
		o.tag = tag
	}
	return p, nil
}

// ready finds out before an export, and not after it, what can be wrong with DEST.
func (a *app) ready(ctx context.Context, p place, o exportOptions) error {
	if p.remote == nil {
		err := layout.CheckPack(p.Path, o.media.image(p))
		if errors.Is(err, fs.ErrExist) {
			return hint(err, "choose another name, or remove what is there")
		}
		return err
	}
	r, err := o.registry.open(ctx, a, *p.remote, progress.None())
	if err != nil {
		return err
	}
	return r.MayPush(ctx)
}

// writeStaged exports to p by way of a directory.
func (a *app) writeStaged(ctx context.Context, root *host.Root, p place, o exportOptions, compression layers.Compression) (*exported, error) {
	if err := a.ready(ctx, p, o); err != nil {
		return nil, err
	}
	dir := a.stagingDir(p, o)
	o.staged = true
	s, err := a.writeLayout(ctx, root, dir, layout.Options{Parents: p.remote != nil}, o, compression)
	if err != nil {
		return nil, err
	}
	ref := layout.Reference{Path: dir, Tag: s.Tags[0]}.String()
	result, err := a.copyStaged(ctx, ref, p, s.Tags, o)
	if err != nil {
		return nil, hint(err, "the snapshot is whole in %s; when that is mended:\n        xcrate copy %s %s", dir, ref, p)
	}
	s.Place, s.Volumes = result.Place, result.Volumes
	if p.remote == nil {
		err = o.stick.check(ctx, a, layout.Reference{Path: filepath.Clean(p.Path), Digest: s.desc.Digest})
	}
	return s, errors.Join(err, layout.Discard(dir))
}

func (a *app) copyStaged(ctx context.Context, ref string, p place, tags []string, o exportOptions) (_ *copyResult, err error) {
	s, err := a.openSnapshot(ctx, ref, sourceOptions{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return a.copyTo(ctx, s, p, copyOptions{source: sourceOptions{registryOptions: o.registry}, media: o.media, tags: tags})
}
