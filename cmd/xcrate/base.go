package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/cache"
	"github.com/xcrate/xcrate/internal/host"
	"github.com/xcrate/xcrate/layers"
	"github.com/xcrate/xcrate/layout"
)

// settle is how long a file must have been left alone before its times are
// believed: longer than a page that is mapped and dirty stays unwritten, and so
// takes writes without a new time (vm.dirty_expire_centisecs is 30 seconds).
const settle = time.Minute

// maxTries is how many snapshots of a layout are looked at for parts to take over.
const maxTries = 16

// known returns what the cache knows of root. A cache that cannot be read costs
// time and nothing else.
func (a *app) known(root *host.Root, o exportOptions) []cache.Entry {
	known, err := cache.Load(o.cache, root.Dir())
	if err != nil {
		a.note("%v: every file is read", err)
	}
	return known
}

// note tells of something that does not change the result.
func (a *app) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if a.events != nil {
		a.events.Note(text)
		return
	}
	_, _ = fmt.Fprintf(a.err, "xcrate: %s\n", escape(text))
}

// remember keeps what the next export needs.
func (a *app) remember(root *host.Root, o exportOptions, c *layers.Captured, known []cache.Entry) {
	var entries []cache.Entry
	for layer, key := range c.Known {
		entries = append(entries, cache.Entry{Layer: layer, Key: key, Content: c.Contents[layer]})
	}
	for layer, content := range c.Contents {
		if c.Known[layer] == "" {
			entries = append(entries, cache.Entry{Layer: layer, Content: content})
		}
	}
	slices.SortFunc(entries, func(a, b cache.Entry) int { return strings.Compare(a.Key+a.Content, b.Key+b.Content) })
	if err := cache.Save(o.cache, root.Dir(), entries, known); err != nil {
		a.note("%v: the next export reads every file", err)
	}
}

// base returns the snapshot from which unchanged parts are taken: the one the
// user names, or the newest in dest of whose parts anything is known. What is
// read all the same is compared with it before it is written.
func (a *app) base(ctx context.Context, dest string, known []cache.Entry, o exportOptions) (_ *layers.Base, closeBase func() error, err error) {
	nothing := func() error { return nil }
	base := &layers.Base{Known: layers.Known{}, Contents: layers.Known{}}
	for _, e := range known {
		if !o.rehash && e.Key != "" {
			base.Known[e.Layer] = e.Key
		}
		if e.Content != "" {
			base.Contents[e.Layer] = e.Content // read all the same, only not sealed again
		}
	}
	if o.base != "" {
		s, err := a.openSnapshot(ctx, o.base, sourceOptions{registryOptions: o.registry})
		if err != nil {
			return nil, nothing, fmt.Errorf("base: %w", err)
		}
		if !o.rehash && !knows(base.Known, s.Snapshot) {
			a.note("base %s: nothing is known here of its files: every file is read", o.base)
		}
		base.Snapshot, base.Fetcher = s.Snapshot, s
		return base, s.Close, nil
	}
	l, err := layout.Open(dest)
	if err != nil {
		return nil, nothing, err
	}
	if base.Snapshot, err = newest(ctx, l, base.Known); err != nil || base.Snapshot == nil {
		return nil, nothing, errors.Join(err, l.Close())
	}
	base.Fetcher = l
	return base, l.Close, nil
}

// newest returns the newest snapshot of the layout with a layer in known, or
// else the newest; nil if there is none. One that cannot be read is none:
// verify tells.
func newest(ctx context.Context, l *layout.Layout, known layers.Known) (found *artifact.Snapshot, err error) {
	all, err := l.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b layout.Snapshot) int { return b.Created.Compare(a.Created) })
	for _, one := range all[:min(len(all), maxTries)] {
		if one.Err != nil || one.Foreign {
			continue
		}
		s, err := artifact.Load(ctx, l, one.Descriptor)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			continue
		}
		if knows(known, s) {
			return s, nil
		}
		if found == nil {
			found = s
		}
	}
	return found, nil
}

func knows(known layers.Known, s *artifact.Snapshot) bool {
	for _, layer := range s.Manifest.Layers {
		if known[layer.Digest] != "" {
			return true
		}
	}
	return false
}

// cleaned returns paths as the walk names them.
func cleaned(paths []string) []string {
	clean := make([]string, 0, len(paths))
	for _, p := range paths {
		clean = append(clean, path.Clean("/"+p))
	}
	return clean
}
