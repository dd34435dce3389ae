package main

import (
	"context"
	"errors"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/pflag"

	"github.com/xcrate/xcrate/artifact"
	"github.com/xcrate/xcrate/layout"
)

// sourceOptions are the flags of verbs that read snapshots.
type sourceOptions struct {
	volumes []string // more of them
}

func (o *sourceOptions) flags(f *pflag.FlagSet) {
	f.StringSliceVar(&o.volumes, "volumes", nil, "where the other volumes of SRC are: `DIR`s or\nimages, in any order")
}

// names lists the flags.
func (o *sourceOptions) names() []string {
	var names []string
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	o.flags(f)
	f.VisitAll(func(one *pflag.Flag) { names = append(names, one.Name) })
	return append(names, "cache-dir")
}

// source is an opened snapshot.
type source struct {
	layout.Source
	*artifact.Snapshot
	place  layout.Reference
	layout *layout.Layout
}

// Close releases the layout.
func (s *source) Close() error { return s.layout.Close() }

// openSnapshot opens the snapshot that reference text names.
func openSnapshot(ctx context.Context, text string, o sourceOptions) (*source, error) {
	p, err := parsePlace(text)
	if err != nil {
		return nil, err
	}
	l, err := layout.Open(p.Path, o.volumes...)
	if err != nil {
		return nil, err
	}
	s := &source{Source: l, place: p, layout: l}
	if err := s.load(ctx, p.Name()); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return s, nil
}

func (s *source) load(ctx context.Context, name string) error {
	desc, err := s.layout.Resolve(ctx, name)
	if err == nil {
		s.Snapshot, err = artifact.Load(ctx, s.Source, desc)
	}
	return err
}

// absolute is the reference of s from any working directory.
func (s *source) absolute() string {
	ref := s.place
	if abs, err := filepath.Abs(ref.Path); err == nil {
		ref.Path = abs
	}
	return ref.String()
}

// tags lists the tags of s where it lies.
func (s *source) tags(ctx context.Context) ([]string, error) {
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

// blobs lists the blobs that s is made of, each once.
func (s *source) blobs() []ocispec.Descriptor {
	return layout.Blobs(s.Descriptor, s.Manifest)
}
