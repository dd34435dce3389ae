package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/internal/progress"
	"github.com/xcrate/xcrate/internal/registry"
	"github.com/xcrate/xcrate/internal/seal"
	"github.com/xcrate/xcrate/layout"
)

// sourceOptions are the flags of verbs that read snapshots.
type sourceOptions struct {
	registryOptions
	volumes []string // more of them
}

func (o *sourceOptions) flags(c *cobra.Command) {
	c.Flags().StringSliceVar(&o.volumes, "volumes", nil, "where the other volumes of SRC are: `DIR`s or\nimages, in any order")
	o.registryOptions.flags(c)
}

// names lists the flags.
func (o *sourceOptions) names() []string {
	var names []string
	var c cobra.Command
	o.flags(&c)
	c.Flags().VisitAll(func(one *pflag.Flag) { names = append(names, one.Name) })
	return append(names, "cache-dir")
}

// source is an opened snapshot.
type source struct {
	layout.Source
	*artifact.Snapshot
	place  place
	desc   ocispec.Descriptor   // of the manifest, known before anything of it is read
	layout *layout.Layout       // nil if it is in a registry
	remote *registry.Repository // nil if it is in a layout
	key    *seal.Key            // that it is opened with, nil if it is not
	// parallel is how many blobs are fetched at once.
	parallel int
}

// Close releases the layout.
func (s *source) Close() error {
	if s.layout == nil {
		return nil
	}
	return s.layout.Close()
}

// openSnapshot opens the snapshot that reference text names.
func (a *app) openSnapshot(ctx context.Context, text string, o sourceOptions) (*source, error) {
	s, err := a.locate(ctx, text, o)
	if err == nil {
		if err = s.load(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, err
}

// locate finds the snapshot that reference text names, and reads nothing of it: from here
// on its digest counts. Whoever moves the tag does not mix two snapshots.
func (a *app) locate(ctx context.Context, text string, o sourceOptions) (*source, error) {
	p, err := parsePlace(text)
	if err != nil {
		return nil, err
	}
	if p.remote != nil {
		return a.locateRemote(ctx, p, o)
	}
	l, err := layout.Open(p.Path, o.volumes...)
	if err != nil {
		return nil, err
	}
	s := &source{Source: l, place: p, layout: l, parallel: o.parallel}
	if s.desc, err = l.Resolve(ctx, p.Name()); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return s, nil
}

// locateRemote is locate for a registry.
func (a *app) locateRemote(ctx context.Context, p place, o sourceOptions) (*source, error) {
	if len(o.volumes) > 0 {
		return nil, usage(errors.New("--volumes: "+p.String()+" is in a registry"), "volumes are directories and images")
	}
	r, err := o.open(ctx, a, *p.remote, progress.None())
	if err != nil {
		return nil, err
	}
	s := &source{Source: r, place: p, remote: r, parallel: o.parallel}
	s.desc, err = r.Resolve(ctx, p.name())
	return s, err
}

// load reads what the snapshot says of itself.
func (s *source) load(ctx context.Context) (err error) {
	s.Snapshot, err = artifact.Load(ctx, s.Source, s.desc)
	return err
}

// absolute is the reference of s from any working directory, and for all times.
func (s *source) absolute() string {
	if s.place.remote != nil {
		ref := *s.place.remote
		ref.Tag, ref.Digest = "", s.Descriptor.Digest
		return place{remote: &ref}.String()
	}
	ref := s.place.Reference
	if abs, err := filepath.Abs(ref.Path); err == nil {
		ref.Path = abs
	}
	return ref.String()
}

// tags lists the tags of s where it lies, as far as they can be told at once: of a
// registry it is the one that was asked for.
func (s *source) tags(ctx context.Context) ([]string, error) {
	if s.layout == nil {
		name := s.place.name()
		switch {
		case name == "":
			return []string{layout.Latest}, nil
		case digest.Digest(name) == s.Descriptor.Digest:
			return nil, nil
		}
		return []string{name}, nil
	}
	all, err := s.layout.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		if one.Descriptor.Digest == s.Descriptor.Digest {
			return one.Tags, nil
		}
	}
	return nil, nil
}

// blobsSize is the sum of what s is made of beside its manifest, in bytes.
func (s *source) blobsSize() int64 {
	var sum int64
	for _, d := range s.blobs()[1:] {
		sum += d.Size
	}
	return sum
}

// blobs lists the blobs that s is made of, each once.
func (s *source) blobs() []ocispec.Descriptor {
	return layout.Blobs(s.Descriptor, s.Manifest)
}
